import type { DecipherCCM } from "node:crypto";
import { concat, concatSecret, DataError, wipe } from "../../../bytes/index.ts";
import {
  type AeadParameters,
  AuthenticationError,
  type BlockStream,
  type OpeningStream,
  type SealedMessage,
} from "../host-crypto.ts";
import { nodeCrypto, plain } from "./crypto.ts";

const BLOCK = 16;

/** An element of GF(2^128) as four words, the most significant bit of the first word the coefficient of x^0 (SP 800-38D section 6.3). */
type Element = Uint32Array;

/**
 * Returns a GCM initialisation vector of 16 bytes with the same first counter block J0 for this key as `nonce`, which
 * may have any length but 12 (SP 800-38D section 7.1 step 2): for ciphers that refuse long ones.
 * @param key AES, 16, 24 or 32 bytes.
 * @param algorithm OpenSSL's name of AES-GCM with a key of this length.
 */
export function equivalentGcmNonce(
  key: Uint8Array,
  nonce: Uint8Array,
  algorithm: "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm",
): Uint8Array {
  const hashKey = elementOf(encryptBlocks(key, new Uint8Array(BLOCK)));
  const inverse = invert(hashKey);
  // J0 = GHASH(nonce in blocks, 64 zero bits, its length), and of a nonce n of 16 bytes (n * H + 128) * H.
  const counter = add(additionalHash(key, nonce, algorithm), multiply(lengths(nonce.length, "both"), hashKey));
  const short = multiply(add(multiply(counter, inverse), lengths(BLOCK, "last")), inverse);
  const found = bytesOf(short);
  wipe(bytesUnder(hashKey), bytesUnder(inverse));
  return found;
}

/**
 * GHASH of `nonce` as additional data of an empty message: the tag is GHASH plus the encrypted first counter block.
 * OpenSSL computes it, so that a long one takes no longer than encryption.
 */
function additionalHash(
  key: Uint8Array,
  nonce: Uint8Array,
  algorithm: Parameters<typeof equivalentGcmNonce>[2],
): Element {
  const cipher = nodeCrypto().createCipheriv(algorithm, key, new Uint8Array(12));
  cipher.setAAD(nonce);
  cipher.final();
  const first = new Uint8Array(BLOCK);
  first[BLOCK - 1] = 1;
  return add(elementOf(plain(cipher.getAuthTag())), elementOf(encryptBlocks(key, first)));
}

function encryptBlocks(key: Uint8Array, blocks: Uint8Array): Uint8Array {
  const cipher = nodeCrypto().createCipheriv(`aes-${8 * key.length}-ecb`, key, null);
  cipher.setAutoPadding(false);
  return plain(cipher.update(blocks));
}

/**
 * The last block of GHASH: lengths in bits of additional data and ciphertext, 64 bits each. "last" has the second
 * alone, as for an initialisation vector; "both" converts the block of additional data into that of an initialisation
 * vector.
 */
function lengths(bytes: number, where: "last" | "both"): Element {
  const [high, low] = [Math.floor(bytes / 2 ** 29), (bytes * 8) >>> 0];
  return where === "both" ? Uint32Array.of(high, low, high, low) : Uint32Array.of(0, 0, high, low);
}

function elementOf(bytes: Uint8Array): Element {
  const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK);
  return Uint32Array.from({ length: 4 }, (_, index) => view.getUint32(4 * index));
}

function bytesOf(element: Element): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  const view = new DataView(bytes.buffer);
  element.forEach((word, index) => {
    view.setUint32(4 * index, word);
  });
  return bytes;
}

const bytesUnder = (element: Element): Uint8Array => new Uint8Array(element.buffer);

const add = (a: Element, b: Element): Element => a.map((word, index) => word ^ (b[index] ?? 0));

/** SP 800-38D section 6.3, algorithm 1. Bits only select masks; the operations do not depend on them. */
function multiply(a: Element, b: Element): Element {
  const product = new Uint32Array(4);
  let [v0 = 0, v1 = 0, v2 = 0, v3 = 0] = b;
  for (let bit = 0; bit < 128; bit++) {
    const mask = -(((a[bit >> 5] ?? 0) >>> (31 - (bit & 31))) & 1);
    product[0] = (product[0] ?? 0) ^ (v0 & mask);
    product[1] = (product[1] ?? 0) ^ (v1 & mask);
    product[2] = (product[2] ?? 0) ^ (v2 & mask);
    product[3] = (product[3] ?? 0) ^ (v3 & mask);
    const reduction = -(v3 & 1) & 0xe1000000;
    v3 = (v3 >>> 1) | (v2 << 31);
    v2 = (v2 >>> 1) | (v1 << 31);
    v1 = (v1 >>> 1) | (v0 << 31);
    v0 = (v0 >>> 1) ^ reduction;
  }
  return product;
}

/** a^(2^128 - 2): the inverse. All bits of the exponent but the last are set. */
function invert(a: Element): Element {
  let result = a;
  for (let bit = 0; bit < 126; bit++) result = multiply(multiply(result, result), a);
  return multiply(result, result);
}

/** AES-GCM (SP 800-38D); the tag comes last. @throws {DataError} for parameters that it does not take. */
export function sealGcm(parameters: AeadParameters): BlockStream {
  const cipher = refusing(() => {
    const algorithm = gcm(parameters);
    const nonce = nativeNonce(parameters, algorithm);
    const made = nodeCrypto().createCipheriv(algorithm, parameters.key, nonce, { authTagLength: parameters.tagLength });
    return made.setAAD(parameters.additional);
  });
  return {
    update: (part) => refusing(() => plain(cipher.update(part))),
    final: () => refusing(() => concat(cipher.final(), cipher.getAuthTag())),
  };
}

/** The reverse of {@link sealGcm}. @throws {DataError} for parameters that it does not take. */
export function openGcm(parameters: AeadParameters): OpeningStream {
  const decipher = refusing(() => {
    const algorithm = gcm(parameters);
    const nonce = nativeNonce(parameters, algorithm);
    const { key, tagLength, additional } = parameters;
    return nodeCrypto().createDecipheriv(algorithm, key, nonce, { authTagLength: tagLength }).setAAD(additional);
  });
  return {
    update: (part) => refusing(() => plain(decipher.update(part))),
    final: (tag) => authenticating(() => plain(decipher.setAuthTag(tag).final())),
  };
}

/** AES-CCM (SP 800-38C). @returns The ciphertext without the tag, and the tag. @throws {DataError} for parameters that it does not take. */
export function encryptCcm(parameters: AeadParameters, message: Uint8Array): SealedMessage {
  return refusing(() => {
    const cipher = nodeCrypto().createCipheriv(ccm(parameters), parameters.key, parameters.nonce, {
      authTagLength: parameters.tagLength,
    });
    cipher.setAAD(parameters.additional, { plaintextLength: message.length });
    const ciphertext = concat(cipher.update(message), cipher.final());
    return { ciphertext, tag: plain(cipher.getAuthTag()) };
  });
}

/** As {@link decryptGcm}. */
export function decryptCcm(parameters: AeadParameters, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array {
  const decipher = refusing(() => {
    const made = nodeCrypto().createDecipheriv(ccm(parameters), parameters.key, parameters.nonce, {
      authTagLength: tag.length,
    });
    made.setAuthTag(tag);
    return made.setAAD(parameters.additional, { plaintextLength: ciphertext.length });
  });
  return opened(decipher, ciphertext);
}

const bits = ({ key }: AeadParameters): 128 | 192 | 256 => {
  if (key.length === 16) return 128;
  if (key.length === 24) return 192;
  if (key.length === 32) return 256;
  throw new DataError(`aes key: ${key.length} bytes`);
};
const gcm = (parameters: AeadParameters) => `aes-${bits(parameters)}-gcm` as const;
/** OpenSSL takes initialisation vectors of up to 128 bytes for GCM. */
const nativeNonce = ({ key, nonce }: AeadParameters, algorithm: ReturnType<typeof gcm>): Uint8Array =>
  nonce.length > 128 ? equivalentGcmNonce(key, nonce, algorithm) : nonce;
const ccm = (parameters: AeadParameters) => `aes-${bits(parameters)}-ccm` as const;

function refusing<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError("authenticated encryption: a nonce, tag or message of a length that is not allowed", { cause });
  }
}

/** Wipes unauthenticated plaintext. */
function opened(decipher: DecipherCCM, ciphertext: Uint8Array): Uint8Array {
  let message: Uint8Array = new Uint8Array();
  try {
    return authenticating(() => {
      message = decipher.update(ciphertext);
      return concatSecret(message, decipher.final());
    });
  } finally {
    wipe(message);
  }
}

function authenticating<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new AuthenticationError("authenticated encryption: the tag does not match the message", { cause });
  }
}
