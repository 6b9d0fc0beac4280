import { createHash, createHmac, type Hash, pbkdf2, randomFillSync, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { unzipSync } from "node:zlib";
import { inThreadPool } from "../async/index.ts";
import { concat, concatSecret, copySecret, DataError, secretBytes, wipe } from "../bytes/index.ts";
import { type BlockCipher, blockLength, type BlockStream, blockStream, encryptBlock, plain } from "./ciphers.ts";

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

/** The hash of the concatenated `parts`. */
export function digest(hash: HashName, ...parts: readonly Uint8Array[]): Uint8Array {
  const hasher = new Hasher(hash);
  for (const part of parts) hasher.update(part);
  return hasher.digest();
}

/** Hashes a message in parts. */
export class Hasher {
  readonly #hash: Hash;

  constructor(hash: HashName | Hash) {
    this.#hash = typeof hash === "string" ? createHash(hash) : hash;
  }

  /** A copy of the state. */
  copy(): Hasher {
    return new Hasher(this.#hash.copy());
  }

  update(part: Uint8Array): void {
    this.#hash.update(part);
  }

  /** The hash of all parts. The object cannot be used again. */
  digest(): Uint8Array {
    return plain(this.#hash.digest());
  }
}

/** HMAC (RFC 2104) of a message in parts. */
export class HmacStream {
  readonly #hmac: ReturnType<typeof createHmac>;

  constructor(hash: HashName, key: Uint8Array) {
    this.#hmac = createHmac(hash, key);
  }

  update(part: Uint8Array): void {
    this.#hmac.update(part);
  }

  /** As long as the hash. The object cannot be used again. */
  final(): Uint8Array {
    return plain(this.#hmac.digest());
  }
}

/** HMAC of one message. */
function hmac(hash: HashName, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const stream = new HmacStream(hash, key);
  for (const part of parts) stream.update(part);
  return stream.final();
}

/** CMAC (SP 800-38B) of a message in parts. */
export class Cmac {
  readonly #block: number;
  readonly #chain: BlockStream;
  readonly #whole: Uint8Array;
  readonly #padded: Uint8Array;
  /** The pending bytes: the last block is treated differently, and any may be the last. */
  #rest: Uint8Array = new Uint8Array();

  /** @throws {DataError} for a key of a wrong length. */
  constructor(cipher: BlockCipher, key: Uint8Array) {
    this.#block = blockLength(cipher);
    const zero = new Uint8Array(this.#block);
    this.#chain = blockStream("encrypt", { cipher, key, iv: zero, padding: false });
    const start = encryptBlock(cipher, key, zero);
    this.#whole = doubled(start);
    this.#padded = doubled(this.#whole);
    wipe(start);
  }

  update(part: Uint8Array): void {
    const all = concat(this.#rest, part);
    wipe(this.#rest);
    const ready = Math.max(0, Math.floor((all.length - 1) / this.#block) * this.#block);
    if (ready > 0) this.#chain.update(all.subarray(0, ready));
    this.#rest = all.slice(ready);
    wipe(all);
  }

  /** As long as a block. The object cannot be used again. */
  final(): Uint8Array {
    const last = new Uint8Array(this.#block);
    last.set(this.#rest);
    const isWhole = this.#rest.length === this.#block;
    if (!isWhole) last[this.#rest.length] = 0x80;
    const mask = isWhole ? this.#whole : this.#padded;
    const mac = this.#chain.update(last.map((byte, index) => byte ^ (mask[index] ?? 0)));
    this.wipe();
    return mac;
  }

  wipe(): void {
    wipe(this.#rest, this.#whole, this.#padded);
  }
}

/** Twice the number in the field of 2^64 or 2^128 elements. */
function doubled(block: Uint8Array): Uint8Array {
  const reduction = block.length === 8 ? 0x1b : 0x87;
  const carry = (block[0] ?? 0) >> 7;
  return block.map((byte, index) => {
    const next = (block[index + 1] ?? 0) >> 7;
    const last = index === block.length - 1;
    return ((byte << 1) | next) ^ (last ? reduction * carry : 0);
  });
}

const derive = promisify(pbkdf2);

/** PBKDF2 with HMAC (RFC 8018 section 5.2), off the main thread. @param length Of the key in bytes. */
export async function pbkdf2Hmac(
  hash: HashName,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Promise<Uint8Array> {
  return plain(await inThreadPool(derive(password, salt, iterations, length, hash)));
}

/** Longer than any key; the standard's own limit is far above. */
const MAX_LENGTH = 65_536;

/**
 * The key derivation function of ANSI X9.63 (SEC 1 version 2 section 3.6.1): CKD_SHA1_KDF and similar ones for
 * CKM_ECDH1_DERIVE.
 * @param secret The x coordinate of the shared point.
 * @param length Of the key in bytes.
 * @param sharedInfo pSharedData of CK_ECDH1_DERIVE_PARAMS.
 * @throws {DataError} if `length` is over 65,536.
 */
export function x963Kdf(
  hash: HashName,
  secret: Uint8Array,
  length: number,
  sharedInfo: Uint8Array = new Uint8Array(),
): Uint8Array {
  if (length > MAX_LENGTH) throw new DataError(`key derivation: ${length} bytes, ${MAX_LENGTH} at most`);
  const counter = new DataView(new ArrayBuffer(4));
  const blocks = Array.from({ length: Math.ceil(length / hashLength(hash)) }, (_, index) => {
    counter.setUint32(0, index + 1);
    return digest(hash, secret, new Uint8Array(counter.buffer), sharedInfo);
  });
  const all = concatSecret(...blocks);
  wipe(...blocks);
  const key = copySecret(all.subarray(0, length));
  wipe(all);
  return key;
}

/** HKDF-Extract (RFC 5869 section 2.2). @param salt Zeros as long as the hash, if empty. */
export function hkdfExtract(hash: HashName, salt: Uint8Array, secret: Uint8Array): Uint8Array {
  return hmac(hash, salt.length > 0 ? salt : new Uint8Array(hashLength(hash)), secret);
}

/** HKDF-Expand (RFC 5869 section 2.3). @throws {DataError} for more than 255 times the hash. */
export function hkdfExpand(hash: HashName, key: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const size = hashLength(hash);
  if (length > 255 * size) throw new DataError(`HKDF: ${length} bytes, ${255 * size} at most with ${hash}`);
  const blocks: Uint8Array[] = [];
  for (let number = 1; number <= Math.ceil(length / size); number++) {
    blocks.push(hmac(hash, key, blocks.at(-1) ?? new Uint8Array(), info, Uint8Array.of(number)));
  }
  const all = concatSecret(...blocks);
  wipe(...blocks);
  const result = copySecret(all.subarray(0, length));
  wipe(all);
  return result;
}

/** Compares two secrets of one length in constant time. */
export function sameSecret(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** `length` bytes from the host's cryptographic random number generator. */
export function randomBytes(length: number): Uint8Array {
  return randomFillSync(secretBytes(length));
}

/** Whether `bytes` begin as gzip (RFC 1952 section 2.3.1) or zlib (RFC 1950 section 2.2, without a preset dictionary) does. */
export function isCompressed([first = 0, second = 0]: Uint8Array): boolean {
  if (first === 0x1f) return second === 0x8b;
  const deflate = (first & 0x0f) === 8 && first >> 4 <= 7 && (second & 0x20) === 0;
  return deflate && (first * 256 + second) % 31 === 0;
}

/**
 * Decompresses gzip (RFC 1952), used for PIV certificates, or zlib (RFC 1950), used on other cards; the first byte
 * decides.
 * @param maxLength Most bytes of the result: a malicious input of a few hundred bytes may expand to megabytes.
 * @throws {DataError} for more bytes, or if `bytes` are neither, or damaged.
 */
export function gunzip(bytes: Uint8Array, maxLength: number): Uint8Array {
  try {
    return plain(unzipSync(withoutFilling(bytes), { maxOutputLength: maxLength }));
  } catch (cause) {
    throw new DataError(`compressed data: damaged, or more than ${maxLength} bytes`, { cause });
  }
}

/**
 * Removes padding of FF after gzip, which would be taken for another member. Gzip ends in its length (RFC 1952 section
 * 2.3.1), which never ends in FF here.
 */
function withoutFilling(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 0x1f) return bytes;
  const last = bytes.findLastIndex((octet) => octet !== 0xff);
  return bytes.subarray(0, last + 1);
}
