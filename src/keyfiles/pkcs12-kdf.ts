import { createHash } from "node:crypto";
import { wipe } from "../bytes/index.ts";

/** Hashes of the key derivation, with the lengths of their result and of their block in bytes. */
const HASHES = {
  sha1: { length: 20, block: 64 },
  sha224: { length: 28, block: 64 },
  sha256: { length: 32, block: 64 },
  sha384: { length: 48, block: 128 },
  sha512: { length: 64, block: 128 },
} as const;
export type Pkcs12Hash = keyof typeof HASHES;

interface Derivation {
  readonly hash: Pkcs12Hash;
  /** What the result is for: 1 a key, 2 an initialization vector, 3 a MAC's key. */
  readonly id: 1 | 2 | 3;
  /** UTF-8. */
  readonly password: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
  /** Of the result, in bytes. */
  readonly length: number;
}

/** The key derivation function of PKCS#12 (RFC 7292 appendix B.2). The caller wipes the result. */
export function pkcs12Kdf({ hash, id, password, salt, iterations, length }: Derivation): Uint8Array {
  const { length: hashLength, block } = HASHES[hash];
  const text = bmpString(password);
  const input = Buffer.concat([repeated(salt, block), repeated(text, block)]);
  const diversifier = Buffer.alloc(block, id);
  const result = new Uint8Array(length);
  for (let offset = 0; offset < length; offset += hashLength) {
    let value = createHash(hash).update(diversifier).update(input).digest();
    for (let round = 1; round < iterations; round++) value = createHash(hash).update(value).digest();
    result.set(value.subarray(0, length - offset), offset);
    addToBlocks(input, Buffer.from(repeated(value, block).subarray(0, block)), block);
    wipe(value);
  }
  wipe(text, input);
  return result;
}

/** Adds B and one to each block of the input, as big-endian numbers (appendix B.2 step 6C). */
function addToBlocks(input: Uint8Array, addend: Uint8Array, block: number): void {
  for (let start = 0; start < input.length; start += block) {
    let carry = 1;
    for (let index = block - 1; index >= 0; index--) {
      carry += (input[start + index] ?? 0) + (addend[index] ?? 0);
      input[start + index] = carry & 0xff;
      carry >>= 8;
    }
  }
}

/** The bytes again and again, up to a whole number of blocks. */
function repeated(bytes: Uint8Array, block: number): Uint8Array {
  const result = new Uint8Array(Math.ceil(bytes.length / block) * block);
  return bytes.length === 0 ? result : result.map((_, index) => bytes[index % bytes.length] ?? 0);
}

/** A password as the function takes it: UTF-16, most significant byte first, with two zeros behind it (appendix B.1). */
function bmpString(password: Uint8Array): Uint8Array {
  const text = Buffer.from(Buffer.from(password).toString("utf8"), "utf16le").swap16();
  const result = new Uint8Array(text.length + 2);
  result.set(text);
  wipe(text);
  return result;
}
