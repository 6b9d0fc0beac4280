import { ByteReader, concat, DataError, fromUtf8, utf8 } from "../../bytes/index.ts";
import { type AttributeValue, CK, CKR, CryptokiError, kindOf } from "../../cryptoki/index.ts";

/** Of CK_ULONG in a client of 64 bits, which is what a client is taken for. */
export const ULONG_LENGTH = 8;
/** Of CK_ATTRIBUTE in such a client. */
export const ATTRIBUTE_LENGTH = 24;

/**
 * The bytes that a value is in C: what p11-kit passes on for an attribute that it has no entry for.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID for a template, which is pointers there.
 */
export function toNative(type: number, value: AttributeValue): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return utf8(value);
  if (typeof value === "boolean") return Uint8Array.of(value ? 1 : 0);
  if (typeof value === "number") return nativeUlong(value);
  if (value === null || value instanceof Date) return toDate(value);
  if (isNumbers(value)) return concat(...value.map(nativeUlong));
  throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, `a template has no bytes to send (attribute ${type})`);
}

const isNumbers = (value: AttributeValue): value is readonly number[] => Array.isArray(value);

/**
 * The value that those bytes mean.
 * @throws {DataError} if they mean none.
 */
export function fromNative(type: number, bytes: Uint8Array, strict: boolean): AttributeValue {
  const kind = kindOf(type);
  switch (kind) {
    case "bytes":
      return bytes;
    case "text":
      return strict ? fromUtf8(bytes) : LENIENT.decode(bytes);
    case "boolean":
      if (bytes.length !== 1) throw new DataError(`a CK_BBOOL of ${bytes.length} bytes`);
      return bytes[0] !== 0;
    case "number":
      return fromUlong(bytes);
    case "date":
      return fromDate(bytes, strict);
    case "mechanisms": {
      const from = new ByteReader(bytes, "an array of CK_ULONG");
      const list: number[] = [];
      while (from.remaining > 0) list.push(fromUlong(from.take(ULONG_LENGTH)));
      return list;
    }
    case "template":
      throw new DataError("a template that is pointers into another program's memory");
  }
}

const LENIENT = new TextDecoder("utf-8", { ignoreBOM: true });

/** Every machine that p11-kit is likely to run on has its least significant byte first. */
function nativeUlong(value: number): Uint8Array {
  const bytes = new Uint8Array(ULONG_LENGTH);
  const whole = value === CK.UNAVAILABLE_INFORMATION ? 2n ** 64n - 1n : BigInt(value);
  new DataView(bytes.buffer).setBigUint64(0, whole, true);
  return bytes;
}

/** 8 bytes, or the 4 of a client of 32 bits. */
function fromUlong(bytes: Uint8Array): number {
  const from = new ByteReader(bytes, "a CK_ULONG");
  const low = from.u32le();
  const high = from.remaining > 0 ? from.u32le() : 0;
  from.end();
  if (low === 0xffffffff && high === 0xffffffff) return CK.UNAVAILABLE_INFORMATION;
  const value = high * 2 ** 32 + low;
  return Number.isSafeInteger(value) ? value : Infinity;
}

/** CK_DATE: the digits of year, month and day. No bytes are the empty date. */
export function toDate(date: Date | null): Uint8Array {
  if (date === null) return new Uint8Array();
  const day = date.toISOString();
  if (day.length !== "2024-02-29T00:00:00.000Z".length) {
    throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CK_DATE knows the years 0 to 9999");
  }
  return utf8(day.slice(0, 10).replaceAll("-", ""));
}

/**
 * @param strict Otherwise a date that is none is the empty one: tokens fill it with zeros or blanks.
 * @throws {DataError} if it is strict.
 */
export function fromDate(bytes: Uint8Array, strict: boolean): Date | null {
  if (bytes.length === 0) return null;
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/u.exec(LENIENT.decode(bytes)) ?? [];
  const date = new Date(`${year ?? ""}-${month ?? ""}-${day ?? ""}T00:00:00Z`);
  // 30 February is a date to the parser, another one.
  if (!Number.isNaN(date.getTime()) && date.getUTCDate() === Number(day)) return date;
  if (strict) throw new DataError("a date is eight digits: year, month, day");
  return null;
}
