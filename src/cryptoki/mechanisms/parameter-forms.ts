/** The forms of mechanisms' parameters: structures of C field by field, and single values. */
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type {
  CK_AES_CTR_PARAMS,
  CK_CCM_MESSAGE_PARAMS,
  CK_CCM_PARAMS,
  CK_ECDH1_DERIVE_PARAMS,
  CK_EDDSA_PARAMS,
  CK_GCM_MESSAGE_PARAMS,
  CK_GCM_PARAMS,
  CK_HKDF_PARAMS,
  CK_PKCS5_PBKD2_PARAMS2,
  CK_RSA_PKCS_OAEP_PARAMS,
  CK_RSA_PKCS_PSS_PARAMS,
} from "../structures.ts";

/** The structures of C among the parameters. */
export interface Structures {
  pss: CK_RSA_PKCS_PSS_PARAMS;
  oaep: CK_RSA_PKCS_OAEP_PARAMS;
  ecdh1: CK_ECDH1_DERIVE_PARAMS;
  ctr: CK_AES_CTR_PARAMS;
  gcm: CK_GCM_PARAMS;
  ccm: CK_CCM_PARAMS;
  hkdf: CK_HKDF_PARAMS;
  pbkdf2: CK_PKCS5_PBKD2_PARAMS2;
  eddsa: CK_EDDSA_PARAMS;
  gcmMessage: CK_GCM_MESSAGE_PARAMS;
  ccmMessage: CK_CCM_MESSAGE_PARAMS;
}

/** The type of each form of parameter. */
export interface FormTypes extends Omit<Structures, "gcmMessage" | "ccmMessage"> {
  /** An initialisation vector of a block: of AES, of DES. */
  iv16: Uint8Array;
  iv8: Uint8Array;
  /** An initialisation vector of AES key wrap. */
  ownIv: Uint8Array;
  /** The length of a MAC, in bytes. */
  length: number;
  /** The public value of the other party. */
  bytes: Uint8Array;
}

export type StructureName = keyof Structures;
export type ParameterForm = keyof FormTypes | "none";

/** Forms whose parameter may be left out. */
export type OptionalForm = "eddsa" | "ownIv";

/** A field of a structure in C: a CK_ULONG, a CK_BBOOL, a pointer to bytes with their number, or an array of so many bytes. */
export type FieldKind = "ulong" | "flag" | "bytes" | number;

type KindOfField<T> = [T] extends [boolean] ? "flag" : [T] extends [number] ? "ulong" : "bytes" | number;

type FieldsOf<T> = { readonly [Name in keyof T]-?: KindOfField<NonNullable<T[Name]>> };

/** The fields of each structure, in C's order. A field that differs from its type does not compile. */
export const PARAMETER_FIELDS: { readonly [Name in StructureName]: FieldsOf<Structures[Name]> } = {
  pss: { hashAlg: "ulong", mgf: "ulong", sLen: "ulong" },
  oaep: { hashAlg: "ulong", mgf: "ulong", source: "ulong", pSourceData: "bytes" },
  ecdh1: { kdf: "ulong", pSharedData: "bytes", pPublicData: "bytes" },
  ctr: { ulCounterBits: "ulong", cb: 16 },
  gcm: { pIv: "bytes", ulIvBits: "ulong", pAAD: "bytes", ulTagBits: "ulong" },
  ccm: { ulDataLen: "ulong", pNonce: "bytes", pAAD: "bytes", ulMACLen: "ulong" },
  hkdf: {
    bExtract: "flag",
    bExpand: "flag",
    prfHashMechanism: "ulong",
    ulSaltType: "ulong",
    pSalt: "bytes",
    hSaltKey: "ulong",
    pInfo: "bytes",
  },
  pbkdf2: {
    saltSource: "ulong",
    pSaltSourceData: "bytes",
    iterations: "ulong",
    prf: "ulong",
    pPrfData: "bytes",
    pPassword: "bytes",
  },
  eddsa: { phFlag: "flag", pContextData: "bytes" },
  gcmMessage: {
    pIv: "bytes",
    ulIvLen: "ulong",
    ulIvFixedBits: "ulong",
    ivGenerator: "ulong",
    pTag: "bytes",
    ulTagBits: "ulong",
  },
  ccmMessage: {
    pNonce: "bytes",
    ulNonceLen: "ulong",
    ulNonceFixedBits: "ulong",
    nonceGenerator: "ulong",
    pMAC: "bytes",
    ulMACLen: "ulong",
  },
};

/**
 * The fields of a parameter from an untyped caller.
 * @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID, with the names of the fields, if there is no structure.
 */
export function fieldsOf<Name extends StructureName>(
  name: Name,
  parameter: unknown,
): Partial<Record<keyof Structures[Name], unknown>> {
  if (typeof parameter === "object" && parameter !== null) return parameter;
  const names = Object.keys(PARAMETER_FIELDS[name]).join(", ");
  throw new CryptokiError(CKR.MECHANISM_PARAM_INVALID, `the mechanism needs a parameter: { ${names} }`);
}
