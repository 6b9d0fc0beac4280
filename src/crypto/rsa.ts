import { constants, publicEncrypt } from "node:crypto";
import { DataError } from "../bytes/index.ts";
import { plain } from "./plain.ts";
import { importPublicKey, type RsaPublicKey } from "./public-key.ts";

/** Length of the modulus, of signatures and of ciphertexts, in bytes. */
export function modulusLength(key: RsaPublicKey): number {
  return key.modulus.length;
}

/**
 * block^e mod n, without padding: encrypts a padded block, or recovers the one that was signed.
 * @param block As long as the modulus, and less than it as a number.
 * @throws {DataError} if it is not, or OpenSSL refuses the key.
 */
export function rsaPublic(key: RsaPublicKey, block: Uint8Array): Uint8Array {
  const imported = importPublicKey(key);
  if (block.length !== modulusLength(key)) {
    throw new DataError(`RSA: a block of ${block.length} bytes, ${modulusLength(key)} wanted`);
  }
  try {
    return plain(publicEncrypt({ key: imported, padding: constants.RSA_NO_PADDING }, block));
  } catch (cause) {
    throw new DataError("RSA: the block is not less than the modulus", { cause });
  }
}
