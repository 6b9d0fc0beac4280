import type { HashName } from "../../crypto/index.ts";
import { CKK } from "../constants/ck.ts";
import { CKM } from "../constants/ckm.ts";

interface HashMechanisms {
  readonly hash: HashName;
  /** The hash alone. */
  readonly digest: number;
  /** With a signature after it; undefined if the standard has none. */
  readonly rsaPkcs?: number;
  readonly rsaPss?: number;
  readonly ecdsa?: number;
  /** The MAC with it, complete and truncated; the type of its keys, and their generation. */
  readonly hmac: number;
  readonly hmacGeneral: number;
  readonly hmacKey: number;
  readonly hmacKeyGen?: number;
}

/** Each hash, and the mechanisms that use it. */
export const HASHES: readonly HashMechanisms[] = [
  {
    hash: "md5",
    digest: CKM.MD5,
    rsaPkcs: CKM.MD5_RSA_PKCS,
    hmac: CKM.MD5_HMAC,
    hmacGeneral: CKM.MD5_HMAC_GENERAL,
    hmacKey: CKK.MD5_HMAC,
  },
  {
    hash: "sha1",
    digest: CKM.SHA_1,
    rsaPkcs: CKM.SHA1_RSA_PKCS,
    rsaPss: CKM.SHA1_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA1,
    hmac: CKM.SHA_1_HMAC,
    hmacGeneral: CKM.SHA_1_HMAC_GENERAL,
    hmacKey: CKK.SHA_1_HMAC,
    hmacKeyGen: CKM.SHA_1_KEY_GEN,
  },
  {
    hash: "sha224",
    digest: CKM.SHA224,
    rsaPkcs: CKM.SHA224_RSA_PKCS,
    rsaPss: CKM.SHA224_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA224,
    hmac: CKM.SHA224_HMAC,
    hmacGeneral: CKM.SHA224_HMAC_GENERAL,
    hmacKey: CKK.SHA224_HMAC,
    hmacKeyGen: CKM.SHA224_KEY_GEN,
  },
  {
    hash: "sha256",
    digest: CKM.SHA256,
    rsaPkcs: CKM.SHA256_RSA_PKCS,
    rsaPss: CKM.SHA256_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA256,
    hmac: CKM.SHA256_HMAC,
    hmacGeneral: CKM.SHA256_HMAC_GENERAL,
    hmacKey: CKK.SHA256_HMAC,
    hmacKeyGen: CKM.SHA256_KEY_GEN,
  },
  {
    hash: "sha384",
    digest: CKM.SHA384,
    rsaPkcs: CKM.SHA384_RSA_PKCS,
    rsaPss: CKM.SHA384_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA384,
    hmac: CKM.SHA384_HMAC,
    hmacGeneral: CKM.SHA384_HMAC_GENERAL,
    hmacKey: CKK.SHA384_HMAC,
    hmacKeyGen: CKM.SHA384_KEY_GEN,
  },
  {
    hash: "sha512",
    digest: CKM.SHA512,
    rsaPkcs: CKM.SHA512_RSA_PKCS,
    rsaPss: CKM.SHA512_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA512,
    hmac: CKM.SHA512_HMAC,
    hmacGeneral: CKM.SHA512_HMAC_GENERAL,
    hmacKey: CKK.SHA512_HMAC,
    hmacKeyGen: CKM.SHA512_KEY_GEN,
  },
  {
    hash: "sha512-224",
    digest: CKM.SHA512_224,
    hmac: CKM.SHA512_224_HMAC,
    hmacGeneral: CKM.SHA512_224_HMAC_GENERAL,
    hmacKey: CKK.SHA512_224_HMAC,
    hmacKeyGen: CKM.SHA512_224_KEY_GEN,
  },
  {
    hash: "sha512-256",
    digest: CKM.SHA512_256,
    hmac: CKM.SHA512_256_HMAC,
    hmacGeneral: CKM.SHA512_256_HMAC_GENERAL,
    hmacKey: CKK.SHA512_256_HMAC,
    hmacKeyGen: CKM.SHA512_256_KEY_GEN,
  },
  {
    hash: "sha3-224",
    digest: CKM.SHA3_224,
    rsaPkcs: CKM.SHA3_224_RSA_PKCS,
    rsaPss: CKM.SHA3_224_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_224,
    hmac: CKM.SHA3_224_HMAC,
    hmacGeneral: CKM.SHA3_224_HMAC_GENERAL,
    hmacKey: CKK.SHA3_224_HMAC,
    hmacKeyGen: CKM.SHA3_224_KEY_GEN,
  },
  {
    hash: "sha3-256",
    digest: CKM.SHA3_256,
    rsaPkcs: CKM.SHA3_256_RSA_PKCS,
    rsaPss: CKM.SHA3_256_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_256,
    hmac: CKM.SHA3_256_HMAC,
    hmacGeneral: CKM.SHA3_256_HMAC_GENERAL,
    hmacKey: CKK.SHA3_256_HMAC,
    hmacKeyGen: CKM.SHA3_256_KEY_GEN,
  },
  {
    hash: "sha3-384",
    digest: CKM.SHA3_384,
    rsaPkcs: CKM.SHA3_384_RSA_PKCS,
    rsaPss: CKM.SHA3_384_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_384,
    hmac: CKM.SHA3_384_HMAC,
    hmacGeneral: CKM.SHA3_384_HMAC_GENERAL,
    hmacKey: CKK.SHA3_384_HMAC,
    hmacKeyGen: CKM.SHA3_384_KEY_GEN,
  },
  {
    hash: "sha3-512",
    digest: CKM.SHA3_512,
    rsaPkcs: CKM.SHA3_512_RSA_PKCS,
    rsaPss: CKM.SHA3_512_RSA_PKCS_PSS,
    ecdsa: CKM.ECDSA_SHA3_512,
    hmac: CKM.SHA3_512_HMAC,
    hmacGeneral: CKM.SHA3_512_HMAC_GENERAL,
    hmacKey: CKK.SHA3_512_HMAC,
    hmacKeyGen: CKM.SHA3_512_KEY_GEN,
  },
];

export const HASH_BY_MECHANISM: ReadonlyMap<number, HashName> = new Map(
  HASHES.map(({ digest, hash }) => [digest, hash]),
);
