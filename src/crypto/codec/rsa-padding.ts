import { derNull, derOctetString, derOid, derSequence } from "../../asn1/index.ts";
import { concat, concatSecret, copySecret, DataError, equalBytes, utf8, wipe } from "../../bytes/index.ts";
import { hashLength, type HashName, hashOid } from "./hashes.ts";

/**
 * Branch-free selections, for data whose value must not affect the time of handling. A just-in-time compiler gives no
 * guarantee, so this is best effort: no branch, no index and no early end depends on a secret. Bits are 0 or 1.
 */

/** 1 if `a` equals `b`. Both below 2^31. */
function isEqual(a: number, b: number): number {
  const difference = a ^ b;
  return ((difference | -difference) >>> 31) ^ 1;
}

/** 1 if `a` is less than `b`. Both below 2^30. */
function isLess(a: number, b: number): number {
  return (a - b) >>> 31;
}

/** `a` if `bit` is 1, `b` if it is 0. Both below 2^31. */
function select(bit: number, a: number, b: number): number {
  return b ^ (-bit & (a ^ b));
}

/** What paddings are made of: hash, MAC and random numbers of the host. */
export interface PaddingCrypto {
  readonly digest: (hash: HashName, ...parts: readonly Uint8Array[]) => Uint8Array;
  readonly hmac: (hash: HashName, key: Uint8Array, ...parts: readonly Uint8Array[]) => Uint8Array;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** 00, the block type, at least 8 bytes of padding, 00 (RFC 8017 sections 7.2.1 and 9.2). */
const OVERHEAD = 11;

/**
 * EMSA-PKCS1-v1_5 (RFC 8017 section 9.2 steps 3 to 5): the block for the private key.
 * @param data A DigestInfo, or other data that the caller signs.
 * @param length Of the modulus in bytes.
 * @throws {DataError} if `data` is longer than `length` - 11.
 */
export function encodePkcs1Signature(data: Uint8Array, length: number): Uint8Array {
  checkLength(data, length);
  const padding = new Uint8Array(length - 3 - data.length).fill(0xff);
  return concat(Uint8Array.of(0x00, 0x01), padding, Uint8Array.of(0x00), data);
}

/**
 * EME-PKCS1-v1_5 (RFC 8017 section 7.2.1 step 2): the block for the public key.
 * @param length Of the modulus in bytes.
 * @throws {DataError} if `message` is longer than `length` - 11.
 */
export function encodePkcs1Encryption({ randomBytes }: PaddingCrypto, message: Uint8Array, length: number): Uint8Array {
  checkLength(message, length);
  const padding = randomBytes(length - 3 - message.length);
  while (padding.includes(0)) padding.forEach((byte, index) => (padding[index] = byte || (randomBytes(1)[0] ?? 0)));
  return concatSecret(Uint8Array.of(0x00, 0x02), padding, Uint8Array.of(0x00), message);
}

/**
 * Removes EMSA-PKCS1-v1_5 padding, for signatures with message recovery (PKCS#11 3.1 section 5.14).
 * @param block The result of the public key operation on a signature.
 * @returns The signed data.
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
    throw new DataError(
      `PKCS#1 v1.5: ${data.length} bytes; the limit for this key is ${Math.max(0, length - OVERHEAD)}`,
    );
  }
}

/**
 * EME-PKCS1-v1_5 decoding with implicit rejection (RFC 8017 section 7.2.2 step 3; draft-irtf-cfrg-rsa-guidance): a
 * block with wrong padding also gives a message, of random looking length and content, always the same for the same
 * block. So there is no error that would make the caller an oracle (Bleichenbacher 1998); protocols detect a wrong
 * message by their own checks.
 *
 * The draft derives the substitute from a hash of the private exponent and the ciphertext. The exponent is on the card,
 * so the substitute is derived from the decrypted block instead. That block is m = c^d mod n, which is as secret as the
 * exponent for an attacker who has only c: computing the substitute requires m, and a guess of m can be tested without
 * us by encrypting it. It is also a function of key and ciphertext alone, so repeating a ciphertext in another process
 * reveals nothing, which a random secret in each process could not guarantee.
 * @param block As long as the modulus, from the private key's raw operation. The caller wipes it.
 */
export function decodePkcs1Encryption({ hmac }: PaddingCrypto, block: Uint8Array): Uint8Array {
  const length = block.length;
  if (length < OVERHEAD) throw new DataError(`PKCS#1 v1.5: a block of ${length} bytes`);
  const { valid, messageLength } = examine(block);
  const key = hmac("sha256", utf8("PKCS#1 v1.5 implicit rejection"), block);
  const substitute = expand(hmac, key, "message", length);
  const substituteLength = drawLength(expand(hmac, key, "length", 2 * CANDIDATES), length);

  const mixed = substitute.map((byte, index) => select(valid, block[index] ?? 0, byte));
  const chosenLength = select(valid, messageLength, substituteLength);
  const message = copySecret(mixed.subarray(length - chosenLength));
  wipe(mixed, substitute, key);
  return message;
}

/** Whether the padding is right (1 or 0), and the length of the message after the first zero byte. */
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

/**
 * Each candidate fits with a chance of at least one half, so that all fail once in 2^128
 * (draft-irtf-cfrg-rsa-guidance).
 */
const CANDIDATES = 128;

/** The last of the 16-bit candidates that, truncated to the bits of the longest message, is a possible length. */
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
function expand(hmac: PaddingCrypto["hmac"], key: Uint8Array, label: string, length: number): Uint8Array {
  const bits = 8 * length;
  const suffix = concat(utf8(label), Uint8Array.of(bits >> 8, bits & 0xff));
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    hmac("sha256", key, concat(Uint8Array.of(index >> 8, index & 0xff), suffix)),
  );
  return concat(...blocks).subarray(0, length);
}

/**
 * Encodes the DigestInfo of a hash's result, DER, which PKCS#1 v1.5 signs (RFC 8017 section 9.2 step 2).
 * @throws {DataError} if `digest` does not have the hash's length.
 */
export function digestInfo(hash: HashName, digest: Uint8Array): Uint8Array {
  const { prefix, length } = DIGEST_INFOS.get(hash) ?? digestInfoForm(hash);
  if (digest.length !== length) checkDigest(hash, digest);
  return concat(prefix, digest);
}

/** What a DigestInfo has before the digest, which stands at its end (RFC 8017 section 9.2 note 1). */
interface DigestInfoForm {
  readonly prefix: Uint8Array;
  /** Of the digest. */
  readonly length: number;
}

const DIGEST_INFOS = new Map<HashName, DigestInfoForm>();

function digestInfoForm(hash: HashName): DigestInfoForm {
  const length = hashLength(hash);
  const info = derSequence(derSequence(derOid(hashOid(hash)), derNull()), derOctetString(new Uint8Array(length)));
  const form = { prefix: info.subarray(0, info.length - length), length };
  DIGEST_INFOS.set(hash, form);
  return form;
}

/** @throws {DataError} if `digest` does not have the hash's length. */
function checkDigest(hash: HashName, digest: Uint8Array): void {
  if (digest.length !== hashLength(hash)) {
    throw new DataError(`${hash} digest: ${digest.length} bytes instead of ${hashLength(hash)}`);
  }
}

/** MGF1 (RFC 8017 appendix B.2.1): `length` bytes of mask out of `seed`. */
function mgf1(digest: PaddingCrypto["digest"], hash: HashName, seed: Uint8Array, length: number): Uint8Array {
  const step = hashLength(hash);
  const mask = new Uint8Array(Math.ceil(length / step) * step);
  const counter = new DataView(new ArrayBuffer(4));
  for (let offset = 0; offset < length; offset += step) {
    counter.setUint32(0, offset / step);
    mask.set(digest(hash, seed, new Uint8Array(counter.buffer)), offset);
  }
  return mask.subarray(0, length);
}

/** `data` under the mask that `seed` gives. */
function masked(digest: PaddingCrypto["digest"], hash: HashName, seed: Uint8Array, data: Uint8Array): Uint8Array {
  const mask = mgf1(digest, hash, seed, data.length);
  return data.map((byte, index) => byte ^ (mask[index] ?? 0));
}

/** CK_RSA_PKCS_OAEP_PARAMS with names. */
export interface OaepParameters {
  readonly hash: HashName;
  /** Hash of the mask generation function, MGF1. */
  readonly mgfHash: HashName;
  /** Empty if there is none. */
  readonly label?: Uint8Array;
}

const EMPTY = new Uint8Array();

/**
 * EME-OAEP (RFC 8017 section 7.1.1 step 2): the block for the public key.
 * @param length Of the modulus in bytes.
 * @throws {DataError} if `message` is longer than `length` less two hashes and 2.
 */
export function encodeOaep(
  { digest, randomBytes }: PaddingCrypto,
  message: Uint8Array,
  parameters: OaepParameters,
  length: number,
): Uint8Array {
  const { hash, mgfHash, label = EMPTY } = parameters;
  const hLength = hashLength(hash);
  const zeros = length - message.length - 2 * hLength - 2;
  if (zeros < 0) {
    throw new DataError(
      `OAEP: ${message.length} bytes; the limit for this key is ${Math.max(0, length - 2 * hLength - 2)}`,
    );
  }
  const db = concatSecret(digest(hash, label), new Uint8Array(zeros), Uint8Array.of(0x01), message);
  const seed = randomBytes(hLength);
  const maskedDb = masked(digest, mgfHash, seed, db);
  const block = concat(Uint8Array.of(0x00), masked(digest, mgfHash, maskedDb, seed), maskedDb);
  wipe(db, seed);
  return block;
}

/**
 * EME-OAEP decoding (RFC 8017 section 7.1.2 step 3). Every failure gives the same error after the same work:
 * distinguishing a nonzero leading byte from other errors would reveal the message (Manger 2001).
 * @param block As long as the modulus, from the private key's raw operation. The caller wipes it.
 * @throws {DataError} "OAEP: decryption error".
 */
export function decodeOaep({ digest }: PaddingCrypto, block: Uint8Array, parameters: OaepParameters): Uint8Array {
  const { hash, mgfHash, label = EMPTY } = parameters;
  const hLength = hashLength(hash);
  if (block.length < 2 * hLength + 2) throw new DataError(`OAEP: the key is too short for ${hash}`);
  const maskedDb = block.subarray(1 + hLength);
  const seed = masked(digest, mgfHash, maskedDb, block.subarray(1, 1 + hLength));
  const db = masked(digest, mgfHash, seed, maskedDb);

  let wrong = block[0] ?? 0;
  digest(hash, label).forEach((byte, index) => (wrong |= byte ^ (db[index] ?? 0)));
  let looking = 1;
  let separator = 0;
  for (let index = hLength; index < db.length; index++) {
    const byte = db[index] ?? 0;
    const one = isEqual(byte, 0x01);
    separator = select(looking & one, index, separator);
    wrong |= looking & (one ^ 1) & (isEqual(byte, 0x00) ^ 1);
    looking &= one ^ 1;
  }
  wrong |= looking;

  const message = copySecret(db.subarray(separator + 1));
  wipe(db, seed);
  if (wrong !== 0) {
    wipe(message);
    throw new DataError("OAEP: decryption error");
  }
  return message;
}

/** CK_RSA_PKCS_PSS_PARAMS with names. */
export interface PssParameters {
  readonly hash: HashName;
  /** Hash of the mask generation function, MGF1. */
  readonly mgfHash: HashName;
  /** In bytes. */
  readonly saltLength: number;
}

const PADDING1 = new Uint8Array(8);
const TRAILER = 0xbc;

/**
 * EMSA-PSS (RFC 8017 section 9.1.1) over the hash of a message: the block for the private key, as long as the modulus.
 * @param salt Default: random; given for test vectors.
 * @throws {DataError} if the digest has a wrong length, or the key is too short for hash and salt.
 */
export function encodePss(
  { digest, randomBytes }: PaddingCrypto,
  hashed: Uint8Array,
  parameters: PssParameters,
  modulusBits: number,
  salt?: Uint8Array,
): Uint8Array {
  const { hash, mgfHash, saltLength } = parameters;
  const layout = pssLayout(hashed, parameters, modulusBits);
  const chosen = salt ?? randomBytes(saltLength);
  if (chosen.length !== saltLength)
    throw new DataError(`PSS: a salt of ${chosen.length} bytes instead of ${saltLength}`);
  const h = digest(hash, PADDING1, hashed, chosen);
  const padding = new Uint8Array(layout.dbLength - saltLength - 1);
  const db = masked(digest, mgfHash, h, concat(padding, Uint8Array.of(0x01), chosen));
  db[0] = (db[0] ?? 0) & layout.topMask;
  return concat(new Uint8Array(layout.leadingZeros), db, h, Uint8Array.of(TRAILER));
}

/**
 * EMSA-PSS verification (RFC 8017 section 9.1.2): whether `block`, as long as the modulus, encodes this digest with a
 * salt of exactly this length.
 * @throws {DataError} if the digest has a wrong length, or the key is too short for hash and salt.
 */
export function isPss(
  { digest }: PaddingCrypto,
  block: Uint8Array,
  hashed: Uint8Array,
  parameters: PssParameters,
  modulusBits: number,
): boolean {
  const { hash, mgfHash, saltLength } = parameters;
  const { leadingZeros, dbLength, topMask } = pssLayout(hashed, parameters, modulusBits);
  const h = block.subarray(leadingZeros + dbLength, -1);
  if (block.subarray(0, leadingZeros).some((byte) => byte !== 0) || block.at(-1) !== TRAILER) return false;
  const maskedDb = block.subarray(leadingZeros, leadingZeros + dbLength);
  if (((maskedDb[0] ?? 0) & ~topMask) !== 0) return false;
  const db = masked(digest, mgfHash, h, maskedDb);
  db[0] = (db[0] ?? 0) & topMask;
  const one = dbLength - saltLength - 1;
  if (db.subarray(0, one).some((byte) => byte !== 0) || db[one] !== 0x01) return false;
  return equalBytes(h, digest(hash, PADDING1, hashed, db.subarray(one + 1)));
}

/** Offsets in a block of the modulus' length; emBits is one less than the modulus' bits (section 8.1.1). */
function pssLayout(
  hashed: Uint8Array,
  { hash, saltLength }: PssParameters,
  modulusBits: number,
): { leadingZeros: number; dbLength: number; topMask: number } {
  checkDigest(hash, hashed);
  const length = Math.ceil(modulusBits / 8);
  const encodedLength = Math.ceil((modulusBits - 1) / 8);
  const dbLength = encodedLength - hashLength(hash) - 1;
  if (saltLength < 0 || dbLength < saltLength + 1) {
    throw new DataError(`PSS: ${hash} with a salt of ${saltLength} bytes does not fit a key of ${modulusBits} bits`);
  }
  return {
    leadingZeros: length - encodedLength,
    dbLength,
    topMask: 0xff >> (8 * encodedLength - (modulusBits - 1)),
  };
}
