import { DataError, utf8 } from "../bytes/index.ts";

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const CHECKSUM = 6;

function polymod(values: readonly number[]): number {
  let checksum = 1;
  for (const value of values) {
    const top = checksum >>> 25;
    checksum = ((checksum & 0x1ff_ffff) << 5) ^ value;
    for (const [bit, term] of GENERATOR.entries()) if ((top >>> bit) & 1) checksum ^= term;
  }
  return checksum >>> 0;
}

function expanded(prefix: string): number[] {
  const codes = [...utf8(prefix)];
  return [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)];
}

/** Bech32 (BIP 173) of any length, in small letters. */
export function encodeBech32(prefix: string, bytes: Uint8Array): string {
  const data = regroup([...bytes], 8, 5, true) ?? [];
  const checksum = polymod([...expanded(prefix), ...data, ...Array.from({ length: CHECKSUM }, () => 0)]) ^ 1;
  const check = Array.from({ length: CHECKSUM }, (_, index) => (checksum >>> (5 * (CHECKSUM - 1 - index))) & 31);
  return `${prefix}1${[...data, ...check].map((value) => ALPHABET[value] ?? "").join("")}`;
}

/**
 * Reads {@link encodeBech32}, in small letters or capitals.
 * @throws {DataError} for another prefix, a wrong checksum, or letters of both cases.
 */
export function decodeBech32(prefix: string, text: string): Uint8Array {
  const lower = text.toLowerCase();
  if (text !== lower && text !== text.toUpperCase()) throw new DataError("Bech32: small letters and capitals");
  const start = lower.lastIndexOf("1");
  if (lower.slice(0, Math.max(start, 0)) !== prefix) throw new DataError(`Bech32: it does not begin with ${prefix}1`);
  const values = Array.from(lower.slice(start + 1), (character) => ALPHABET.indexOf(character));
  if (values.includes(-1) || values.length < CHECKSUM) throw new DataError("Bech32: a character that it does not have");
  if (polymod([...expanded(prefix), ...values]) !== 1) throw new DataError("Bech32: the checksum is wrong");
  const bytes = regroup(values.slice(0, -CHECKSUM), 5, 8, false);
  if (!bytes) throw new DataError("Bech32: bits that belong to no byte");
  return Uint8Array.from(bytes);
}

function regroup(values: readonly number[], from: number, to: number, pads: boolean): number[] | undefined {
  let [bits, length] = [0, 0];
  const result: number[] = [];
  for (const value of values) {
    bits = ((bits << from) | value) & 0xfff;
    for (length += from; length >= to; length -= to) result.push((bits >>> (length - to)) & ((1 << to) - 1));
  }
  const rest = (bits << (to - length)) & ((1 << to) - 1);
  if (pads) return length > 0 ? [...result, rest] : result;
  return length >= from || rest !== 0 ? undefined : result;
}
