import { concat, DataError, equalBytes } from "../bytes/index.ts";
import { encodePkcs1Signature } from "./pkcs1.ts";
import { isPss, type PssParameters } from "./pss.ts";
import type { RsaPublicKey } from "./public-key.ts";
import { modulusLength, rsaPublic } from "./rsa.ts";

/**
 * Whether `signature` is the key's over `data` with PKCS#1 v1.5 padding (RFC 8017 section 8.2.2). The block is built and
 * compared, not taken apart: there is nothing in it to misread (Bleichenbacher 2006).
 * @param data The DigestInfo, or whatever else was signed.
 * @throws {DataError} if `data` is too long for the key, or OpenSSL refuses the key.
 */
export function verifyPkcs1(key: RsaPublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  const expected = encodePkcs1Signature(data, modulusLength(key));
  const block = recover(key, signature);
  return block !== undefined && equalBytes(block, expected);
}

/**
 * Whether `signature` is the key's bare operation on `data`, taken as a number (CKM_RSA_X_509).
 * @throws {DataError} if `data` is longer than the modulus, or OpenSSL refuses the key.
 */
export function verifyRsaRaw(key: RsaPublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  const length = modulusLength(key);
  if (data.length > length) throw new DataError(`RSA: ${data.length} bytes, ${length} at most for this key`);
  const block = recover(key, signature);
  return block !== undefined && equalBytes(block, concat(new Uint8Array(length - data.length), data));
}

/**
 * Whether `signature` is the key's over the digest with PSS padding (RFC 8017 section 8.1.2), the salt just as long as
 * `parameters` say.
 * @throws {DataError} if the digest has a wrong length, the key is too short for hash and salt, or OpenSSL refuses it.
 */
export function verifyPss(
  key: RsaPublicKey,
  digest: Uint8Array,
  parameters: PssParameters,
  signature: Uint8Array,
): boolean {
  const block = recover(key, signature);
  return isPss(block ?? new Uint8Array(modulusLength(key)), digest, parameters, key.modulusBits);
}

/** The block that was signed; undefined if `signature` cannot be one of this key's. */
function recover(key: RsaPublicKey, signature: Uint8Array): Uint8Array | undefined {
  if (signature.length !== modulusLength(key)) return undefined;
  return isLessThan(signature, key.modulus) ? rsaPublic(key, signature) : undefined;
}

/** Compares numbers of the same length, most significant byte first. */
function isLessThan(a: Uint8Array, b: Uint8Array): boolean {
  const index = a.findIndex((byte, position) => byte !== b[position]);
  return index >= 0 && (a[index] ?? 0) < (b[index] ?? 0);
}
