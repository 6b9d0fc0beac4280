import { wipe } from "../../bytes/index.ts";
import { decodeOaep, encodeOaep, hashLength, rsaPublic } from "../../crypto/index.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { blame } from "../error-map.ts";
import { readOaepParameters } from "./parameters.ts";
import { RSA_SIZES, RsaKey } from "./rsa-key.ts";
import type { CipherScheme, MechanismFamily, SchemeMaker } from "./scheme.ts";

const cipher: SchemeMaker<CipherScheme> = (shape, _hash, parameter) => {
  const key = new RsaKey(shape);
  const parameters = readOaepParameters(parameter);
  const { length } = key;
  const overhead = 2 * hashLength(parameters.hash) + 2;
  key.requireLength(overhead);
  return {
    maxMessage: length - overhead,
    ciphertextLength: length,
    encrypt(message) {
      const block = blame(CKR.DATA_LEN_RANGE, () => encodeOaep(message, parameters, length));
      try {
        return rsaPublic(key.publicKey, block);
      } finally {
        wipe(block);
      }
    },
    async decrypt(user, ciphertext, signal) {
      const block = await key.decipher(user, ciphertext, signal);
      try {
        return blame(CKR.ENCRYPTED_DATA_INVALID, () => decodeOaep(block, parameters));
      } finally {
        wipe(block);
      }
    },
  };
};

/** CKM_RSA_PKCS_OAEP (RFC 8017 section 7.1). */
export const rsaOaep: MechanismFamily = {
  keyTypes: [CKK.RSA],
  primitives: ["rsa-raw"],
  sizes: RSA_SIZES,
  cipher,
};
