import type { PublicKey, RsaPublicKey } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { KeySizes } from "./scheme.ts";

/** Moduli in bits that the host computes with. */
export const RSA_SIZES: KeySizes = { min: 1024, max: 4096 };

/** @throws {CryptokiError} CKR_KEY_TYPE_INCONSISTENT unless it is an RSA key. */
export function requireRsa(key: PublicKey): RsaPublicKey {
  if (key.type !== "rsa") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism wants an RSA key");
  return key;
}

/** @throws {CryptokiError} CKR_KEY_SIZE_RANGE unless the modulus has `bytes` bytes at least. */
export function requireModulus(key: RsaPublicKey, bytes: number): void {
  if (key.modulus.length < bytes) {
    throw new CryptokiError(CKR.KEY_SIZE_RANGE, `an RSA key of ${key.modulusBits} bits is too short for this`);
  }
}
