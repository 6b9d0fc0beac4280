/**
 * The structures of PKCS#11 3.1 with the standard's names. Text has no padding; values that C's structures truncate (32
 * bytes of a label, 16 of a serial number) are truncated here too, between characters.
 */

import { utf8 } from "../bytes/index.ts";

/**
 * A number that says what it is the number of. A plain number is accepted for it, a number of another thing is not:
 * a session's handle is no object's.
 */
type NumberOf<Thing extends string> = number & { readonly __numberOf?: Thing };

export type CK_SLOT_ID = NumberOf<"slot">;
export type CK_SESSION_HANDLE = NumberOf<"session">;
export type CK_OBJECT_HANDLE = NumberOf<"object">;
/** A mask of {@link CKF} values. */
export type CK_FLAGS = number;
/** A {@link CKM} value. */
export type CK_MECHANISM_TYPE = number;

export interface CK_VERSION {
  readonly major: number;
  /** In hundredths: 40 for 2.40; of the standard's 3.1 it is 1. */
  readonly minor: number;
}

/** C_GetInfo. */
export interface CK_INFO {
  readonly cryptokiVersion: CK_VERSION;
  /** At most 32 bytes of UTF-8. */
  readonly manufacturerID: string;
  readonly flags: CK_FLAGS;
  /** At most 32 bytes of UTF-8. */
  readonly libraryDescription: string;
  readonly libraryVersion: CK_VERSION;
}

/** C_GetFunctionList. */
/** "C_Sign", for one. */
export type FunctionName = `C_${string}`;

export interface CK_FUNCTION_LIST {
  readonly version: CK_VERSION;
  /** Instead of C's pointers: names of methods of this object. */
  readonly functions: readonly FunctionName[];
}

/** C_GetInterface. */
export interface CK_INTERFACE {
  readonly pInterfaceName: string;
  readonly pFunctionList: CK_FUNCTION_LIST;
  /** {@link CKF_INTERFACE}. */
  readonly flags: CK_FLAGS;
}

/** C_GetSlotInfo. */
export interface CK_SLOT_INFO {
  /** The reader's name, at most 64 bytes of UTF-8: the same for all slots of one reader. */
  readonly slotDescription: string;
  /** At most 32 bytes of UTF-8. */
  readonly manufacturerID: string;
  /** {@link CKF_SLOT}. */
  readonly flags: CK_FLAGS;
  readonly hardwareVersion: CK_VERSION;
  readonly firmwareVersion: CK_VERSION;
}

/** C_GetTokenInfo. */
export interface CK_TOKEN_INFO {
  /** At most 32 bytes of UTF-8. */
  readonly label: string;
  /** At most 32 bytes of UTF-8. */
  readonly manufacturerID: string;
  /** At most 16 bytes of UTF-8. */
  readonly model: string;
  /** At most 16 characters. */
  readonly serialNumber: string;
  /** {@link CKF_TOKEN}. */
  readonly flags: CK_FLAGS;
  readonly ulMaxSessionCount: number;
  /** Sessions of this application with the token. */
  readonly ulSessionCount: number;
  readonly ulMaxRwSessionCount: number;
  readonly ulRwSessionCount: number;
  /** In bytes. */
  readonly ulMaxPinLen: number;
  /** In bytes. */
  readonly ulMinPinLen: number;
  readonly ulTotalPublicMemory: number;
  readonly ulFreePublicMemory: number;
  readonly ulTotalPrivateMemory: number;
  readonly ulFreePrivateMemory: number;
  readonly hardwareVersion: CK_VERSION;
  readonly firmwareVersion: CK_VERSION;
  /** Empty: no card has a clock. */
  readonly utcTime: string;
}

/** C_GetSessionInfo. */
export interface CK_SESSION_INFO {
  readonly slotID: CK_SLOT_ID;
  /** {@link CKS}. */
  readonly state: number;
  /** {@link CKF_SESSION}. */
  readonly flags: CK_FLAGS;
  readonly ulDeviceError: number;
}

/** C_GetMechanismInfo. Key sizes are bits for RSA and EC keys; 0 where a mechanism has no key. */
export interface CK_MECHANISM_INFO {
  readonly ulMinKeySize: number;
  readonly ulMaxKeySize: number;
  /** {@link CKF_MECHANISM}. */
  readonly flags: CK_FLAGS;
}

/** CKM_RSA_PKCS_PSS and its hashing variants (PKCS#11 3.1, PKCS #1 RSA PSS mechanism parameters). */
export interface CK_RSA_PKCS_PSS_PARAMS {
  /** The hash as a mechanism: CKM.SHA256. For a hashing mechanism, the same hash. */
  readonly hashAlg: CK_MECHANISM_TYPE;
  /** {@link CKG_MGF}. */
  readonly mgf: number;
  /** Of the salt, in bytes. */
  readonly sLen: number;
}

/** CKM_RSA_PKCS_OAEP (PKCS#11 3.1, PKCS #1 RSA OAEP mechanism parameters). */
export interface CK_RSA_PKCS_OAEP_PARAMS {
  /** The hash as a mechanism: CKM.SHA256. */
  readonly hashAlg: CK_MECHANISM_TYPE;
  /** {@link CKG_MGF}. */
  readonly mgf: number;
  /** {@link CKZ_OAEP}; DATA_SPECIFIED is the only one, and the default. */
  readonly source?: number;
  /** The label; empty if left out. */
  readonly pSourceData?: Uint8Array;
}

/** CKM_ECDH1_DERIVE (PKCS#11 3.1, EC mechanism parameters). */
export interface CK_ECDH1_DERIVE_PARAMS {
  /** {@link CKD}. */
  readonly kdf: number;
  readonly pSharedData?: Uint8Array;
  /** The other party's point, plain or in a DER OCTET STRING. */
  readonly pPublicData: Uint8Array;
}

/** CKM_AES_CTR (PKCS#11 3.1, AES with Counter). */
export interface CK_AES_CTR_PARAMS {
  /** How many of the last bits of the block are the counter, 1 to 128. */
  readonly ulCounterBits: number;
  /** The first counter block, 16 bytes. */
  readonly cb: Uint8Array;
}

/** CKM_AES_GCM (PKCS#11 3.1, AES-GCM and AES-CCM mechanism parameters). */
export interface CK_GCM_PARAMS {
  /** 1 byte to 16 MiB; 12 bytes are usual. */
  readonly pIv: Uint8Array;
  /** Its length in bits; ignored. */
  readonly ulIvBits?: number;
  readonly pAAD?: Uint8Array;
  /** 128, 120, 112, 104, 96, 64 or 32. */
  readonly ulTagBits: number;
}

/** CKM_AES_CCM. */
export interface CK_CCM_PARAMS {
  /** Of the message, in bytes, without its MAC. */
  readonly ulDataLen: number;
  /** 7 to 13 bytes. */
  readonly pNonce: Uint8Array;
  readonly pAAD?: Uint8Array;
  /** In bytes: 4, 6, ... 16. */
  readonly ulMACLen: number;
}

/**
 * One message of CKM_AES_GCM (PKCS#11 3.1, CK_GCM_MESSAGE_PARAMS). The returned one has the generated IV and the tag.
 */
export interface CK_GCM_MESSAGE_PARAMS {
  /** The IV, or its fixed part; default: zeros. */
  readonly pIv?: Uint8Array;
  /** In bytes, if there is no pIv. */
  readonly ulIvLen?: number;
  /** How many of the first bits of the IV are fixed. */
  readonly ulIvFixedBits?: number;
  /** {@link CKG_GENERATOR}; default: NO_GENERATE. */
  readonly ivGenerator?: number;
  /** For decryption. */
  readonly pTag?: Uint8Array;
  readonly ulTagBits: number;
}

/** One message of CKM_AES_CCM (PKCS#11 3.1, CK_CCM_MESSAGE_PARAMS). */
export interface CK_CCM_MESSAGE_PARAMS {
  readonly pNonce?: Uint8Array;
  /** In bytes, if there is no pNonce. */
  readonly ulNonceLen?: number;
  readonly ulNonceFixedBits?: number;
  /** {@link CKG_GENERATOR}; default: NO_GENERATE. */
  readonly nonceGenerator?: number;
  /** For decryption. */
  readonly pMAC?: Uint8Array;
  readonly ulMACLen: number;
}

/** CKM_HKDF_DERIVE and CKM_HKDF_DATA. */
export interface CK_HKDF_PARAMS {
  readonly bExtract: boolean;
  readonly bExpand: boolean;
  /** The hash as a mechanism: CKM.SHA256. */
  readonly prfHashMechanism: CK_MECHANISM_TYPE;
  /** {@link CKF_HKDF}; default: HKDF_SALT_NULL. */
  readonly ulSaltType?: number;
  readonly pSalt?: Uint8Array;
  /** A secret key with CKA_DERIVE. */
  readonly hSaltKey?: CK_OBJECT_HANDLE;
  readonly pInfo?: Uint8Array;
}

/** CKM_PKCS5_PBKD2. */
export interface CK_PKCS5_PBKD2_PARAMS2 {
  /** CKZ.SALT_SPECIFIED. */
  readonly saltSource: number;
  readonly pSaltSourceData: Uint8Array;
  readonly iterations: number;
  /** {@link CKP_PBKD2}. */
  readonly prf: number;
  readonly pPrfData?: Uint8Array;
  readonly pPassword: Uint8Array;
}

/** CKM_EDDSA: pure Ed25519, which is also the default. */
export interface CK_EDDSA_PARAMS {
  readonly phFlag: boolean;
  readonly pContextData?: Uint8Array;
}

/** Truncates `text` to `bytes` bytes of UTF-8: whole characters, without trailing blanks and control characters. */
export function fitText(text: string, bytes: number): string {
  let fitted = "";
  let length = 0;
  for (const character of text.replace(/\p{Cc}/gu, " ")) {
    length += utf8(character).length;
    if (length > bytes) break;
    fitted += character;
  }
  return fitted.trimEnd();
}

/**
 * The end of `text`, where one maker's numbers differ, in at most `bytes` bytes of UTF-8. Otherwise as {@link fitText}.
 */
export function fitEnd(text: string, bytes: number): string {
  const characters = Array.from(text.replace(/\p{Cc}/gu, " ").trimEnd());
  let start = characters.length;
  for (let length = 0; start > 0; start--) {
    length += utf8(characters[start - 1] ?? "").length;
    if (length > bytes) break;
  }
  return characters.slice(start).join("");
}
