import { concat, concatSecret, copySecret, DataError, wipe } from "../../bytes/index.ts";
import { toNumber } from "../codec/modular.ts";
import { hostCrypto } from "./current.ts";
import type { AeadParameters, BlockCipher, BlockStream, Direction, HostCrypto, SealedMessage } from "./host-crypto.ts";

const BLOCK = { "3des": 8, aes: 16 } as const;

/** Bytes of one block. */
export function blockLength(cipher: BlockCipher): number {
  return BLOCK[cipher];
}

/** Encrypts one block by itself (ECB). @throws {DataError} for a key or block of a wrong length. */
export function encryptBlock(cipher: BlockCipher, key: Uint8Array, block: Uint8Array): Uint8Array {
  checkBlock(cipher, block);
  return run("encrypt", cipher, key, block);
}

/** Decrypts one block by itself (ECB). @throws {DataError} for a key or block of a wrong length. */
export function decryptBlock(cipher: BlockCipher, key: Uint8Array, block: Uint8Array): Uint8Array {
  checkBlock(cipher, block);
  return run("decrypt", cipher, key, block);
}

function run(direction: Direction, cipher: BlockCipher, key: Uint8Array, block: Uint8Array): Uint8Array {
  const lengths: readonly number[] = cipher === "3des" ? [24] : [16, 24, 32];
  if (!lengths.includes(key.length)) throw new DataError(`${cipher} key: ${key.length} bytes`);
  return hostCrypto()
    .createCipher({ direction, cipher, mode: "ecb", key, iv: undefined, padding: false })
    .update(block);
}

function checkBlock(cipher: BlockCipher, block: Uint8Array): void {
  if (block.length !== BLOCK[cipher]) throw new DataError(`${cipher} block: ${block.length} bytes`);
}

interface BlockStreamOptions {
  readonly cipher: BlockCipher;
  /** AES: 16, 24 or 32 bytes. 3DES: 24, 16 (two keys) or 8 (single DES). */
  readonly key: Uint8Array;
  /** As long as a block; left out for ECB. */
  readonly iv?: Uint8Array;
  /** PKCS #7. */
  readonly padding: boolean;
}

/** ECB, or CBC with an IV (SP 800-38A). @throws {DataError} for a key or IV of a wrong length. */
export function blockStream(direction: Direction, { cipher, key, iv, padding }: BlockStreamOptions): BlockStream {
  if (iv && iv.length !== blockLength(cipher)) throw new DataError(`${cipher}: an IV of ${iv.length} bytes`);
  const whole = cipher === "3des" ? threeKeys(key) : copySecret(key);
  try {
    const lengths: readonly number[] = cipher === "3des" ? [24] : [16, 24, 32];
    if (!lengths.includes(whole.length)) throw new DataError(`${cipher} key: ${key.length} bytes`);
    return hostCrypto().createCipher({ direction, cipher, mode: iv ? "cbc" : "ecb", key: whole, iv, padding });
  } finally {
    wipe(whole);
  }
}

/** Single and two-key DES as the equivalent three-key DES: OpenSSL 3 has only the latter. */
function threeKeys(key: Uint8Array): Uint8Array {
  if (key.length === 8) return concatSecret(key, key, key);
  return key.length === 16 ? concatSecret(key, key.subarray(0, 8)) : copySecret(key);
}

const AES_BLOCK = 16;

/**
 * AES in counter mode (SP 800-38A section 6.5); both directions are the same.
 * @param counterBits How many of the last bits of the block count, 1 to 128. After their highest value the cipher ends:
 *   OpenSSL would carry into the bits before them.
 * @param block The first counter block, 16 bytes.
 * @throws {DataError} for other lengths; from update, after more input than the counter allows.
 */
export function counterStream(key: Uint8Array, counterBits: number, block: Uint8Array): BlockStream {
  if (![16, 24, 32].includes(key.length)) throw new DataError(`aes key: ${key.length} bytes`);
  if (block.length !== AES_BLOCK || counterBits < 1 || counterBits > 128) {
    throw new DataError("CTR: a block of 16 bytes, of which 1 to 128 bits count");
  }
  const stream = hostCrypto().createCipher({
    direction: "encrypt",
    cipher: "aes",
    mode: "ctr",
    key,
    iv: block,
    padding: false,
  });
  const counters = 1n << BigInt(counterBits);
  let left = (counters - (toNumber(block) % counters)) * BigInt(AES_BLOCK);
  return {
    update(part) {
      if (left < BigInt(part.length)) throw new DataError("CTR: more data than the counter has values");
      left -= BigInt(part.length);
      return stream.update(part);
    },
    final: () => stream.final(),
  };
}

/** Longest message of AES-GCM, in bytes: 2^39 - 256 bits (SP 800-38D section 5.2.1.1). */
const MAX_GCM = 2 ** 36 - 32;

/**
 * AES-GCM (SP 800-38D) for a message in parts; the tag comes last from `final`.
 * @throws {DataError} for parameters that it does not take; from `update`, for a message of more than 2^36 - 32 bytes.
 */
export function sealGcm(parameters: AeadParameters): BlockStream {
  const stream = hostCrypto().sealGcm(parameters);
  let left = MAX_GCM;
  return {
    update(part) {
      if (part.length > left) throw new DataError(`GCM: a message of more than ${MAX_GCM} bytes`);
      left -= part.length;
      return stream.update(part);
    },
    final: () => stream.final(),
  };
}

/** AES-GCM (SP 800-38D). @returns The ciphertext without the tag, and the tag. @throws {DataError} as {@link sealGcm}. */
export function encryptGcm(parameters: AeadParameters, message: Uint8Array): SealedMessage {
  const stream = sealGcm(parameters);
  const sealed = concat(stream.update(message), stream.final());
  const end = sealed.length - parameters.tagLength;
  return { ciphertext: sealed.subarray(0, end), tag: sealed.subarray(end) };
}

/** AES-GCM (SP 800-38D) for a message in parts, in the other direction. @throws {DataError} for parameters that it does not take. */
export const openGcm: HostCrypto["openGcm"] = (parameters) => hostCrypto().openGcm(parameters);

/** @throws {AuthenticationError} if the tag is not the message's: then nothing is known of it. */
export function decryptGcm(parameters: AeadParameters, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array {
  const stream = openGcm(parameters);
  const message = stream.update(ciphertext);
  try {
    return concatSecret(message, stream.final(tag));
  } finally {
    wipe(message);
  }
}

/** AES-CCM (SP 800-38C). As {@link encryptGcm}. */
export const encryptCcm: HostCrypto["encryptCcm"] = (...message) => hostCrypto().encryptCcm(...message);

/** As {@link decryptGcm}. */
export const decryptCcm: HostCrypto["decryptCcm"] = (...message) => hostCrypto().decryptCcm(...message);
