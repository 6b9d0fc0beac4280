// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Special values without a type of their own. */
export const CK = {
  /** All ones. CK_ULONG has 32 or 64 bits; here it is always this number. */
  UNAVAILABLE_INFORMATION: 0xffffffff,
  EFFECTIVELY_INFINITE: 0,
  INVALID_HANDLE: 0,
} as const;
export type CK = (typeof CK)[keyof typeof CK];

/** Values of CKA_CERTIFICATE_CATEGORY. */
export const CK_CERTIFICATE_CATEGORY = {
  UNSPECIFIED: 0,
  TOKEN_USER: 1,
  AUTHORITY: 2,
  OTHER_ENTITY: 3,
} as const;
export type CK_CERTIFICATE_CATEGORY = (typeof CK_CERTIFICATE_CATEGORY)[keyof typeof CK_CERTIFICATE_CATEGORY];

/** Values of CKA_JAVA_MIDP_SECURITY_DOMAIN. */
export const CK_SECURITY_DOMAIN = {
  UNSPECIFIED: 0,
  MANUFACTURER: 1,
  OPERATOR: 2,
  THIRD_PARTY: 3,
} as const;
export type CK_SECURITY_DOMAIN = (typeof CK_SECURITY_DOMAIN)[keyof typeof CK_SECURITY_DOMAIN];

/** Values of CKA_OTP_FORMAT. */
export const CK_OTP_FORMAT = {
  DECIMAL: 0,
  HEXADECIMAL: 1,
  ALPHANUMERIC: 2,
  BINARY: 3,
} as const;
export type CK_OTP_FORMAT = (typeof CK_OTP_FORMAT)[keyof typeof CK_OTP_FORMAT];

/** Values of CKA_OTP_*_REQUIREMENT. */
export const CK_OTP_PARAM = {
  IGNORED: 0,
  OPTIONAL: 1,
  MANDATORY: 2,
} as const;
export type CK_OTP_PARAM = (typeof CK_OTP_PARAM)[keyof typeof CK_OTP_PARAM];

/** Parameters of one-time password mechanisms, CK_OTP_PARAM_TYPE. */
export const CK_OTP = {
  VALUE: 0,
  PIN: 1,
  CHALLENGE: 2,
  TIME: 3,
  COUNTER: 4,
  FLAGS: 5,
  OUTPUT_LENGTH: 6,
  OUTPUT_FORMAT: 7,
} as const;
export type CK_OTP = (typeof CK_OTP)[keyof typeof CK_OTP];

/** Types of data fields in SP 800-108 key derivation, CK_PRF_DATA_TYPE. */
export const CK_SP800_108 = {
  ITERATION_VARIABLE: 0x1,
  OPTIONAL_COUNTER: 0x2,
  DKM_LENGTH: 0x3,
  BYTE_ARRAY: 0x4,

  // Older names of values above.
  COUNTER: 0x2,
} as const;
export type CK_SP800_108 = (typeof CK_SP800_108)[keyof typeof CK_SP800_108];

/** How SP 800-108 key derivation counts the length of what it derives. */
export const CK_SP800_108_DKM_LENGTH = {
  SUM_OF_KEYS: 0x1,
  SUM_OF_SEGMENTS: 0x2,
} as const;
export type CK_SP800_108_DKM_LENGTH = (typeof CK_SP800_108_DKM_LENGTH)[keyof typeof CK_SP800_108_DKM_LENGTH];

/**
 * Attributes of private keys by the numbers of Yubico's own PKCS#11 module (yubico-piv-tool, ykcs11/pkcs11y.h), for
 * cards with Yubico's commands: CK_ULONG, with the card's own number.
 */
export const CKA_YUBICO = {
  /** When the key needs a touch: 1 never, 2 for each use, 3 cached for 15 seconds. */
  TOUCH_POLICY: 0xd9554201,
  /**
   * When it needs the PIN: 1 never, 2 once, 3 for each use; 4 and 5 are 2 and 3 with a fingerprint instead of the PIN.
   */
  PIN_POLICY: 0xd9554202,
} as const;
export type CKA_YUBICO = (typeof CKA_YUBICO)[keyof typeof CKA_YUBICO];

/** Attributes of this driver's own. */
export const CKA_CRYPTOKI = {
  /**
   * Of both keys of a pair: what proves that the card made it. X.509 certificates, DER, one after the other: the attestation, and
   * that of the key which signed it. CKR_ATTRIBUTE_TYPE_INVALID if the card attests no keys, or not this one.
   */
  ATTESTATION: 0xc3525901,
  /** Of both keys of a pair, a number: 1 if the card made it, 2 if it was brought there. Cards that do not tell have none. */
  ORIGIN: 0xc3525902,
} as const;
export type CKA_CRYPTOKI = (typeof CKA_CRYPTOKI)[keyof typeof CKA_CRYPTOKI];

/** Certificate types, CKA_CERTIFICATE_TYPE. */
export const CKC = {
  X_509: 0x0,
  X_509_ATTR_CERT: 0x1,
  WTLS: 0x2,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKC = (typeof CKC)[keyof typeof CKC];

/** Key derivation functions of ECDH and X9.42 DH. */
export const CKD = {
  NULL: 0x1,
  SHA1_KDF: 0x2,
  SHA1_KDF_ASN1: 0x3,
  SHA1_KDF_CONCATENATE: 0x4,
  SHA224_KDF: 0x5,
  SHA256_KDF: 0x6,
  SHA384_KDF: 0x7,
  SHA512_KDF: 0x8,
  CPDIVERSIFY_KDF: 0x9,
  SHA3_224_KDF: 0xa,
  SHA3_256_KDF: 0xb,
  SHA3_384_KDF: 0xc,
  SHA3_512_KDF: 0xd,
  SHA1_KDF_SP800: 0xe,
  SHA224_KDF_SP800: 0xf,
  SHA256_KDF_SP800: 0x10,
  SHA384_KDF_SP800: 0x11,
  SHA512_KDF_SP800: 0x12,
  SHA3_224_KDF_SP800: 0x13,
  SHA3_256_KDF_SP800: 0x14,
  SHA3_384_KDF_SP800: 0x15,
  SHA3_512_KDF_SP800: 0x16,
  BLAKE2B_160_KDF: 0x17,
  BLAKE2B_256_KDF: 0x18,
  BLAKE2B_384_KDF: 0x19,
  BLAKE2B_512_KDF: 0x1a,
} as const;
export type CKD = (typeof CKD)[keyof typeof CKD];

/** Mask generation functions of RSA PSS and OAEP. */
export const CKG_MGF = {
  MGF1_SHA1: 0x1,
  MGF1_SHA256: 0x2,
  MGF1_SHA384: 0x3,
  MGF1_SHA512: 0x4,
  MGF1_SHA224: 0x5,
  MGF1_SHA3_224: 0x6,
  MGF1_SHA3_256: 0x7,
  MGF1_SHA3_384: 0x8,
  MGF1_SHA3_512: 0x9,
} as const;
export type CKG_MGF = (typeof CKG_MGF)[keyof typeof CKG_MGF];

/** How a message nonce is made, CK_GENERATOR_FUNCTION. */
export const CKG_GENERATOR = {
  NO_GENERATE: 0x0,
  GENERATE: 0x1,
  GENERATE_COUNTER: 0x2,
  GENERATE_RANDOM: 0x3,
  GENERATE_COUNTER_XOR: 0x4,
} as const;
export type CKG_GENERATOR = (typeof CKG_GENERATOR)[keyof typeof CKG_GENERATOR];

/** Mask generation functions and nonce generators by name. */
export const CKG = {
  ...CKG_MGF,
  ...CKG_GENERATOR,
} as const;
export type CKG = (typeof CKG)[keyof typeof CKG];

/** Hardware feature types, CKA_HW_FEATURE_TYPE. */
export const CKH = {
  MONOTONIC_COUNTER: 0x1,
  CLOCK: 0x2,
  USER_INTERFACE: 0x3,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKH = (typeof CKH)[keyof typeof CKH];

/** Key types, CKA_KEY_TYPE. */
export const CKK = {
  RSA: 0x0,
  DSA: 0x1,
  DH: 0x2,
  EC: 0x3,
  X9_42_DH: 0x4,
  KEA: 0x5,
  GENERIC_SECRET: 0x10,
  RC2: 0x11,
  RC4: 0x12,
  DES: 0x13,
  DES2: 0x14,
  DES3: 0x15,
  CAST: 0x16,
  CAST3: 0x17,
  CAST128: 0x18,
  RC5: 0x19,
  IDEA: 0x1a,
  SKIPJACK: 0x1b,
  BATON: 0x1c,
  JUNIPER: 0x1d,
  CDMF: 0x1e,
  AES: 0x1f,
  BLOWFISH: 0x20,
  TWOFISH: 0x21,
  SECURID: 0x22,
  HOTP: 0x23,
  ACTI: 0x24,
  CAMELLIA: 0x25,
  ARIA: 0x26,
  MD5_HMAC: 0x27,
  SHA_1_HMAC: 0x28,
  RIPEMD128_HMAC: 0x29,
  RIPEMD160_HMAC: 0x2a,
  SHA256_HMAC: 0x2b,
  SHA384_HMAC: 0x2c,
  SHA512_HMAC: 0x2d,
  SHA224_HMAC: 0x2e,
  SEED: 0x2f,
  GOSTR3410: 0x30,
  GOSTR3411: 0x31,
  GOST28147: 0x32,
  CHACHA20: 0x33,
  POLY1305: 0x34,
  AES_XTS: 0x35,
  SHA3_224_HMAC: 0x36,
  SHA3_256_HMAC: 0x37,
  SHA3_384_HMAC: 0x38,
  SHA3_512_HMAC: 0x39,
  BLAKE2B_160_HMAC: 0x3a,
  BLAKE2B_256_HMAC: 0x3b,
  BLAKE2B_384_HMAC: 0x3c,
  BLAKE2B_512_HMAC: 0x3d,
  SALSA20: 0x3e,
  X2RATCHET: 0x3f,
  EC_EDWARDS: 0x40,
  EC_MONTGOMERY: 0x41,
  HKDF: 0x42,
  SHA512_224_HMAC: 0x43,
  SHA512_256_HMAC: 0x44,
  SHA512_T_HMAC: 0x45,
  HSS: 0x46,
  VENDOR_DEFINED: 0x80000000,

  // Older names of values above.
  ECDSA: 0x3,
  CAST5: 0x18,
} as const;
export type CKK = (typeof CKK)[keyof typeof CKK];

/** Notifications to a session's callback. */
export const CKN = {
  SURRENDER: 0,
  OTP_CHANGED: 1,
} as const;
export type CKN = (typeof CKN)[keyof typeof CKN];

/** Object classes, CKA_CLASS. */
export const CKO = {
  DATA: 0x0,
  CERTIFICATE: 0x1,
  PUBLIC_KEY: 0x2,
  PRIVATE_KEY: 0x3,
  SECRET_KEY: 0x4,
  HW_FEATURE: 0x5,
  DOMAIN_PARAMETERS: 0x6,
  MECHANISM: 0x7,
  OTP_KEY: 0x8,
  PROFILE: 0x9,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKO = (typeof CKO)[keyof typeof CKO];

/** Pseudo-random functions of PKCS#5 PBKDF2. */
export const CKP_PBKD2 = {
  PKCS5_PBKD2_HMAC_SHA1: 0x1,
  PKCS5_PBKD2_HMAC_GOSTR3411: 0x2,
  PKCS5_PBKD2_HMAC_SHA224: 0x3,
  PKCS5_PBKD2_HMAC_SHA256: 0x4,
  PKCS5_PBKD2_HMAC_SHA384: 0x5,
  PKCS5_PBKD2_HMAC_SHA512: 0x6,
  PKCS5_PBKD2_HMAC_SHA512_224: 0x7,
  PKCS5_PBKD2_HMAC_SHA512_256: 0x8,
} as const;
export type CKP_PBKD2 = (typeof CKP_PBKD2)[keyof typeof CKP_PBKD2];

/** Profile identifiers, CKA_PROFILE_ID. */
export const CKP_PROFILE = {
  INVALID_ID: 0x0,
  BASELINE_PROVIDER: 0x1,
  EXTENDED_PROVIDER: 0x2,
  AUTHENTICATION_TOKEN: 0x3,
  PUBLIC_CERTIFICATES_TOKEN: 0x4,
  COMPLETE_PROVIDER: 0x5,
  HKDF_TLS_TOKEN: 0x6,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKP_PROFILE = (typeof CKP_PROFILE)[keyof typeof CKP_PROFILE];

/** Profiles and pseudo-random functions by name. */
export const CKP = {
  ...CKP_PBKD2,
  ...CKP_PROFILE,
} as const;
export type CKP = (typeof CKP)[keyof typeof CKP];

/** Session states. */
export const CKS = {
  RO_PUBLIC_SESSION: 0,
  RO_USER_FUNCTIONS: 1,
  RW_PUBLIC_SESSION: 2,
  RW_USER_FUNCTIONS: 3,
  RW_SO_FUNCTIONS: 4,
} as const;
export type CKS = (typeof CKS)[keyof typeof CKS];

/** User types, for C_Login. */
export const CKU = {
  SO: 0,
  USER: 1,
  CONTEXT_SPECIFIC: 2,
} as const;
export type CKU = (typeof CKU)[keyof typeof CKU];

/** Source of the OAEP label, CK_RSA_PKCS_OAEP_SOURCE_TYPE. */
export const CKZ_OAEP = {
  DATA_SPECIFIED: 0x1,
} as const;
export type CKZ_OAEP = (typeof CKZ_OAEP)[keyof typeof CKZ_OAEP];

/** Source of the PBKDF2 salt. */
export const CKZ_PBKD2 = {
  SALT_SPECIFIED: 0x1,
} as const;
export type CKZ_PBKD2 = (typeof CKZ_PBKD2)[keyof typeof CKZ_PBKD2];

/** Sources of the OAEP label and the PBKDF2 salt by name. */
export const CKZ = {
  ...CKZ_OAEP,
  ...CKZ_PBKD2,
} as const;
export type CKZ = (typeof CKZ)[keyof typeof CKZ];
