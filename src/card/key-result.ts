import {
  digest,
  encodePkcs1Signature,
  hashLength,
  type HashName,
  parsePublicKey,
  type RsaPublicKey,
  rsaPublic,
  verifyEcdsa,
  verifyEddsa,
  verifyPss,
} from "../crypto/index.ts";
import { DataError, equalBytes } from "../bytes/index.ts";
import type { KeyPrimitive } from "./types.ts";

/**
 * Whether `result` is what the private key of `publicKey` gives for `primitive` and `input`. It costs no exchange.
 * @param publicKey SubjectPublicKeyInfo, DER.
 * @returns Undefined where the public key cannot tell: for a key agreement, and for a decryption whose padding the card removed.
 */
export function isKeyResult(
  publicKey: Uint8Array,
  primitive: KeyPrimitive,
  input: Uint8Array,
  result: Uint8Array,
): boolean | undefined {
  try {
    const key = parsePublicKey(publicKey);
    if (key.type === "rsa") {
      const size = key.modulus.length;
      if (primitive === "rsa-pss") return isPssSignature(key, input, result);
      if (primitive === "rsa-raw") return result.length === size && equalBytes(rsaPublic(key, result), input);
      // A block as long as the modulus is a ciphertext; anything shorter is what the card pads and signs.
      if (primitive !== "rsa-pkcs1" || input.length === size) return undefined;
      return result.length === size && equalBytes(rsaPublic(key, result), encodePkcs1Signature(input, size));
    }
    if (key.type === "ec") {
      if (primitive === "ecdsa") return verifyEcdsa(key, input, result);
      if (primitive === "ecdsa-sha1") return verifyEcdsa(key, digest("sha1", input), result);
      return undefined;
    }
    return key.type === "edwards" && primitive === "eddsa" ? verifyEddsa(key, input, result) : undefined;
  } catch (error) {
    // A result that is no number below the modulus, or a key that the host cannot compute with.
    if (error instanceof DataError) return false;
    throw error;
  }
}

/** Hashes of "rsa-pss", told by their lengths. */
const PSS_HASHES: readonly HashName[] = ["sha1", "sha224", "sha256", "sha384", "sha512"];

function isPssSignature(key: RsaPublicKey, input: Uint8Array, result: Uint8Array): boolean {
  const hash = PSS_HASHES.find((name) => hashLength(name) === input.length);
  return hash !== undefined && verifyPss(key, input, { hash, mgfHash: hash, saltLength: input.length }, result);
}
