import { ByteReader, DataError } from "../bytes/index.ts";

/** What a card can do (ISO/IEC 7816-4 section 12.1.1.9): one to three bytes; what a short one leaves out is undefined. */
export interface CardCapabilities {
  readonly selectBy: readonly ("full DF name" | "partial DF name" | "path" | "file identifier")[];
  readonly implicitSelection: boolean;
  readonly shortFileIdentifiers: boolean;
  readonly recordNumbers: boolean;
  /** Size of a data unit in bytes: 1 for nearly every card. */
  readonly dataUnit?: number;
  readonly commandChaining?: boolean;
  /** Extended Lc and Le fields are taken. */
  readonly extendedLength?: boolean;
  /** EF.ATR/INFO tells how long commands and answers may be. */
  readonly extendedLengthInfo?: boolean;
  /** Logical channels at once, the basic one included; 8 stands for 8 or more. */
  readonly logicalChannels?: number;
}

/** Which services a card has for its users before anything is selected (ISO/IEC 7816-4 section 12.1.1.7). */
export interface CardServiceData {
  readonly selectByFullName: boolean;
  readonly selectByPartialName: boolean;
  /** EF.DIR, EF.ATR/INFO hold data objects. */
  readonly efDir: boolean;
  readonly efAtr: boolean;
  readonly access: "READ BINARY" | "READ RECORD" | "GET DATA" | "unknown";
  readonly masterFile: boolean;
}

/** Historical bytes of an answer to reset, taken apart. */
export interface HistoricalBytes {
  /** Category indicator: how the rest is coded. */
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

/**
 * @throws {DataError} if the first byte says compact-TLV and the rest is not.
 */
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

/** Tag and length share a byte; of two objects with one tag the first counts. */
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
    // In quartets, as a power of two: 0 is half a byte.
    ...(coding !== undefined && { dataUnit: 2 ** (coding & 0x0f) / 2 }),
    ...(commands !== undefined && {
      commandChaining: (commands & 0x80) !== 0,
      extendedLength: (commands & 0x40) !== 0,
      extendedLengthInfo: (commands & 0x20) !== 0,
      logicalChannels: (commands & 0x07) + 1,
    }),
  };
}
