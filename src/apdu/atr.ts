import { ByteReader, DataError } from "../bytes/index.ts";
import { parseHistoricalBytes } from "./historical-bytes.ts";

/** One interface byte of an answer to reset, under its name in the standard: TA1, TC2, TD1. */
export interface InterfaceByte {
  readonly name: string;
  readonly value: number;
}

/** An answer to reset, taken apart (ISO/IEC 7816-3 section 8.2). */
export interface Atr {
  readonly convention: "direct" | "inverse";
  readonly interfaceBytes: readonly InterfaceByte[];
  /** Transmission protocols T offered, the preferred one first: 0, 1. */
  readonly protocols: readonly number[];
  /** The one protocol that the card speaks without negotiation (TA2), or undefined in negotiable mode. */
  readonly specificProtocol?: number;
  readonly historicalBytes: Uint8Array;
  /** Check character TCK; "missing" where the protocols want one: some cards in the field leave it out. */
  readonly checksum: "correct" | "missing" | "not needed";
}

const MAX_ATR = 33;
const CONVENTIONS: ReadonlyMap<number, Atr["convention"]> = new Map([
  [0x3b, "direct"],
  [0x3f, "inverse"],
]);
/** T = 15 qualifies global interface bytes; it is no protocol. */
const GLOBAL = 15;

/**
 * @throws {DataError} if `bytes` are no answer to reset: fewer than 2 or more than 33, an unknown first byte, cut off,
 *   a wrong check character, or bytes after the end.
 */
export function parseAtr(bytes: Uint8Array): Atr {
  const reader = new ByteReader(bytes, "ATR");
  if (bytes.length > MAX_ATR) throw new DataError(`ATR: ${bytes.length} bytes, ${MAX_ATR} at most`);
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
 * Whether the card says that it takes commands with extended length fields: a bit of the card capabilities among the
 * historical bytes. False for bytes that do not parse; a card may say it in EF.ATR/INFO instead.
 */
export function supportsExtendedLength(atr: Uint8Array): boolean {
  try {
    return parseHistoricalBytes(parseAtr(atr).historicalBytes).capabilities?.extendedLength ?? false;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
