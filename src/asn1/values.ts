import { concat, DataError } from "../bytes/index.ts";

/** Identifier octets of DER: class, constructed bit and number in one (X.690 section 8.1.2). */
export const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OBJECT_IDENTIFIER: 0x06,
  ENUMERATED: 0x0a,
  UTF8_STRING: 0x0c,
  PRINTABLE_STRING: 0x13,
  T61_STRING: 0x14,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
} as const;

/** The identifier octet of context-specific tag [number], 0 to 30. */
export function contextTag(number: number, form: "primitive" | "constructed"): number {
  return (form === "constructed" ? 0xa0 : 0x80) | number;
}

/** The first two arcs share one subidentifier: 40 times the first, plus the second (X.690 section 8.19.4). */
const FIRST_ARC = 40n;
/** Far above any registered identifier; a longer one would only burden the arithmetic. */
const MAX_OID_LENGTH = 128;

/**
 * The dotted form of an OBJECT IDENTIFIER's contents: "1.2.840.113549.1.1.1".
 * @throws {DataError} if they are empty, longer than 128 bytes, cut off or not in the shortest form.
 */
export function decodeOid(contents: Uint8Array): string {
  if (contents.length === 0 || contents.length > MAX_OID_LENGTH) {
    throw new DataError(`OBJECT IDENTIFIER: ${contents.length} bytes`);
  }
  const arcs: bigint[] = [];
  let arc = 0n;
  let started = false;
  for (const octet of contents) {
    if (!started && octet === 0x80) throw new DataError("OBJECT IDENTIFIER: an arc begins with a zero digit");
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    started = (octet & 0x80) !== 0;
    if (started) continue;
    arcs.push(...(arcs.length === 0 ? firstArcs(arc) : [arc]));
    arc = 0n;
  }
  if (started) throw new DataError("OBJECT IDENTIFIER: the last arc is cut off");
  return arcs.join(".");
}

/** The second arc is below 40 under 0 and 1, and without bound under 2. */
function firstArcs(subidentifier: bigint): [bigint, bigint] {
  const first = subidentifier < 2n * FIRST_ARC ? subidentifier / FIRST_ARC : 2n;
  return [first, subidentifier - first * FIRST_ARC];
}

/**
 * Encodes the contents of an OBJECT IDENTIFIER from its dotted form.
 * @throws {DataError} if `dotted` is malformed.
 */
export function encodeOid(dotted: string): Uint8Array {
  if (!/^[012](\.(0|[1-9][0-9]{0,38})){1,63}$/u.test(dotted)) throw new DataError("not a dotted object identifier");
  const [first = 0n, second = 0n, ...rest] = dotted.split(".").map(BigInt);
  if (first < 2n && second >= FIRST_ARC) throw new DataError("object identifier: the second arc is 40 or more");
  const octets: number[] = [];
  for (const arc of [first * FIRST_ARC + second, ...rest]) {
    const digits = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) digits.unshift(Number(left & 0x7fn) | 0x80);
    octets.push(...digits);
  }
  if (octets.length > MAX_OID_LENGTH) throw new DataError("object identifier: too long");
  return Uint8Array.from(octets);
}

const MINUTE = 60_000;
/** After the year: month, day, hour, minute; second and its fraction; Z, or the offset from UTC. */
const REST = String.raw`(?<month>\d\d)(?<day>\d\d)(?<hour>\d\d)(?<minute>\d\d)`;
const ZONE = String.raw`(?:Z|(?<offset>[+-]\d{4}))`;
const FORMS: ReadonlyMap<number, RegExp> = new Map([
  [TAG.UTC_TIME, new RegExp(String.raw`^(?<year>\d{2})${REST}(?<second>\d\d)?${ZONE}$`, "u")],
  [TAG.GENERALIZED_TIME, new RegExp(String.raw`^(?<year>\d{4})${REST}(?:(?<second>\d\d)(?:\.\d+)?)?${ZONE}$`, "u")],
]);
/** Longer than any certificate's time with digits, fractions and an offset. */
const MAX_TIME_LENGTH = 64;

/**
 * Parses the contents of a UTCTime (YYMMDDHHMMSSZ, years 1950 to 2049) or a GeneralizedTime (YYYYMMDDHHMMSSZ). RFC 5280
 * section 4.1.2.5 has no other form; forms of older issuers are read as by OpenSSL: without seconds, with fractions in
 * a GeneralizedTime, which are dropped, and with an offset of up to 12:59 instead of Z.
 * @throws {DataError} for any other form, and for days and hours that do not exist.
 */
export function decodeTime(tag: number, contents: Uint8Array): Date {
  const form = FORMS.get(tag)?.exec(contents.length <= MAX_TIME_LENGTH ? String.fromCharCode(...contents) : "")?.groups;
  if (!form) throw new DataError("time: neither a UTCTime nor a GeneralizedTime of a certificate");
  const { year = "", month = "", day = "", hour = "", minute = "", second = "00", offset = "" } = form;
  const century = year.length === 4 ? "" : Number(year) >= 50 ? "19" : "20";
  const iso = `${century}${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = new Date(iso);
  // Date turns 30 February into 2 March and 24:00 into the next day, so the result is compared with the input.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) throw new DataError("time: no such day or hour");
  // Local time is ahead of UTC by a positive offset.
  const moment = new Date(time.getTime() - readOffset(offset));
  if (!/^\d{4}-/u.test(moment.toISOString())) throw new DataError("time: no year from 0000 to 9999");
  return moment;
}

/** "+0130" in milliseconds; 0 for none. */
function readOffset(offset: string): number {
  const [hours, minutes] = [Number(offset.slice(1, 3)), Number(offset.slice(3))];
  if (hours > 12 || minutes > 59) throw new DataError("time: no such offset from UTC");
  const size = (hours * 60 + minutes) * MINUTE;
  return offset.startsWith("-") ? -size : size;
}

/** Encodes a DER element with `tag`, whose contents are the concatenated `parts`. */
export function encodeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return concat(Uint8Array.of(tag, ...lengthOctets(length)), ...parts);
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) octets.unshift(left % 256);
  return [0x80 + octets.length, ...octets];
}

export function derSequence(...elements: readonly Uint8Array[]): Uint8Array {
  return encodeDer(TAG.SEQUENCE, ...elements);
}

/** Encodes a non-negative INTEGER from its magnitude, most significant byte first; leading zeros do not matter. */
export function derUnsigned(magnitude: Uint8Array): Uint8Array {
  const start = magnitude.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? new Uint8Array() : magnitude.subarray(start);
  const [first = 0x80] = digits;
  // A first byte of 80 or more would make it negative; 0 is one zero byte.
  return first >= 0x80 ? encodeDer(TAG.INTEGER, Uint8Array.of(0), digits) : encodeDer(TAG.INTEGER, digits);
}

/** @throws {DataError} if `dotted` is not an object identifier. */
export function derOid(dotted: string): Uint8Array {
  return encodeDer(TAG.OBJECT_IDENTIFIER, encodeOid(dotted));
}

export function derOctetString(contents: Uint8Array): Uint8Array {
  return encodeDer(TAG.OCTET_STRING, contents);
}

/**
 * @param unusedBits Unused bits at the end of the last byte, 0 to 7; they must be 0.
 * @throws {DataError} if they are not.
 */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  const padding = (bytes.at(-1) ?? 0) & ((1 << unusedBits) - 1);
  if (unusedBits < 0 || unusedBits > 7 || padding !== 0 || (bytes.length === 0 && unusedBits !== 0)) {
    throw new DataError(`BIT STRING: ${unusedBits} unused bits that are absent or not 0`);
  }
  return encodeDer(TAG.BIT_STRING, Uint8Array.of(unusedBits), bytes);
}

export function derNull(): Uint8Array {
  return encodeDer(TAG.NULL);
}
