import { copySecret } from "../../bytes/index.ts";
import { hashLength, type HashName, type OaepParameters, type PssParameters } from "../../crypto/index.ts";
import { CKD, CKG_MGF, CKP_PBKD2, CKZ_OAEP, CKZ_PBKD2 } from "../constants/ck.ts";
import { CKF_HKDF } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import { fieldsOf } from "./parameter-forms.ts";
import { HASH_BY_MECHANISM } from "./hashes.ts";

const MGF: ReadonlyMap<unknown, HashName> = new Map([
  [CKG_MGF.MGF1_SHA1, "sha1"],
  [CKG_MGF.MGF1_SHA224, "sha224"],
  [CKG_MGF.MGF1_SHA256, "sha256"],
  [CKG_MGF.MGF1_SHA384, "sha384"],
  [CKG_MGF.MGF1_SHA512, "sha512"],
  [CKG_MGF.MGF1_SHA3_224, "sha3-224"],
  [CKG_MGF.MGF1_SHA3_256, "sha3-256"],
  [CKG_MGF.MGF1_SHA3_384, "sha3-384"],
  [CKG_MGF.MGF1_SHA3_512, "sha3-512"],
]);

/** undefined: the secret itself is the key material. */
const KDF: ReadonlyMap<unknown, HashName | undefined> = new Map([
  [CKD.NULL, undefined],
  [CKD.SHA1_KDF, "sha1"],
  [CKD.SHA224_KDF, "sha224"],
  [CKD.SHA256_KDF, "sha256"],
  [CKD.SHA384_KDF, "sha384"],
  [CKD.SHA512_KDF, "sha512"],
  [CKD.SHA3_224_KDF, "sha3-224"],
  [CKD.SHA3_256_KDF, "sha3-256"],
  [CKD.SHA3_384_KDF, "sha3-384"],
  [CKD.SHA3_512_KDF, "sha3-512"],
]);

/** Longer than any salt, and than any label of a protocol. */
const MAX_BYTES = 65_536;

export const invalid = (detail: string): CryptokiError => new CryptokiError(CKR.MECHANISM_PARAM_INVALID, detail);

/** @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID if there is a parameter. */
export function readNoParameter(parameter: unknown): void {
  if (parameter !== undefined && parameter !== null) throw invalid("the mechanism takes no parameter");
}

/**
 * Of C_MessageEncryptInit and C_MessageDecryptInit: each message has its own parameter, and programs that follow the
 * standard's example give the first one's here too.
 * @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID if it is malformed.
 */
export function readUnusedParameter(parameter: unknown): void {
  if (typeof parameter !== "object" || parameter instanceof Uint8Array) readNoParameter(parameter);
}

/**
 * CK_RSA_PKCS_PSS_PARAMS.
 * @param ownHash The mechanism's, which the parameter must name too.
 */
export function readPssParameters(parameter: unknown, ownHash: HashName | undefined): PssParameters {
  const { hashAlg, mgf, sLen } = fieldsOf("pss", parameter);
  const hash = readHash(hashAlg);
  if (ownHash !== undefined && hash !== ownHash) throw invalid("hashAlg is not the hash of the mechanism");
  if (typeof sLen !== "number" || !Number.isInteger(sLen) || sLen < 0 || sLen > MAX_BYTES) {
    throw invalid(`sLen is the salt's length in bytes; ${hashLength(hash)} is usual`);
  }
  return { hash, mgfHash: readMgf(mgf), saltLength: sLen };
}

/** CK_RSA_PKCS_OAEP_PARAMS. */
export function readOaepParameters(parameter: unknown): OaepParameters {
  const { hashAlg, mgf, source, pSourceData } = fieldsOf("oaep", parameter);
  // Callers without a label often leave the source at 0, which other modules accept.
  if (![undefined, 0, CKZ_OAEP.DATA_SPECIFIED].some((known) => known === source)) {
    throw invalid("source can only be CKZ.DATA_SPECIFIED");
  }
  return { hash: readHash(hashAlg), mgfHash: readMgf(mgf), label: readBytes(pSourceData, "pSourceData") };
}

/** CK_ECDH1_DERIVE_PARAMS without the point, which is parsed for the key's curve. */
export function readEcdhParameters(parameter: unknown): {
  readonly kdf: HashName | undefined;
  readonly sharedData: Uint8Array;
  readonly publicData: Uint8Array;
} {
  const { kdf, pSharedData, pPublicData } = fieldsOf("ecdh1", parameter);
  if (!KDF.has(kdf)) throw invalid("kdf is neither CKD.NULL nor one of CKD.SHA1_KDF to CKD.SHA3_512_KDF");
  const sharedData = readBytes(pSharedData, "pSharedData");
  if (kdf === CKD.NULL && sharedData.length > 0) throw invalid("CKD.NULL takes no pSharedData");
  return { kdf: KDF.get(kdf), sharedData, publicData: readBytes(pPublicData, "pPublicData") };
}

function readHash(mechanism: unknown): HashName {
  const hash = typeof mechanism === "number" ? HASH_BY_MECHANISM.get(mechanism) : undefined;
  if (hash === undefined || hash === "md5") throw invalid("hashAlg is not a supported hash such as CKM.SHA256");
  return hash;
}

function readMgf(mgf: unknown): HashName {
  const hash = MGF.get(mgf);
  if (hash === undefined) throw invalid("mgf is not a supported mask generation function such as CKG.MGF1_SHA256");
  return hash;
}

/** A copy, because the operation may outlive the caller's bytes. */
export function readBytes(value: unknown, name: string, max = MAX_BYTES): Uint8Array {
  if (value === undefined || value === null) return new Uint8Array();
  if (!(value instanceof Uint8Array) || value.length > max) {
    throw invalid(`${name} is a Uint8Array of at most ${max} bytes`);
  }
  return copySecret(value);
}

/** The standard allows up to 2^32 - 1; no message through p11-kit is longer than this. */
const MAX_GCM_IV = 2 ** 24;
/** About ten seconds. A derivation occupies one of few shared threads, and cannot be cancelled. */
export const MAX_ITERATIONS = 2 ** 24;

/** The initialisation vector of a mode that chains blocks: the parameter itself. */
export function readIv(parameter: unknown, length: number): Uint8Array {
  if (parameter instanceof Uint8Array && parameter.length === length) return copySecret(parameter);
  throw invalid(`the parameter is the IV, a Uint8Array of ${length} bytes`);
}

/** CK_MAC_GENERAL_PARAMS: the length of the MAC in bytes. */
export function readMacLength(parameter: unknown, max: number): number {
  if (isWhole(parameter, 1, max)) return parameter;
  throw invalid(`the parameter is the MAC's length in bytes, a number from 1 to ${max}`);
}

/** CK_AES_CTR_PARAMS. */
export function readCtrParameters(parameter: unknown): { readonly counterBits: number; readonly block: Uint8Array } {
  const { ulCounterBits, cb } = fieldsOf("ctr", parameter);
  if (!isWhole(ulCounterBits, 1, 128)) throw invalid("ulCounterBits is a number from 1 to 128");
  if (!(cb instanceof Uint8Array) || cb.length !== 16)
    throw invalid("cb is the counter block, a Uint8Array of 16 bytes");
  return { counterBits: ulCounterBits, block: copySecret(cb) };
}

export interface AeadParameter {
  readonly nonce: Uint8Array;
  readonly additional: Uint8Array;
  /** In bytes. */
  readonly tagLength: number;
}

const GCM_TAGS: ReadonlySet<unknown> = new Set([32, 64, 96, 104, 112, 120, 128]);

/** CK_GCM_PARAMS. Refuses tag lengths that SP 800-38D does not allow. */
export function readGcmParameters(parameter: unknown): AeadParameter {
  const { pIv, pAAD, ulTagBits } = fieldsOf("gcm", parameter);
  const nonce = readBytes(pIv, "pIv", MAX_GCM_IV);
  if (nonce.length === 0 || nonce.length > MAX_GCM_IV) throw invalid(`pIv has 1 to ${MAX_GCM_IV} bytes; 12 are usual`);
  if (!GCM_TAGS.has(ulTagBits)) throw invalid("ulTagBits is 128, 120, 112, 104, 96, 64 or 32");
  return { nonce, additional: readBytes(pAAD, "pAAD"), tagLength: Number(ulTagBits) / 8 };
}

const CCM_TAGS: ReadonlySet<unknown> = new Set([4, 6, 8, 10, 12, 14, 16]);

/** CK_CCM_PARAMS, with the length of the message. */
export function readCcmParameters(parameter: unknown): AeadParameter & { readonly dataLength: number } {
  const { ulDataLen, pNonce, pAAD, ulMACLen } = fieldsOf("ccm", parameter);
  const nonce = readBytes(pNonce, "pNonce");
  if (nonce.length < 7 || nonce.length > 13) throw invalid("pNonce has 7 to 13 bytes");
  // The rest of the block counts the message's bytes (SP 800-38C appendix A.1).
  const max = Math.min(Number.MAX_SAFE_INTEGER, 256 ** (15 - nonce.length) - 1);
  if (!isWhole(ulDataLen, 0, max)) throw invalid("ulDataLen is the message's length, within the nonce's limit");
  if (!CCM_TAGS.has(ulMACLen)) throw invalid("ulMACLen is 4, 6, 8, 10, 12, 14 or 16");
  return { nonce, additional: readBytes(pAAD, "pAAD"), tagLength: Number(ulMACLen), dataLength: ulDataLen };
}

/** CK_EDDSA_PARAMS: pure Ed25519 only, with and without the structure. */
export function readEddsaParameters(parameter: unknown): void {
  if (parameter === undefined || parameter === null) return;
  const { phFlag, pContextData } = fieldsOf("eddsa", parameter);
  if (phFlag !== undefined && phFlag !== false) throw invalid("phFlag: Ed25519ph is not supported");
  if (readBytes(pContextData, "pContextData").length > 0) throw invalid("pContextData: Ed25519ctx is not supported");
}

export interface HkdfParameters {
  readonly extract: boolean;
  readonly expand: boolean;
  readonly hash: HashName;
  /** The salt, or the handle of a key with it. */
  readonly salt: Uint8Array | number;
  readonly info: Uint8Array;
}

/** CK_HKDF_PARAMS. */
export function readHkdfParameters(parameter: unknown): HkdfParameters {
  const { bExtract, bExpand, prfHashMechanism, ulSaltType, pSalt, hSaltKey, pInfo } = fieldsOf("hkdf", parameter);
  if (typeof bExtract !== "boolean" || typeof bExpand !== "boolean" || !(bExtract || bExpand)) {
    throw invalid("at least one of bExtract and bExpand must be true");
  }
  return {
    extract: bExtract,
    expand: bExpand,
    hash: readHash(prfHashMechanism),
    salt: readSalt(ulSaltType ?? CKF_HKDF.HKDF_SALT_NULL, readBytes(pSalt, "pSalt"), hSaltKey),
    info: readBytes(pInfo, "pInfo"),
  };
}

function readSalt(type: unknown, salt: Uint8Array, key: unknown): Uint8Array | number {
  switch (type) {
    case CKF_HKDF.HKDF_SALT_NULL:
      if (salt.length > 0) throw invalid("CKF.HKDF_SALT_NULL takes no pSalt");
      return salt;
    case CKF_HKDF.HKDF_SALT_DATA:
      return salt;
    case CKF_HKDF.HKDF_SALT_KEY:
      if (typeof key !== "number") throw invalid("hSaltKey is the handle of a key");
      return key;
    default:
      throw invalid("ulSaltType is CKF.HKDF_SALT_NULL, CKF.HKDF_SALT_DATA or CKF.HKDF_SALT_KEY");
  }
}

const PRF: ReadonlyMap<unknown, HashName> = new Map([
  [CKP_PBKD2.PKCS5_PBKD2_HMAC_SHA1, "sha1"],
  [CKP_PBKD2.PKCS5_PBKD2_HMAC_SHA224, "sha224"],
  [CKP_PBKD2.PKCS5_PBKD2_HMAC_SHA256, "sha256"],
  [CKP_PBKD2.PKCS5_PBKD2_HMAC_SHA384, "sha384"],
  [CKP_PBKD2.PKCS5_PBKD2_HMAC_SHA512, "sha512"],
  [CKP_PBKD2.PKCS5_PBKD2_HMAC_SHA512_224, "sha512-224"],
  [CKP_PBKD2.PKCS5_PBKD2_HMAC_SHA512_256, "sha512-256"],
]);

export interface Pbkdf2Parameters {
  readonly hash: HashName;
  readonly salt: Uint8Array;
  readonly iterations: number;
  /** A copy; the caller wipes it. */
  readonly password: Uint8Array;
}

/** CK_PKCS5_PBKD2_PARAMS2. */
export function readPbkdf2Parameters(parameter: unknown): Pbkdf2Parameters {
  const { saltSource, pSaltSourceData, iterations, prf, pPrfData, pPassword } = fieldsOf("pbkdf2", parameter);
  const hash = PRF.get(prf);
  if (hash === undefined) throw invalid("prf is not a supported one such as CKP.PKCS5_PBKD2_HMAC_SHA256");
  if (saltSource !== CKZ_PBKD2.SALT_SPECIFIED) throw invalid("saltSource can only be CKZ.SALT_SPECIFIED");
  if (!isWhole(iterations, 1, MAX_ITERATIONS)) throw invalid(`iterations is a number from 1 to ${MAX_ITERATIONS}`);
  if (readBytes(pPrfData, "pPrfData").length > 0) throw invalid("the prf takes no pPrfData");
  return {
    hash,
    salt: readBytes(pSaltSourceData, "pSaltSourceData"),
    iterations,
    password: readBytes(pPassword, "pPassword"),
  };
}

const isWhole = (value: unknown, min: number, max: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
