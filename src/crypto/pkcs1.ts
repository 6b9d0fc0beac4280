import { createHmac } from "node:crypto";
import { concat, concatSecret, copySecret, DataError, utf8, wipe } from "../bytes/index.ts";
import { isEqual, isLess, select } from "./constant-time.ts";
import { plain } from "./plain.ts";
import { randomBytes } from "./random.ts";

/** 00, the block type, at least 8 bytes of padding, 00 (RFC 8017 sections 7.2.1 and 9.2). */
const OVERHEAD = 11;

/**
 * EMSA-PKCS1-v1_5 (RFC 8017 section 9.2 steps 3 to 5): the block that the private key is applied to.
 * @param data A DigestInfo, or whatever else the caller signs.
 * @param length Of the modulus in bytes.
 * @throws {DataError} if `data` is longer than `length` - 11.
 */
export function encodePkcs1Signature(data: Uint8Array, length: number): Uint8Array {
  checkLength(data, length);
  const padding = new Uint8Array(length - 3 - data.length).fill(0xff);
  return concat(Uint8Array.of(0x00, 0x01), padding, Uint8Array.of(0x00), data);
}

/**
 * EME-PKCS1-v1_5 (RFC 8017 section 7.2.1 step 2): the block that a public key is applied to.
 * @param length Of the modulus in bytes.
 * @throws {DataError} if `message` is longer than `length` - 11.
 */
export function encodePkcs1Encryption(message: Uint8Array, length: number): Uint8Array {
  checkLength(message, length);
  const padding = randomBytes(length - 3 - message.length);
  while (padding.includes(0)) padding.forEach((byte, index) => (padding[index] = byte || (randomBytes(1)[0] ?? 0)));
  return concatSecret(Uint8Array.of(0x00, 0x02), padding, Uint8Array.of(0x00), message);
}

/**
 * EMSA-PKCS1-v1_5 taken off again, for a signature that holds its message (PKCS#11 3.1 section 5.14).
 * @param block What the public key made of a signature.
 * @returns What was signed.
 * @throws {DataError} if it is not 00 01, at least 8 times FF, 00.
 */
export function decodePkcs1Signature(block: Uint8Array): Uint8Array {
  const end = block.findIndex((byte, index) => index >= 2 && byte !== 0xff);
  if (block[0] !== 0x00 || block[1] !== 0x01 || end < OVERHEAD - 1 || block[end] !== 0x00) {
    throw new DataError("PKCS#1 v1.5: not the block of a signature");
  }
  return block.slice(end + 1);
}

function checkLength(data: Uint8Array, length: number): void {
  if (data.length > length - OVERHEAD) {
    throw new DataError(`PKCS#1 v1.5: ${data.length} bytes, ${Math.max(0, length - OVERHEAD)} at most for this key`);
  }
}

/**
 * EME-PKCS1-v1_5 decoding with implicit rejection (RFC 8017 section 7.2.2 step 3; draft-irtf-cfrg-rsa-guidance):
 * a block with wrong padding gives a message too, of random looking length and content, always the same for the same block.
 * There is no error that would make the caller an oracle (Bleichenbacher 1998); whoever protects a message finds out by its
 * own check.
 *
 * The draft draws the substitute from a hash of the private exponent and the ciphertext. The exponent is on the card, so it
 * is drawn from the decrypted block instead. That block is m = c^d mod n, as secret as the exponent is to whoever has only
 * c: to compute the substitute is to know m already, and a guess of m can be tested without us by encrypting it. It also is
 * a function of key and ciphertext alone, so repeating a ciphertext in another process tells nothing, which a random
 * secret in each process could not promise.
 *
 * @param block As long as the modulus, from the private key's bare operation. Stays the caller's to wipe.
 */
export function decodePkcs1Encryption(block: Uint8Array): Uint8Array {
  const length = block.length;
  if (length < OVERHEAD) throw new DataError(`PKCS#1 v1.5: a block of ${length} bytes`);
  const { valid, messageLength } = examine(block);
  const key = hmac(utf8("PKCS#1 v1.5 implicit rejection"), block);
  const substitute = expand(key, "message", length);
  const substituteLength = drawLength(expand(key, "length", 2 * CANDIDATES), length);

  const mixed = substitute.map((byte, index) => select(valid, block[index] ?? 0, byte));
  const chosenLength = select(valid, messageLength, substituteLength);
  const message = copySecret(mixed.subarray(length - chosenLength));
  wipe(mixed, substitute, key);
  return message;
}

/** Whether the padding is right (1 or 0), and how long the message behind the first zero byte is. */
function examine(block: Uint8Array): { valid: number; messageLength: number } {
  let found = 0;
  let separator = 0;
  for (let index = 2; index < block.length; index++) {
    const zero = isEqual(block[index] ?? 0, 0);
    separator = select(zero & (found ^ 1), index, separator);
    found |= zero;
  }
  const head = isEqual(block[0] ?? 0, 0) & isEqual(block[1] ?? 0, 2);
  // At least 8 bytes of padding: the zero byte stands at 10 or later.
  const valid = head & found & (isLess(separator, OVERHEAD - 1) ^ 1);
  return { valid, messageLength: block.length - 1 - separator };
}

/** Each fits with a chance of one half or more, so that none does once in 2^128 (draft-irtf-cfrg-rsa-guidance). */
const CANDIDATES = 128;

/** The last of the 16-bit candidates that, cut to the bits of the longest message, is the length of a possible one. */
function drawLength(candidates: Uint8Array, blockLength: number): number {
  const bound = blockLength - OVERHEAD + 1;
  const mask = 2 ** (32 - Math.clz32(bound)) - 1;
  let length = 0;
  for (let index = 0; index < candidates.length; index += 2) {
    const candidate = (((candidates[index] ?? 0) << 8) | (candidates[index + 1] ?? 0)) & mask;
    length = select(isLess(candidate, bound), candidate, length);
  }
  return length;
}

/** The draft's IRPRF: HMAC-SHA-256 over a counter, the label and the length in bits, 16 bits each number. */
function expand(key: Uint8Array, label: string, length: number): Uint8Array {
  const bits = 8 * length;
  const suffix = concat(utf8(label), Uint8Array.of(bits >> 8, bits & 0xff));
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    hmac(key, concat(Uint8Array.of(index >> 8, index & 0xff), suffix)),
  );
  return concat(...blocks).subarray(0, length);
}

function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return plain(createHmac("sha256", key).update(data).digest());
}
