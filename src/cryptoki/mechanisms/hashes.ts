import type { HashName } from "../../crypto/index.ts";
import { CKM } from "../constants/ckm.ts";

interface HashMechanisms {
  readonly hash: HashName;
  /** The hash by itself. */
  readonly digest: number;
  /** With a signature after it; none where the standard has none, or nobody should use it (MD5). */
  readonly rsaPkcs?: number;
  readonly rsaPss?: number;
  readonly ecdsa?: number;
}

/** Each hash, and the mechanisms that begin with it. */
export const HASHES: readonly HashMechanisms[] = [
  { hash: "md5", digest: CKM.MD5 },
  {
    hash: "sha1",
    digest: CKM.SHA_1,
    rsaPkcs: CKM.SHA1_RSA_PKCS,
    rsaPss: CKM.SHA1_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA1,
  },
  {
    hash: "sha224",
    digest: CKM.SHA224,
    rsaPkcs: CKM.SHA224_RSA_PKCS,
    rsaPss: CKM.SHA224_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA224,
  },
  {
    hash: "sha256",
    digest: CKM.SHA256,
    rsaPkcs: CKM.SHA256_RSA_PKCS,
    rsaPss: CKM.SHA256_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA256,
  },
  {
    hash: "sha384",
    digest: CKM.SHA384,
    rsaPkcs: CKM.SHA384_RSA_PKCS,
    rsaPss: CKM.SHA384_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA384,
  },
  {
    hash: "sha512",
    digest: CKM.SHA512,
    rsaPkcs: CKM.SHA512_RSA_PKCS,
    rsaPss: CKM.SHA512_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA512,
  },
  {
    hash: "sha3-224",
    digest: CKM.SHA3_224,
    rsaPkcs: CKM.SHA3_224_RSA_PKCS,
    rsaPss: CKM.SHA3_224_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_224,
  },
  {
    hash: "sha3-256",
    digest: CKM.SHA3_256,
    rsaPkcs: CKM.SHA3_256_RSA_PKCS,
    rsaPss: CKM.SHA3_256_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_256,
  },
  {
    hash: "sha3-384",
    digest: CKM.SHA3_384,
    rsaPkcs: CKM.SHA3_384_RSA_PKCS,
    rsaPss: CKM.SHA3_384_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_384,
  },
  {
    hash: "sha3-512",
    digest: CKM.SHA3_512,
    rsaPkcs: CKM.SHA3_512_RSA_PKCS,
    rsaPss: CKM.SHA3_512_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_512,
  },
];

export const HASH_BY_MECHANISM: ReadonlyMap<number, HashName> = new Map(
  HASHES.map(({ digest, hash }) => [digest, hash]),
);
