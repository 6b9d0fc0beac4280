import { concat, concatSecret, copySecret, DataError, secretBytes, wipe } from "../../bytes/index.ts";
import { hashLength, type HashName } from "../codec/hashes.ts";
import { blockLength, blockStream, encryptBlock } from "./ciphers.ts";
import { hostCrypto } from "./current.ts";
import type { BlockCipher, BlockStream, HostHash, HostMac } from "./host-crypto.ts";

/** The hash of the concatenated `parts`. */
export function digest(hash: HashName, ...parts: readonly Uint8Array[]): Uint8Array {
  const hasher = new Hasher(hash);
  for (const part of parts) hasher.update(part);
  return hasher.digest();
}

/** Hashes a message in parts. */
export class Hasher {
  readonly #hash: HostHash;

  constructor(hash: HashName | HostHash) {
    this.#hash = typeof hash === "string" ? hostCrypto().createHash(hash) : hash;
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
    return this.#hash.digest();
  }
}

/** HMAC (RFC 2104) of a message in parts. */
export class HmacStream {
  readonly #hmac: HostMac;

  constructor(hash: HashName, key: Uint8Array) {
    this.#hmac = hostCrypto().createHmac(hash, key);
  }

  update(part: Uint8Array): void {
    this.#hmac.update(part);
  }

  /** As long as the hash. The object cannot be used again. */
  final(): Uint8Array {
    return this.#hmac.digest();
  }
}

/** HMAC of one message. */
export function hmac(hash: HashName, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
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

/** PBKDF2 with HMAC (RFC 8018 section 5.2), off the main thread. @param length Of the key in bytes. */
export async function pbkdf2Hmac(
  hash: HashName,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Promise<Uint8Array> {
  return hostCrypto().pbkdf2(hash, password, salt, iterations, length);
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
  return a.length === b.length && hostCrypto().isSameSecret(a, b);
}

/** `length` bytes from the host's cryptographic random number generator. */
export function randomBytes(length: number): Uint8Array {
  return hostCrypto().fillRandom(secretBytes(length));
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
export async function gunzip(bytes: Uint8Array, maxLength: number): Promise<Uint8Array> {
  return hostCrypto().gunzip(withoutFilling(bytes), maxLength);
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
