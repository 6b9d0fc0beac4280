import { hashLength, type HashName } from "../crypto/index.ts";
import { type CK_MECHANISM, CKD, CKG_MGF, CKM, CKZ_OAEP } from "../cryptoki/index.ts";
import type { SignatureScheme } from "./mechanism.ts";
import { hashOfLength } from "./signature.ts";

/** A hash as a mechanism, and as the mask generation function over it. */
const HASH_CONSTANTS: Readonly<Record<HashName, { readonly hashAlg: number; readonly mgf: number } | undefined>> = {
  md5: undefined,
  sha1: { hashAlg: CKM.SHA_1, mgf: CKG_MGF.MGF1_SHA1 },
  sha224: { hashAlg: CKM.SHA224, mgf: CKG_MGF.MGF1_SHA224 },
  sha256: { hashAlg: CKM.SHA256, mgf: CKG_MGF.MGF1_SHA256 },
  sha384: { hashAlg: CKM.SHA384, mgf: CKG_MGF.MGF1_SHA384 },
  sha512: { hashAlg: CKM.SHA512, mgf: CKG_MGF.MGF1_SHA512 },
  "sha512-224": undefined,
  "sha512-256": undefined,
  "sha3-224": { hashAlg: CKM.SHA3_224, mgf: CKG_MGF.MGF1_SHA3_224 },
  "sha3-256": { hashAlg: CKM.SHA3_256, mgf: CKG_MGF.MGF1_SHA3_256 },
  "sha3-384": { hashAlg: CKM.SHA3_384, mgf: CKG_MGF.MGF1_SHA3_384 },
  "sha3-512": { hashAlg: CKM.SHA3_512, mgf: CKG_MGF.MGF1_SHA3_512 },
};

/** The mechanism of a scheme with its parameter. @param length Of what is signed: it tells the hash of a bare PSS. */
export function signatureMechanism({ name, family, hash }: SignatureScheme, length: number): CK_MECHANISM {
  const mechanism = CKM[name];
  if (family !== "rsa-pss") return { mechanism };
  const used = hash ?? hashOfLength(length);
  const constants = HASH_CONSTANTS[used];
  return constants ? { mechanism, parameter: { ...constants, sLen: hashLength(used) } } : { mechanism };
}

/** RSA decryption: OAEP with `hash` and MGF1 over the same, or PKCS #1 v1.5. */
export function decryptionMechanism(hash: HashName | undefined, label?: Uint8Array): CK_MECHANISM {
  const constants = hash === undefined ? undefined : HASH_CONSTANTS[hash];
  if (!constants) return { mechanism: CKM.RSA_PKCS };
  const source = CKZ_OAEP.DATA_SPECIFIED;
  const parameter = { ...constants, source, ...(label && { pSourceData: label }) };
  return { mechanism: CKM.RSA_PKCS_OAEP, parameter };
}

/** ECDH with the other party's point; the shared secret comes as it is. */
export function agreementMechanism(point: Uint8Array): CK_MECHANISM {
  return { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: point } };
}
