import { createHash, type Hash } from "node:crypto";
import { plain } from "./plain.ts";

/** Length of each hash's result in bytes. */
const LENGTH = {
  md5: 16,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
  "sha512-224": 28,
  "sha512-256": 32,
  "sha3-224": 28,
  "sha3-256": 32,
  "sha3-384": 48,
  "sha3-512": 64,
} as const;

export type HashName = keyof typeof LENGTH;

/** Length of the hash's result in bytes. */
export function hashLength(hash: HashName): number {
  return LENGTH[hash];
}

/** The hash of `parts`, one after the other. */
export function digest(hash: HashName, ...parts: readonly Uint8Array[]): Uint8Array {
  const hasher = new Hasher(hash);
  for (const part of parts) hasher.update(part);
  return hasher.digest();
}

/** Hashes a message that comes in parts. */
export class Hasher {
  readonly #hash: Hash;

  constructor(hash: HashName | Hash) {
    this.#hash = typeof hash === "string" ? createHash(hash) : hash;
  }

  /** The same state once more. */
  copy(): Hasher {
    return new Hasher(this.#hash.copy());
  }

  update(part: Uint8Array): void {
    this.#hash.update(part);
  }

  /** The hash of all parts. The object is spent after it. */
  digest(): Uint8Array {
    return plain(this.#hash.digest());
  }
}
