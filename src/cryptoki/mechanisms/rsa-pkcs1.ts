import {
  decodePkcs1Encryption,
  decodePkcs1Signature,
  digestInfo,
  encodePkcs1Encryption,
  encodePkcs1Signature,
  hashLength,
  rsaPublic,
  verifyPkcs1,
} from "../../crypto/index.ts";
import { wipe } from "../../bytes/index.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { blame, deciphered } from "../error-map.ts";
import { readNoParameter } from "./parameters.ts";
import { RSA_SIZES, RsaKey } from "./rsa-key.ts";
import type { CipherScheme, MechanismFamily, SchemeMaker, SignatureScheme } from "./scheme.ts";

/** 00 01 or 02, at least 8 bytes of padding, 00 (RFC 8017 sections 7.2.1 and 9.2). */
const OVERHEAD = 11;

const signature: SchemeMaker<SignatureScheme> = (shape, hash, parameter) => {
  readNoParameter(parameter);
  const key = new RsaKey(shape);
  const { length } = key;
  if (hash) key.requireLength(OVERHEAD + digestInfo(hash, new Uint8Array(hashLength(hash))).length);
  const encode = (message: Uint8Array): Uint8Array => (hash ? digestInfo(hash, message) : message);
  return {
    hash,
    maxMessage: length - OVERHEAD,
    signatureLength: length,
    async sign(user, message, signal) {
      const data = encode(message);
      // The card's own padding takes a shorter command.
      if (user.primitives.includes("rsa-pkcs1")) return user.use("rsa-pkcs1", data, signal);
      const block = blame(CKR.DATA_LEN_RANGE, () => encodePkcs1Signature(data, length));
      return user.use("rsa-raw", block, signal);
    },
    verify: (message, signed) => blame(CKR.DATA_LEN_RANGE, () => verifyPkcs1(key.publicKey, encode(message), signed)),
    recover: (signed) => blame(CKR.SIGNATURE_INVALID, () => decodePkcs1Signature(rsaPublic(key.publicKey, signed))),
  };
};

const cipher: SchemeMaker<CipherScheme> = (shape, _hash, parameter) => {
  readNoParameter(parameter);
  const key = new RsaKey(shape);
  const { length } = key;
  return {
    maxMessage: length - OVERHEAD,
    ciphertextLength: length,
    encrypt(message) {
      const block = blame(CKR.DATA_LEN_RANGE, () => encodePkcs1Encryption(message, length));
      try {
        return rsaPublic(key.publicKey, block);
      } finally {
        wipe(block);
      }
    },
    async decrypt(user, ciphertext, signal) {
      // Padding that is wrong is rejected implicitly here; a card that takes it off itself may tell an attacker.
      if (!user.primitives.includes("rsa-raw")) return deciphered(user.use("rsa-pkcs1", ciphertext, signal));
      const block = await key.decipher(user, ciphertext, signal);
      try {
        return blame(CKR.ENCRYPTED_DATA_INVALID, () => decodePkcs1Encryption(block));
      } finally {
        wipe(block);
      }
    },
  };
};

/** CKM_RSA_PKCS and CKM_SHA*_RSA_PKCS: PKCS #1 v1.5 (RFC 8017 sections 7.2 and 8.2). */
export const rsaPkcs1: MechanismFamily = {
  keyTypes: [CKK.RSA],
  primitives: ["rsa-raw", "rsa-pkcs1"],
  sizes: RSA_SIZES,
  signature,
  cipher,
};
