import { ByteReader, DataError } from "../bytes/index.ts";

/**
 * A card's capabilities (ISO/IEC 7816-4 section 12.1.1.9): one to three bytes; the values of missing bytes are
 * undefined.
 */
export interface CardCapabilities {
  readonly selectBy: readonly ("full DF name" | "partial DF name" | "path" | "file identifier")[];
  readonly implicitSelection: boolean;
  readonly shortFileIdentifiers: boolean;
  readonly recordNumbers: boolean;
  /** Size of a data unit in bytes: 1 for nearly every card. */
  readonly dataUnit?: number;
  readonly commandChaining?: boolean;
  /** Whether the card accepts extended Lc and Le fields. */
  readonly extendedLength?: boolean;
  /** Whether EF.ATR/INFO states the limits of commands and answers. */
  readonly extendedLengthInfo?: boolean;
  /** Number of logical channels, the basic one included; 8 means 8 or more. */
  readonly logicalChannels?: number;
}

/** The services of a card before anything is selected (ISO/IEC 7816-4 section 12.1.1.7). */
export interface CardServiceData {
  readonly selectByFullName: boolean;
  readonly selectByPartialName: boolean;
  /** EF.DIR, EF.ATR/INFO hold data objects. */
  readonly efDir: boolean;
  readonly efAtr: boolean;
  readonly access: "READ BINARY" | "READ RECORD" | "GET DATA" | "unknown";
  readonly masterFile: boolean;
}

/** Historical bytes of an answer to reset. */
export interface HistoricalBytes {
  /** Category indicator: the coding of the rest. */
  readonly category: "compact-TLV with status" | "compact-TLV" | "DIR reference" | "proprietary" | "none";
  /** Compact-TLV data objects by tag, 1 to 15. */
  readonly objects: ReadonlyMap<number, Uint8Array>;
  readonly serviceData?: CardServiceData;
  readonly capabilities?: CardCapabilities;
  /** Chip, operating system, mask: the maker's own bytes. */
  readonly preIssuingData?: Uint8Array;
  readonly issuerData?: Uint8Array;
  /** Life cycle, SW1, SW2: up to three bytes. */
  readonly status?: Uint8Array;
}

const TAG = { SERVICE: 3, ISSUER: 5, PRE_ISSUING: 6, CAPABILITIES: 7, STATUS: 8 } as const;

/** @throws {DataError} if the first byte announces compact-TLV but the rest is malformed. */
export function parseHistoricalBytes(bytes: Uint8Array): HistoricalBytes {
  const [indicator] = bytes;
  switch (indicator) {
    case undefined:
      return { category: "none", objects: new Map() };
    case 0x00: {
      if (bytes.length < 4) throw new DataError("historical bytes: status indicator cut off");
      const objects = readCompactTlvs(bytes.subarray(1, -3));
      return { category: "compact-TLV with status", ...known(objects), status: bytes.subarray(-3) };
    }
    case 0x80:
      return { category: "compact-TLV", ...known(readCompactTlvs(bytes.subarray(1))) };
    case 0x10:
      return { category: "DIR reference", objects: new Map() };
    default:
      return { category: "proprietary", objects: new Map() };
  }
}

/** Tag and length share a byte; the first of two objects with one tag counts. */
function readCompactTlvs(bytes: Uint8Array): Map<number, Uint8Array> {
  const reader = new ByteReader(bytes, "historical bytes");
  const objects = new Map<number, Uint8Array>();
  while (reader.remaining > 0) {
    const head = reader.u8();
    const value = reader.take(head & 0x0f);
    if (!objects.has(head >> 4)) objects.set(head >> 4, value);
  }
  return objects;
}

function known(objects: ReadonlyMap<number, Uint8Array>): Omit<HistoricalBytes, "category"> {
  const service = objects.get(TAG.SERVICE)?.[0];
  const capabilities = objects.get(TAG.CAPABILITIES);
  const preIssuingData = objects.get(TAG.PRE_ISSUING);
  const issuerData = objects.get(TAG.ISSUER);
  const status = objects.get(TAG.STATUS);
  return {
    objects,
    ...(service !== undefined && { serviceData: readServiceData(service) }),
    ...(capabilities && { capabilities: readCardCapabilities(capabilities) }),
    ...(preIssuingData && { preIssuingData }),
    ...(issuerData && { issuerData }),
    ...(status && { status }),
  };
}

const ACCESS: ReadonlyMap<number, CardServiceData["access"]> = new Map([
  [0b100, "READ BINARY"],
  [0b000, "READ RECORD"],
  [0b010, "GET DATA"],
]);

function readServiceData(byte: number): CardServiceData {
  return {
    selectByFullName: (byte & 0x80) !== 0,
    selectByPartialName: (byte & 0x40) !== 0,
    efDir: (byte & 0x20) !== 0,
    efAtr: (byte & 0x10) !== 0,
    access: ACCESS.get((byte >> 1) & 0b111) ?? "unknown",
    masterFile: (byte & 0x01) === 0,
  };
}

/**
 * Card capabilities, from the historical bytes (compact tag 7) or from EF.ATR/INFO (tag 47).
 * @throws {DataError} unless there are 1 to 3 bytes.
 */
export function readCardCapabilities(value: Uint8Array): CardCapabilities {
  const [selection, coding, commands] = value;
  if (selection === undefined || value.length > 3) {
    throw new DataError(`card capabilities: ${value.length} bytes, 1 to 3 wanted`);
  }
  return {
    selectBy: (
      [
        [0x80, "full DF name"],
        [0x40, "partial DF name"],
        [0x20, "path"],
        [0x10, "file identifier"],
      ] as const
    ).flatMap(([bit, method]) => ((selection & bit) === 0 ? [] : [method])),
    implicitSelection: (selection & 0x08) !== 0,
    shortFileIdentifiers: (selection & 0x04) !== 0,
    recordNumbers: (selection & 0x02) !== 0,
    // A power of two, in quartets: 0 is half a byte.
    ...(coding !== undefined && { dataUnit: 2 ** (coding & 0x0f) / 2 }),
    ...(commands !== undefined && {
      commandChaining: (commands & 0x80) !== 0,
      extendedLength: (commands & 0x40) !== 0,
      extendedLengthInfo: (commands & 0x20) !== 0,
      logicalChannels: (commands & 0x07) + 1,
    }),
  };
}

/** One interface byte of an answer to reset, under its name in the standard: TA1, TC2, TD1. */
export interface InterfaceByte {
  readonly name: string;
  readonly value: number;
}

/** A parsed answer to reset (ISO/IEC 7816-3 section 8.2). */
export interface Atr {
  readonly convention: "direct" | "inverse";
  readonly interfaceBytes: readonly InterfaceByte[];
  /** Transmission protocols T offered, the preferred one first: 0, 1. */
  readonly protocols: readonly number[];
  /** The fixed protocol of a card in specific mode (TA2), or undefined in negotiable mode. */
  readonly specificProtocol?: number;
  readonly historicalBytes: Uint8Array;
  /** Check character TCK; "missing" if the protocols require one: some cards leave it out. */
  readonly checksum: "correct" | "missing" | "not needed";
}

const MAX_ATR = 33;
const CONVENTIONS: ReadonlyMap<number, Atr["convention"]> = new Map([
  [0x3b, "direct"],
  [0x3f, "inverse"],
]);
/** T = 15 qualifies global interface bytes; it is not a protocol. */
const GLOBAL = 15;

/**
 * @throws {DataError} if `bytes` are not an answer to reset: fewer than 2 or more than 33, an unknown first byte, cut
 *   off, a wrong check character, or trailing bytes.
 */
export function parseAtr(bytes: Uint8Array): Atr {
  const reader = new ByteReader(bytes, "ATR");
  if (bytes.length > MAX_ATR) throw new DataError(`ATR: ${bytes.length} bytes; the limit is ${MAX_ATR}`);
  const ts = reader.u8();
  const convention = CONVENTIONS.get(ts);
  if (convention === undefined) throw new DataError(`ATR: begins with ${ts}, not with 3B or 3F`);
  const t0 = reader.u8();
  const interfaceBytes = readInterfaceBytes(reader, t0 >> 4);
  const announced = interfaceBytes.filter(({ name }) => name.startsWith("TD")).map(({ value }) => value & 0x0f);
  const protocols = [...new Set(announced.filter((protocol) => protocol !== GLOBAL))];
  const specific = interfaceBytes.find(({ name }) => name === "TA2");
  const historicalBytes = reader.take(t0 & 0x0f);
  return {
    convention,
    interfaceBytes,
    // Without TD1 only T = 0 is offered (ISO/IEC 7816-3 section 8.2.3).
    protocols: protocols.length === 0 ? [0] : protocols,
    ...(specific && { specificProtocol: specific.value & 0x0f }),
    historicalBytes,
    checksum: readChecksum(reader, bytes, announced),
  };
}

/** TAi, TBi, TCi and TDi as the bits of T0, and then of each TDi, announce them. */
function readInterfaceBytes(reader: ByteReader, announced: number): InterfaceByte[] {
  const found: InterfaceByte[] = [];
  let present = announced;
  for (let round = 1; present !== 0; round++) {
    let next = 0;
    for (const [bit, letter] of ["A", "B", "C", "D"].entries()) {
      if ((present & (1 << bit)) === 0) continue;
      const value = reader.u8();
      found.push({ name: `T${letter}${round}`, value });
      if (letter === "D") next = value >> 4;
    }
    present = next;
  }
  return found;
}

/** TCK makes the exclusive-or of all bytes after TS zero; it is absent if only T = 0 is announced (section 8.2.5). */
function readChecksum(reader: ByteReader, bytes: Uint8Array, announced: readonly number[]): Atr["checksum"] {
  if (reader.remaining === 0) return announced.some((protocol) => protocol !== 0) ? "missing" : "not needed";
  reader.u8();
  reader.end();
  if (bytes.subarray(1).reduce((sum, byte) => sum ^ byte, 0) !== 0) throw new DataError("ATR: wrong check character");
  return "correct";
}

/**
 * Whether the card announces extended length fields: a bit of the card capabilities among the historical bytes. False
 * for bytes that do not parse; a card may announce it in EF.ATR/INFO instead.
 */
export function supportsExtendedLength(atr: Uint8Array): boolean {
  try {
    return parseHistoricalBytes(parseAtr(atr).historicalBytes).capabilities?.extendedLength ?? false;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
