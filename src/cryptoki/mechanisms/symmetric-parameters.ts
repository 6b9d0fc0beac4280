import type { HashName } from "../../crypto/index.ts";
import { copyBytes } from "../arguments.ts";
import { CKF_HKDF } from "../constants/ckf.ts";
import { CKP_PBKD2 } from "../constants/ckp.ts";
import { CKZ_PBKD2 } from "../constants/ckz.ts";
import type {
  CK_AES_CTR_PARAMS,
  CK_CCM_PARAMS,
  CK_EDDSA_PARAMS,
  CK_GCM_PARAMS,
  CK_HKDF_PARAMS,
  CK_PKCS5_PBKD2_PARAMS2,
} from "../structures.ts";
import { fields, invalid, readBytes, readHash } from "./parameters.ts";

/** The standard goes up to 2^32 - 1; no message that comes in through p11-kit is longer than this. */
const MAX_GCM_IV = 2 ** 24;
/** Some ten seconds. A derivation takes one of the few threads that everybody has to share, and nothing stops it. */
export const MAX_ITERATIONS = 2 ** 24;

/** The initialisation vector of a mode that chains blocks: the parameter itself. */
export function readIv(parameter: unknown, length: number): Uint8Array {
  if (parameter instanceof Uint8Array && parameter.length === length) return copyBytes(parameter);
  throw invalid(`the parameter is the IV, a Uint8Array of ${length} bytes`);
}

/** CK_MAC_GENERAL_PARAMS: the length of the MAC in bytes. */
export function readMacLength(parameter: unknown, max: number): number {
  if (isWhole(parameter, 1, max)) return parameter;
  throw invalid(`the parameter is the MAC's length in bytes, a number from 1 to ${max}`);
}

/** CK_AES_CTR_PARAMS. */
export function readCtrParameters(parameter: unknown): { readonly counterBits: number; readonly block: Uint8Array } {
  const { ulCounterBits, cb } = fields<CK_AES_CTR_PARAMS>(parameter, "{ ulCounterBits, cb }");
  if (!isWhole(ulCounterBits, 1, 128)) throw invalid("ulCounterBits is a number from 1 to 128");
  if (!(cb instanceof Uint8Array) || cb.length !== 16)
    throw invalid("cb is the counter block, a Uint8Array of 16 bytes");
  return { counterBits: ulCounterBits, block: copyBytes(cb) };
}

export interface AeadParameter {
  readonly nonce: Uint8Array;
  readonly additional: Uint8Array;
  /** In bytes. */
  readonly tagLength: number;
}

const GCM_TAGS: ReadonlySet<unknown> = new Set([32, 64, 96, 104, 112, 120, 128]);

/** CK_GCM_PARAMS. Tags of other lengths than SP 800-38D allows are refused. */
export function readGcmParameters(parameter: unknown): AeadParameter {
  const { pIv, pAAD, ulTagBits } = fields<CK_GCM_PARAMS>(parameter, "{ pIv, pAAD, ulTagBits }");
  const nonce = readBytes(pIv, "pIv", MAX_GCM_IV);
  if (nonce.length === 0 || nonce.length > MAX_GCM_IV) throw invalid(`pIv has 1 to ${MAX_GCM_IV} bytes; 12 are usual`);
  if (!GCM_TAGS.has(ulTagBits)) throw invalid("ulTagBits is 128, 120, 112, 104, 96, 64 or 32");
  return { nonce, additional: readBytes(pAAD, "pAAD"), tagLength: Number(ulTagBits) / 8 };
}

const CCM_TAGS: ReadonlySet<unknown> = new Set([4, 6, 8, 10, 12, 14, 16]);

/** CK_CCM_PARAMS, with the length that the message will have. */
export function readCcmParameters(parameter: unknown): AeadParameter & { readonly dataLength: number } {
  const { ulDataLen, pNonce, pAAD, ulMACLen } = fields<CK_CCM_PARAMS>(
    parameter,
    "{ ulDataLen, pNonce, pAAD, ulMACLen }",
  );
  const nonce = readBytes(pNonce, "pNonce");
  if (nonce.length < 7 || nonce.length > 13) throw invalid("pNonce has 7 to 13 bytes");
  // What of a block the nonce leaves counts the message's bytes (SP 800-38C appendix A.1).
  const max = Math.min(Number.MAX_SAFE_INTEGER, 256 ** (15 - nonce.length) - 1);
  if (!isWhole(ulDataLen, 0, max))
    throw invalid("ulDataLen is the message's length, within what the nonce leaves room for");
  if (!CCM_TAGS.has(ulMACLen)) throw invalid("ulMACLen is 4, 6, 8, 10, 12, 14 or 16");
  return { nonce, additional: readBytes(pAAD, "pAAD"), tagLength: Number(ulMACLen), dataLength: ulDataLen };
}

/** CK_EDDSA_PARAMS: nothing but pure Ed25519, with and without the structure. */
export function readEddsaParameters(parameter: unknown): void {
  if (parameter === undefined || parameter === null) return;
  const { phFlag, pContextData } = fields<CK_EDDSA_PARAMS>(parameter, "{ phFlag }");
  if (phFlag !== undefined && phFlag !== false) throw invalid("phFlag: Ed25519ph is not done here");
  if (readBytes(pContextData, "pContextData").length > 0) throw invalid("pContextData: Ed25519ctx is not done here");
}

export interface HkdfParameters {
  readonly extract: boolean;
  readonly expand: boolean;
  readonly hash: HashName;
  /** The salt, or the handle of the key that it is. */
  readonly salt: Uint8Array | number;
  readonly info: Uint8Array;
}

/** CK_HKDF_PARAMS. */
export function readHkdfParameters(parameter: unknown): HkdfParameters {
  const { bExtract, bExpand, prfHashMechanism, ulSaltType, pSalt, hSaltKey, pInfo } = fields<CK_HKDF_PARAMS>(
    parameter,
    "{ bExtract, bExpand, prfHashMechanism, ulSaltType, pSalt, pInfo }",
  );
  if (typeof bExtract !== "boolean" || typeof bExpand !== "boolean" || !(bExtract || bExpand)) {
    throw invalid("one of bExtract and bExpand at least is true");
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
  /** A copy, the caller's to wipe. */
  readonly password: Uint8Array;
}

/** CK_PKCS5_PBKD2_PARAMS2. */
export function readPbkdf2Parameters(parameter: unknown): Pbkdf2Parameters {
  const { saltSource, pSaltSourceData, iterations, prf, pPrfData, pPassword } = fields<CK_PKCS5_PBKD2_PARAMS2>(
    parameter,
    "{ saltSource, pSaltSourceData, iterations, prf, pPassword }",
  );
  const hash = PRF.get(prf);
  if (hash === undefined) throw invalid("prf is none that is known here, as CKP.PKCS5_PBKD2_HMAC_SHA256 is");
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
