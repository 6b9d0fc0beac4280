import { concat, concatSecret, copySecret, DataError, wipe } from "../bytes/index.ts";
import { isEqual, select } from "./constant-time.ts";
import { digest, hashLength, type HashName } from "./hash.ts";
import { masked } from "./mgf1.ts";
import { randomBytes } from "./random.ts";

/** CK_RSA_PKCS_OAEP_PARAMS, in words. */
export interface OaepParameters {
  readonly hash: HashName;
  /** Hash of the mask generation function, MGF1. */
  readonly mgfHash: HashName;
  /** Empty if there is none. */
  readonly label?: Uint8Array;
}

const EMPTY = new Uint8Array();

/**
 * EME-OAEP (RFC 8017 section 7.1.1 step 2): the block that a public key is applied to.
 * @param length Of the modulus in bytes.
 * @throws {DataError} if `message` is longer than `length` less two hashes and 2.
 */
export function encodeOaep(message: Uint8Array, parameters: OaepParameters, length: number): Uint8Array {
  const { hash, mgfHash, label = EMPTY } = parameters;
  const hLength = hashLength(hash);
  const zeros = length - message.length - 2 * hLength - 2;
  if (zeros < 0) {
    throw new DataError(`OAEP: ${message.length} bytes, ${Math.max(0, length - 2 * hLength - 2)} at most for this key`);
  }
  const db = concatSecret(digest(hash, label), new Uint8Array(zeros), Uint8Array.of(0x01), message);
  const seed = randomBytes(hLength);
  const maskedDb = masked(mgfHash, seed, db);
  const block = concat(Uint8Array.of(0x00), masked(mgfHash, maskedDb, seed), maskedDb);
  wipe(db, seed);
  return block;
}

/**
 * EME-OAEP decoding (RFC 8017 section 7.1.2 step 3). Whatever is wrong, the error is the same and comes after the same work:
 * to tell a leading byte that is not zero from the rest would give the message away (Manger 2001).
 * @param block As long as the modulus, from the private key's bare operation. Stays the caller's to wipe.
 * @throws {DataError} "OAEP: decryption error".
 */
export function decodeOaep(block: Uint8Array, parameters: OaepParameters): Uint8Array {
  const { hash, mgfHash, label = EMPTY } = parameters;
  const hLength = hashLength(hash);
  if (block.length < 2 * hLength + 2) throw new DataError(`OAEP: the key is too short for ${hash}`);
  const maskedDb = block.subarray(1 + hLength);
  const seed = masked(mgfHash, maskedDb, block.subarray(1, 1 + hLength));
  const db = masked(mgfHash, seed, maskedDb);

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
