import { concatSecret, wipe } from "../../bytes/index.ts";
import { rsaPublic, verifyRsaRaw } from "../../crypto/index.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { blame } from "../error-map.ts";
import { readNoParameter } from "./parameters.ts";
import { RSA_SIZES, RsaKey } from "./rsa-key.ts";
import type { CipherScheme, MechanismFamily, SchemeMaker, SignatureScheme } from "./scheme.ts";

/** The number that `message` is, as long as the modulus (PKCS#11 3.1, X.509 raw RSA: leading zeros are added). */
function pad(message: Uint8Array, length: number): Uint8Array {
  if (message.length > length) {
    throw new CryptokiError(CKR.DATA_LEN_RANGE, `${message.length} bytes, ${length} at most for this key`);
  }
  return concatSecret(new Uint8Array(length - message.length), message);
}

const signature: SchemeMaker<SignatureScheme> = (shape, hash, parameter) => {
  readNoParameter(parameter);
  const key = new RsaKey(shape);
  const { length } = key;
  return {
    hash,
    maxMessage: length,
    signatureLength: length,
    async sign(user, message, signal) {
      const block = pad(message, length);
      key.requireBelowModulus(block, CKR.DATA_INVALID);
      return user.use("rsa-raw", block, signal);
    },
    verify: (message, signed) => blame(CKR.DATA_LEN_RANGE, () => verifyRsaRaw(key.publicKey, message, signed)),
    recover: (signed) => blame(CKR.SIGNATURE_INVALID, () => rsaPublic(key.publicKey, signed)),
  };
};

const cipher: SchemeMaker<CipherScheme> = (shape, _hash, parameter) => {
  readNoParameter(parameter);
  const key = new RsaKey(shape);
  const { length } = key;
  return {
    maxMessage: length,
    ciphertextLength: length,
    encrypt(message) {
      const block = pad(message, length);
      try {
        return blame(CKR.DATA_INVALID, () => rsaPublic(key.publicKey, block));
      } finally {
        wipe(block);
      }
    },
    decrypt: (user, ciphertext, signal) => key.decipher(user, ciphertext, signal),
  };
};

/** CKM_RSA_X_509: the key's bare operation. */
export const rsaRaw: MechanismFamily = {
  keyTypes: [CKK.RSA],
  primitives: ["rsa-raw"],
  sizes: RSA_SIZES,
  signature,
  cipher,
};
