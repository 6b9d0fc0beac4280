import { DataError } from "./error.ts";

const OCTETS = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

/** Lower-case hexadecimal digits, two for each byte; `separator` between the bytes. */
export function toHex(bytes: Uint8Array, separator = ""): string {
  return Array.from(bytes, (byte) => OCTETS[byte]).join(separator);
}

/**
 * The bytes that hexadecimal `text` spells; white space and colons between bytes are ignored.
 * @throws {DataError} on an odd number of digits or anything that is not a digit; the text itself is not repeated.
 */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]/gu, "");
  if (!/^[0-9a-f]*$/iu.test(digits)) throw new DataError("not hexadecimal: a character other than 0-9 and a-f");
  if (digits.length % 2 !== 0) throw new DataError(`not whole bytes: ${digits.length} hexadecimal digits`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, index) =>
    Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16),
  );
}
