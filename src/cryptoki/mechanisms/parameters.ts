import { hashLength, type HashName, type OaepParameters, type PssParameters } from "../../crypto/index.ts";
import { copyBytes } from "../arguments.ts";
import { CKD } from "../constants/ckd.ts";
import { CKG_MGF } from "../constants/ckg.ts";
import { CKR } from "../constants/ckr.ts";
import { CKZ_OAEP } from "../constants/ckz.ts";
import { CryptokiError } from "../error.ts";
import type { CK_ECDH1_DERIVE_PARAMS, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS } from "../structures.ts";
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

/** Longer than any salt, and than any label that a protocol uses. */
const MAX_BYTES = 65_536;

/** The fields of a parameter as untyped callers may give it. */
export function fields<T>(parameter: unknown, name: string): Partial<Record<keyof T, unknown>> {
  if (typeof parameter === "object" && parameter !== null) return parameter;
  throw invalid(`the mechanism wants a parameter: ${name}`);
}

export const invalid = (detail: string): CryptokiError => new CryptokiError(CKR.MECHANISM_PARAM_INVALID, detail);

/** @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID if there is a parameter. */
export function readNoParameter(parameter: unknown): void {
  if (parameter !== undefined && parameter !== null) throw invalid("the mechanism takes no parameter");
}

/**
 * Of C_MessageEncryptInit and C_MessageDecryptInit: each message has its own parameter, and programs that follow the standard's
 * example give the first one's here as well.
 * @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID if it cannot be one.
 */
export function readUnusedParameter(parameter: unknown): void {
  if (typeof parameter !== "object" || parameter instanceof Uint8Array) readNoParameter(parameter);
}

/**
 * CK_RSA_PKCS_PSS_PARAMS.
 * @param ownHash The mechanism's, which the parameter must name too.
 */
export function readPssParameters(parameter: unknown, ownHash: HashName | undefined): PssParameters {
  const { hashAlg, mgf, sLen } = fields<CK_RSA_PKCS_PSS_PARAMS>(parameter, "{ hashAlg, mgf, sLen }");
  const hash = readHash(hashAlg);
  if (ownHash !== undefined && hash !== ownHash) throw invalid("hashAlg is not the hash of the mechanism");
  if (typeof sLen !== "number" || !Number.isInteger(sLen) || sLen < 0 || sLen > MAX_BYTES) {
    throw invalid(`sLen is the salt's length in bytes; ${hashLength(hash)} is usual`);
  }
  return { hash, mgfHash: readMgf(mgf), saltLength: sLen };
}

/** CK_RSA_PKCS_OAEP_PARAMS. */
export function readOaepParameters(parameter: unknown): OaepParameters {
  const { hashAlg, mgf, source, pSourceData } = fields<CK_RSA_PKCS_OAEP_PARAMS>(parameter, "{ hashAlg, mgf }");
  // Callers who have no label often leave the source at 0 too; others' modules let them.
  if (![undefined, 0, CKZ_OAEP.DATA_SPECIFIED].some((known) => known === source)) {
    throw invalid("source can only be CKZ.DATA_SPECIFIED");
  }
  return { hash: readHash(hashAlg), mgfHash: readMgf(mgf), label: readBytes(pSourceData, "pSourceData") };
}

/** CK_ECDH1_DERIVE_PARAMS, but for the point, which only the key's curve can read. */
export function readEcdhParameters(parameter: unknown): {
  readonly kdf: HashName | undefined;
  readonly sharedData: Uint8Array;
  readonly publicData: Uint8Array;
} {
  const { kdf, pSharedData, pPublicData } = fields<CK_ECDH1_DERIVE_PARAMS>(parameter, "{ kdf, pPublicData }");
  if (!KDF.has(kdf)) throw invalid("kdf is none of CKD.NULL and CKD.SHA1_KDF to CKD.SHA3_512_KDF");
  const sharedData = readBytes(pSharedData, "pSharedData");
  if (kdf === CKD.NULL && sharedData.length > 0) throw invalid("CKD.NULL takes no pSharedData");
  return { kdf: KDF.get(kdf), sharedData, publicData: readBytes(pPublicData, "pPublicData") };
}

export function readHash(mechanism: unknown): HashName {
  const hash = typeof mechanism === "number" ? HASH_BY_MECHANISM.get(mechanism) : undefined;
  if (hash === undefined || hash === "md5") throw invalid("hashAlg is no hash that is known here, as CKM.SHA256 is");
  return hash;
}

function readMgf(mgf: unknown): HashName {
  const hash = MGF.get(mgf);
  if (hash === undefined) throw invalid("mgf is no mask generation function, as CKG.MGF1_SHA256 is");
  return hash;
}

/** A copy: the operation may last longer than the caller keeps its bytes as they are. */
export function readBytes(value: unknown, name: string, max = MAX_BYTES): Uint8Array {
  if (value === undefined || value === null) return new Uint8Array();
  if (!(value instanceof Uint8Array) || value.length > max) {
    throw invalid(`${name} is a Uint8Array of at most ${max} bytes`);
  }
  return copyBytes(value);
}
