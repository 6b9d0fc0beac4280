import { ByteReader, concat, DataError, fromUtf8, utf8 } from "../../bytes/index.ts";
import { type AttributeValue, CK, CKA, CKR, CryptokiError, kindOf } from "../../cryptoki/index.ts";

/** Size of CK_ULONG in a 64-bit client, which is assumed. */
export const ULONG_LENGTH = 8;
/** Size of CK_ATTRIBUTE in such a client. */
export const ATTRIBUTE_LENGTH = 24;

/**
 * The value as bytes in C's memory, which p11-kit transmits for an attribute without an entry in its table.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID for a template, which consists of pointers there.
 */
export function toNative(type: number, value: AttributeValue): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return utf8(value);
  if (typeof value === "boolean") return Uint8Array.of(value ? 1 : 0);
  if (typeof value === "number") return nativeUlong(value);
  if (value === null || value instanceof Date) return toDate(value);
  if (isNumbers(value)) return concat(...value.map(nativeUlong));
  throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, `a template cannot be sent as bytes (attribute ${type})`);
}

const isNumbers = (value: AttributeValue): value is readonly number[] => Array.isArray(value);

/**
 * The value of such bytes.
 * @throws {DataError} if they are malformed.
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
      throw new DataError("a template with pointers into another program's memory");
  }
}

const LENIENT = new TextDecoder("utf-8", { ignoreBOM: true });

/** p11-kit's usual machines store the least significant byte first. */
function nativeUlong(value: number): Uint8Array {
  const bytes = new Uint8Array(ULONG_LENGTH);
  const whole = value === CK.UNAVAILABLE_INFORMATION ? 2n ** 64n - 1n : BigInt(value);
  new DataView(bytes.buffer).setBigUint64(0, whole, true);
  return bytes;
}

/** 8 bytes, or the 4 of a 32-bit client. */
function fromUlong(bytes: Uint8Array): number {
  const from = new ByteReader(bytes, "a CK_ULONG");
  const low = from.u32le();
  const high = from.remaining > 0 ? from.u32le() : 0;
  from.end();
  if (low === 0xffffffff && high === 0xffffffff) return CK.UNAVAILABLE_INFORMATION;
  const value = high * 2 ** 32 + low;
  return Number.isSafeInteger(value) ? value : Infinity;
}

/** CK_DATE: the digits of year, month and day. Zero bytes are the empty date. */
export function toDate(date: Date | null): Uint8Array {
  if (date === null) return new Uint8Array();
  const day = date.toISOString();
  if (day.length !== "2024-02-29T00:00:00.000Z".length) {
    throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CK_DATE supports the years 0 to 9999");
  }
  return utf8(day.slice(0, 10).replaceAll("-", ""));
}

/**
 * @param strict Otherwise an invalid date is the empty one: tokens fill it with zeros or blanks.
 * @throws {DataError} if it is strict.
 */
export function fromDate(bytes: Uint8Array, strict: boolean): Date | null {
  if (bytes.length === 0) return null;
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/u.exec(LENIENT.decode(bytes)) ?? [];
  const date = new Date(`${year ?? ""}-${month ?? ""}-${day ?? ""}T00:00:00Z`);
  // The parser turns 30 February into another date.
  if (!Number.isNaN(date.getTime()) && date.getUTCDate() === Number(day)) return date;
  if (strict) throw new DataError("a date is eight digits: year, month, day");
  return null;
}

/**
 * The form of a value on the wire. Native is the form for types without an entry in p11-kit's table: the bytes of the
 * client's memory.
 */
export type AttributeForm = "byte" | "ulong" | "date" | "mechanisms" | "template" | "native";

/** All types in p11-kit's table. Other types are native, even if the standard gives them a type. */
const FORMS: ReadonlyMap<number, AttributeForm> = new Map<number, AttributeForm>([
  ...entries("byte", [
    CKA.TOKEN,
    CKA.PRIVATE,
    CKA.TRUSTED,
    CKA.SENSITIVE,
    CKA.ENCRYPT,
    CKA.DECRYPT,
    CKA.WRAP,
    CKA.UNWRAP,
    CKA.SIGN,
    CKA.SIGN_RECOVER,
    CKA.VERIFY,
    CKA.VERIFY_RECOVER,
    CKA.DERIVE,
    CKA.EXTRACTABLE,
    CKA.LOCAL,
    CKA.NEVER_EXTRACTABLE,
    CKA.ALWAYS_SENSITIVE,
    CKA.MODIFIABLE,
    CKA.COPYABLE,
    CKA.SECONDARY_AUTH,
    CKA.ALWAYS_AUTHENTICATE,
    CKA.WRAP_WITH_TRUSTED,
    CKA.RESET_ON_INIT,
    CKA.HAS_RESET,
    CKA.COLOR,
  ]),
  ...entries("ulong", [
    CKA.CLASS,
    CKA.CERTIFICATE_TYPE,
    CKA.CERTIFICATE_CATEGORY,
    CKA.JAVA_MIDP_SECURITY_DOMAIN,
    CKA.KEY_TYPE,
    CKA.MODULUS_BITS,
    CKA.PRIME_BITS,
    CKA.SUBPRIME_BITS,
    CKA.VALUE_BITS,
    CKA.VALUE_LEN,
    CKA.KEY_GEN_MECHANISM,
    CKA.AUTH_PIN_FLAGS,
    CKA.HW_FEATURE_TYPE,
    CKA.PIXEL_X,
    CKA.PIXEL_Y,
    CKA.RESOLUTION,
    CKA.CHAR_ROWS,
    CKA.CHAR_COLUMNS,
    CKA.BITS_PER_PIXEL,
    CKA.MECHANISM_TYPE,
  ]),
  ...entries("date", [CKA.START_DATE, CKA.END_DATE]),
  ...entries("mechanisms", [CKA.ALLOWED_MECHANISMS]),
  ...entries("template", [CKA.WRAP_TEMPLATE, CKA.UNWRAP_TEMPLATE]),
]);

function entries(form: AttributeForm, types: readonly number[]): readonly (readonly [number, AttributeForm])[] {
  return types.map((type) => [type, form]);
}

/** @param offered The version of the protocol that the client offered: 0.25 added one more template. */
export function attributeForm(type: number, offered: number): AttributeForm {
  if (type === CKA.DERIVE_TEMPLATE) return offered >= 1 ? "template" : "native";
  return FORMS.get(type) ?? "native";
}
