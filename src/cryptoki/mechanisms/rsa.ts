import { concatSecret, wipe } from "../../bytes/index.ts";
import {
  decodeOaep,
  decodePkcs1Encryption,
  decodePkcs1Signature,
  digestInfo,
  encodeOaep,
  encodePkcs1Encryption,
  encodePkcs1Signature,
  encodePss,
  hashLength,
  type HashName,
  type KeyShape,
  pssObjection,
  type PssParameters,
  rsaPublic,
  type RsaPublicKey,
  verifyPkcs1,
  verifyPss,
  verifyRsaRaw,
} from "../../crypto/index.ts";
import { CKK } from "../constants/ck.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, CryptokiError, mapDecryptionError } from "../errors.ts";
import type { CipherScheme, KeySizes, KeyUser, MechanismFamily, SchemeMaker, SignatureScheme } from "./family.ts";
import { readNoParameter, readOaepParameters, readPssParameters } from "./parameters.ts";

/** Moduli in bits that the host supports. */
export const RSA_SIZES: KeySizes = { min: 1024, max: 4096 };

/** An RSA key pair; its size is known, its numbers may be. */
class RsaKey {
  readonly modulusBits: number;
  readonly #publicKey: RsaPublicKey | undefined;

  /**
   * @throws {CryptokiError} CKR_KEY_TYPE_INCONSISTENT unless it is an RSA key; CKR_KEY_FUNCTION_NOT_PERMITTED for
   *   another padding with a key whose certificate allows RSASSA-PSS only.
   */
  constructor(key: KeyShape, padding: "pss" | "other" = "other") {
    if (key.type !== "rsa") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism needs an RSA key");
    if (key.pss !== undefined && padding !== "pss") {
      throw new CryptokiError(
        CKR.KEY_FUNCTION_NOT_PERMITTED,
        "the key works only with RSASSA-PSS: use CKM_RSA_PKCS_PSS",
      );
    }
    this.modulusBits = key.modulusBits;
    this.#publicKey = "modulus" in key ? (key as RsaPublicKey) : undefined;
  }

  /** Of the modulus, in bytes. */
  get length(): number {
    return Math.ceil(this.modulusBits / 8);
  }

  /** For the public half's operations. */
  get publicKey(): RsaPublicKey {
    if (!this.#publicKey) throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "a public key is needed for this");
    return this.#publicKey;
  }

  /**
   * Checks that `block`, as long as the modulus, is less than it as a number: a card would refuse it with an arbitrary
   * status word. Skipped if the modulus is unknown.
   * @throws {CryptokiError} `rv`.
   */
  requireBelowModulus(block: Uint8Array, rv: number): void {
    const modulus = this.#publicKey?.modulus;
    if (!modulus) return;
    const differs = block.findIndex((byte, index) => byte !== modulus[index]);
    if (differs < 0 || (block[differs] ?? 0) > (modulus[differs] ?? 0)) {
      throw new CryptokiError(rv, "as a number, the data is not less than the key's modulus");
    }
  }

  /**
   * Decrypts a ciphertext as long as the modulus to a padded block. The caller wipes the block.
   * @throws {CryptokiError} CKR_ENCRYPTED_DATA_INVALID for an impossible ciphertext; the card's errors.
   */
  async decipher(user: KeyUser, ciphertext: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    this.requireBelowModulus(ciphertext, CKR.ENCRYPTED_DATA_INVALID);
    const block = user.use("rsa-raw", ciphertext, signal);
    // The ciphertext was checked with the modulus, so the card's "wrong data" (6A80) has another cause.
    return this.#publicKey ? block : mapDecryptionError(block);
  }

  /** @throws {CryptokiError} CKR_KEY_SIZE_RANGE unless the modulus has at least `bytes` bytes. */
  requireLength(bytes: number): void {
    if (this.length >= bytes) return;
    throw new CryptokiError(CKR.KEY_SIZE_RANGE, `an RSA key of ${this.modulusBits} bits is too short for this`);
  }
}

const oaepCipher: SchemeMaker<CipherScheme> = (shape, _hash, parameter) => {
  const key = new RsaKey(shape);
  const parameters = readOaepParameters(parameter);
  const { length } = key;
  const overhead = 2 * hashLength(parameters.hash) + 2;
  key.requireLength(overhead);
  return {
    maxMessage: length - overhead,
    ciphertextLength: length,
    encrypt(message) {
      const block = asCallerError(CKR.DATA_LEN_RANGE, () => encodeOaep(message, parameters, length));
      try {
        return rsaPublic(key.publicKey, block);
      } finally {
        wipe(block);
      }
    },
    async decrypt(user, ciphertext, signal) {
      const block = await key.decipher(user, ciphertext, signal);
      try {
        return asCallerError(CKR.ENCRYPTED_DATA_INVALID, () => decodeOaep(block, parameters));
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
  cipher: oaepCipher,
};

/** 00 01 or 02, at least 8 bytes of padding, 00 (RFC 8017 sections 7.2.1 and 9.2). */
const OVERHEAD = 11;

const pkcs1Signature: SchemeMaker<SignatureScheme> = (shape, hash, parameter) => {
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
      const data = hash ? digestInfo(hash, message) : message;
      // Padding by the card needs a shorter command.
      if (user.primitives.includes("rsa-pkcs1")) return user.use("rsa-pkcs1", data, signal);
      // A DigestInfo fits: the key's length was checked.
      const block = hash
        ? encodePkcs1Signature(data, length)
        : asCallerError(CKR.DATA_LEN_RANGE, () => encodePkcs1Signature(data, length));
      return user.use("rsa-raw", block, signal);
    },
    verify: (message, signed) =>
      asCallerError(CKR.DATA_LEN_RANGE, () => verifyPkcs1(key.publicKey, encode(message), signed)),
    recover: (signed) =>
      asCallerError(CKR.SIGNATURE_INVALID, () => decodePkcs1Signature(rsaPublic(key.publicKey, signed))),
  };
};

const pkcs1Cipher: SchemeMaker<CipherScheme> = (shape, _hash, parameter) => {
  readNoParameter(parameter);
  const key = new RsaKey(shape);
  const { length } = key;
  return {
    maxMessage: length - OVERHEAD,
    ciphertextLength: length,
    encrypt(message) {
      const block = asCallerError(CKR.DATA_LEN_RANGE, () => encodePkcs1Encryption(message, length));
      try {
        return rsaPublic(key.publicKey, block);
      } finally {
        wipe(block);
      }
    },
    async decrypt(user, ciphertext, signal) {
      // Wrong padding is rejected implicitly here; a card that removes it itself may reveal it to an attacker.
      if (!user.primitives.includes("rsa-raw")) return mapDecryptionError(user.use("rsa-pkcs1", ciphertext, signal));
      const block = await key.decipher(user, ciphertext, signal);
      try {
        return asCallerError(CKR.ENCRYPTED_DATA_INVALID, () => decodePkcs1Encryption(block));
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
  signature: pkcs1Signature,
  cipher: pkcs1Cipher,
};

const pssSignature: SchemeMaker<SignatureScheme> = (shape, hash, parameter) => {
  const key = new RsaKey(shape, "pss");
  const parameters = readPssParameters(parameter, hash);
  const objection = shape.type === "rsa" && shape.pss ? pssObjection(shape.pss, parameters) : undefined;
  if (objection !== undefined) throw new CryptokiError(CKR.MECHANISM_PARAM_INVALID, objection);
  // RFC 8017 section 9.1.1 step 3; emBits is one less than the modulus' bits, which may make the block a byte shorter.
  const needed = hashLength(parameters.hash) + parameters.saltLength + 2;
  key.requireLength(key.modulusBits % 8 === 1 ? needed + 1 : needed);
  return {
    hash,
    maxMessage: hashLength(parameters.hash),
    signatureLength: key.length,
    async sign(user, message, signal) {
      if (!user.primitives.includes("rsa-raw")) {
        requireCardParameters(parameters);
        if (message.length !== hashLength(parameters.hash)) throw new CryptokiError(CKR.DATA_LEN_RANGE);
        return user.use("rsa-pss", message, signal);
      }
      const block = asCallerError(CKR.DATA_LEN_RANGE, () => encodePss(message, parameters, key.modulusBits));
      return user.use("rsa-raw", block, signal);
    },
    verify: (message, signed) =>
      asCallerError(CKR.DATA_LEN_RANGE, () => verifyPss(key.publicKey, message, parameters, signed)),
  };
};

/** Hashes of a card that pads itself. */
const CARD_HASHES: readonly HashName[] = ["sha1", "sha224", "sha256", "sha384", "sha512"];

/** A card that pads itself has a fixed mask and salt. */
function requireCardParameters({ hash, mgfHash, saltLength }: PssParameters): void {
  if (CARD_HASHES.includes(hash) && mgfHash === hash && saltLength === hashLength(hash)) return;
  throw new CryptokiError(
    CKR.MECHANISM_PARAM_INVALID,
    "the card signs PSS only with SHA-1 or SHA-2, MGF1 with the same hash, and a salt of the hash's length",
  );
}

/** CKM_RSA_PKCS_PSS and CKM_SHA*_RSA_PKCS_PSS (RFC 8017 section 8.1). */
export const rsaPss: MechanismFamily = {
  keyTypes: [CKK.RSA],
  primitives: ["rsa-raw", "rsa-pss"],
  sizes: RSA_SIZES,
  signature: pssSignature,
};

/** The number that `message` is, as long as the modulus (PKCS#11 3.1, X.509 raw RSA: leading zeros are added). */
function pad(message: Uint8Array, length: number): Uint8Array {
  if (message.length > length) {
    throw new CryptokiError(CKR.DATA_LEN_RANGE, `${message.length} bytes; the limit for this key is ${length}`);
  }
  return concatSecret(new Uint8Array(length - message.length), message);
}

const rawSignature: SchemeMaker<SignatureScheme> = (shape, hash, parameter) => {
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
    verify: (message, signed) => asCallerError(CKR.DATA_LEN_RANGE, () => verifyRsaRaw(key.publicKey, message, signed)),
    recover: (signed) => asCallerError(CKR.SIGNATURE_INVALID, () => rsaPublic(key.publicKey, signed)),
  };
};

const rawCipher: SchemeMaker<CipherScheme> = (shape, _hash, parameter) => {
  readNoParameter(parameter);
  const key = new RsaKey(shape);
  const { length } = key;
  return {
    maxMessage: length,
    ciphertextLength: length,
    encrypt(message) {
      const block = pad(message, length);
      try {
        return asCallerError(CKR.DATA_INVALID, () => rsaPublic(key.publicKey, block));
      } finally {
        wipe(block);
      }
    },
    decrypt: (user, ciphertext, signal) => key.decipher(user, ciphertext, signal),
  };
};

/** CKM_RSA_X_509: the raw RSA operation. */
export const rsaRaw: MechanismFamily = {
  keyTypes: [CKK.RSA],
  primitives: ["rsa-raw"],
  sizes: RSA_SIZES,
  signature: rawSignature,
  cipher: rawCipher,
};
