import { createCipheriv, createDecipheriv, createHash, type KeyObject, randomBytes } from "node:crypto";
import { concat, DataError, equalBytes, toHex } from "../../bytes/index.ts";
import { describeKey, ecKeyOf, FILE_KEY_TYPES, rsaKeyOf } from "../keys.ts";

/** Bytes of a share and of the key encryption key. */
export const SHARE_LENGTH = 32;
const CHECK_VALUE = 8;
const BLOCK = 16;
const TYPE = { rsa: 5, ec: 12 } as const;

/** The Device Key Encryption Key: the shares, added bit by bit. */
export interface Dkek {
  /** Number of shares that were announced by INITIALIZE DEVICE; 0 for a key of the card's own. */
  readonly shares: number;
  outstanding: number;
  value: Uint8Array;
}

/** @param shares 0: the card makes the key itself. */
export function newDkek(shares: number): Dkek {
  return {
    shares,
    outstanding: shares,
    value: shares === 0 ? randomBytes(SHARE_LENGTH) : new Uint8Array(SHARE_LENGTH),
  };
}

/** @throws {DataError} for a share of another length. */
export function addShare(dkek: Dkek, share: Uint8Array): void {
  if (share.length !== SHARE_LENGTH) throw new DataError(`DKEK share: ${share.length} bytes`);
  dkek.value = dkek.value.map((octet, at) => octet ^ (share[at] ?? 0));
  dkek.outstanding--;
}

/** The first bytes of the key's hash; zeros until all shares are there. */
export function checkValue({ outstanding, value }: Dkek): Uint8Array {
  if (outstanding > 0) return new Uint8Array(CHECK_VALUE);
  return createHash("sha256").update(value).digest().subarray(0, CHECK_VALUE);
}

/** Keys for encryption (1) and for the checksum (2). */
const derived = (dkek: Dkek, purpose: number): Uint8Array =>
  createHash("sha256")
    .update(concat(dkek.value, Uint8Array.of(0, 0, 0, purpose)))
    .digest();

/**
 * A private key for another card with the same DKEK: check value, type, the encrypted numbers, checksum. The numbers are in
 * the order of this virtual card.
 */
export function wrapKey(dkek: Dkek, key: KeyObject): Uint8Array {
  const info = describeKey(key, FILE_KEY_TYPES);
  if (info.type !== "rsa" && info.type !== "ec") throw new DataError(`a ${info.type} key`);
  const jwk = key.export({ format: "jwk" });
  const number = (name: "p" | "q" | "dp" | "d"): Uint8Array => Buffer.from(jwk[name] ?? "", "base64url");
  const half = info.bits / 16;
  const numbers =
    info.type === "rsa"
      ? concat(...([number("p"), number("q"), number("dp")] as const).map((part) => padLeft(part, half)))
      : number("d");
  const plain = concat(randomBytes(8), Uint8Array.of(numbers.length >> 8, numbers.length & 0xff), numbers);
  const padded = concat(plain, Uint8Array.of(0x80), new Uint8Array((2 * BLOCK - 1 - (plain.length % BLOCK)) % BLOCK));
  const cipher = createCipheriv("aes-256-cbc", derived(dkek, 1), new Uint8Array(BLOCK)).setAutoPadding(false);
  const body = concat(checkValue(dkek), Uint8Array.of(TYPE[info.type]), cipher.update(padded));
  return concat(body, checksum(derived(dkek, 2), body));
}

/** @throws {DataError} if the key was wrapped with another DKEK, or changed. */
export function unwrapKey(dkek: Dkek, blob: Uint8Array): KeyObject {
  const body = blob.subarray(0, -BLOCK);
  const type = body[CHECK_VALUE];
  const encrypted = body.subarray(CHECK_VALUE + 1);
  if (!equalBytes(body.subarray(0, CHECK_VALUE), checkValue(dkek))) throw new DataError("a key of another DKEK");
  if (!equalBytes(checksum(derived(dkek, 2), body), blob.subarray(-BLOCK)) || encrypted.length % BLOCK !== 0) {
    throw new DataError("a key that was changed");
  }
  const decipher = createDecipheriv("aes-256-cbc", derived(dkek, 1), new Uint8Array(BLOCK)).setAutoPadding(false);
  const plain = decipher.update(encrypted);
  const numbers = plain.subarray(10, 10 + plain.readUInt16BE(8));
  if (type === TYPE.ec) return ecKeyOf(numbers);
  const half = numbers.length / 3;
  return rsaKeyOf(numbers.subarray(0, half), numbers.subarray(half, 2 * half), numbers.subarray(2 * half));
}

function padLeft(bytes: Uint8Array, length: number): Uint8Array {
  return concat(new Uint8Array(Math.max(0, length - bytes.length)), bytes);
}

/** AES-CMAC (RFC 4493). */
function checksum(key: Uint8Array, message: Uint8Array): Uint8Array {
  const encrypt = (input: Uint8Array, iv = new Uint8Array(BLOCK)): Uint8Array =>
    createCipheriv("aes-256-cbc", key, iv).setAutoPadding(false).update(input);
  const double = (block: Uint8Array): Uint8Array => {
    const number = BigInt(`0x${toHex(block)}`);
    const shifted = (number << 1n) & ((1n << 128n) - 1n);
    const reduced = number >> 127n === 1n ? shifted ^ 0x87n : shifted;
    return Buffer.from(reduced.toString(16).padStart(2 * BLOCK, "0"), "hex");
  };
  const first = double(encrypt(new Uint8Array(BLOCK)));
  const isWhole = message.length > 0 && message.length % BLOCK === 0;
  const padding = isWhole ? new Uint8Array() : concat(Uint8Array.of(0x80), new Uint8Array(BLOCK - 1));
  const padded = concat(message, padding).subarray(0, Math.max(1, Math.ceil(message.length / BLOCK)) * BLOCK);
  const mask = isWhole ? first : double(first);
  const last = padded.slice(-BLOCK).map((octet, at) => octet ^ (mask[at] ?? 0));
  return encrypt(concat(padded.subarray(0, -BLOCK), last)).slice(-BLOCK);
}
