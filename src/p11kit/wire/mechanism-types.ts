import { CKM } from "../../cryptoki/index.ts";

/** What follows the type of a mechanism on the wire. */
export type ParameterForm = "none" | "pss" | "oaep" | "ecdh1" | "iv16" | "iv8" | "ctr" | "gcm" | "length" | "bytes";

/** Without a parameter, in p11-kit since before 0.24. */
const PLAIN_0 = [
  CKM.RSA_PKCS_KEY_PAIR_GEN,
  CKM.RSA_PKCS,
  CKM.RSA_9796,
  CKM.RSA_X_509,
  CKM.MD2_RSA_PKCS,
  CKM.MD5_RSA_PKCS,
  CKM.SHA1_RSA_PKCS,
  CKM.RIPEMD128_RSA_PKCS,
  CKM.RIPEMD160_RSA_PKCS,
  CKM.RSA_X9_31_KEY_PAIR_GEN,
  CKM.RSA_X9_31,
  CKM.SHA1_RSA_X9_31,
  CKM.DSA_KEY_PAIR_GEN,
  CKM.DSA,
  CKM.DSA_SHA1,
  CKM.DH_PKCS_KEY_PAIR_GEN,
  CKM.X9_42_DH_KEY_PAIR_GEN,
  CKM.SHA256_RSA_PKCS,
  CKM.SHA384_RSA_PKCS,
  CKM.SHA512_RSA_PKCS,
  CKM.RC2_KEY_GEN,
  CKM.RC2_ECB,
  CKM.RC2_MAC,
  CKM.RC4_KEY_GEN,
  CKM.RC4,
  CKM.DES_KEY_GEN,
  CKM.DES_ECB,
  CKM.DES_MAC,
  CKM.DES2_KEY_GEN,
  CKM.DES3_KEY_GEN,
  CKM.DES3_ECB,
  CKM.DES3_MAC,
  CKM.CDMF_KEY_GEN,
  CKM.CDMF_ECB,
  CKM.CDMF_MAC,
  CKM.MD2,
  CKM.MD2_HMAC,
  CKM.MD5,
  CKM.MD5_HMAC,
  CKM.SHA_1,
  CKM.SHA_1_HMAC,
  CKM.RIPEMD128,
  CKM.RIPEMD128_HMAC,
  CKM.RIPEMD160,
  CKM.RIPEMD160_HMAC,
  CKM.SHA256,
  CKM.SHA256_HMAC,
  CKM.SHA384,
  CKM.SHA384_HMAC,
  CKM.SHA512,
  CKM.SHA512_HMAC,
  CKM.CAST_KEY_GEN,
  CKM.CAST_ECB,
  CKM.CAST_MAC,
  CKM.CAST3_KEY_GEN,
  CKM.CAST3_ECB,
  CKM.CAST3_MAC,
  CKM.CAST128_KEY_GEN,
  CKM.CAST128_ECB,
  CKM.RC5_KEY_GEN,
  CKM.RC5_ECB,
  CKM.RC5_MAC,
  CKM.IDEA_KEY_GEN,
  CKM.IDEA_ECB,
  CKM.IDEA_MAC,
  CKM.GENERIC_SECRET_KEY_GEN,
  CKM.SSL3_PRE_MASTER_KEY_GEN,
  CKM.TLS_PRE_MASTER_KEY_GEN,
  CKM.SSL3_MD5_MAC,
  CKM.SSL3_SHA1_MAC,
  CKM.KEY_WRAP_LYNKS,
  CKM.SKIPJACK_KEY_GEN,
  CKM.SKIPJACK_WRAP,
  CKM.KEA_KEY_PAIR_GEN,
  CKM.FORTEZZA_TIMESTAMP,
  CKM.BATON_KEY_GEN,
  CKM.BATON_WRAP,
  CKM.EC_KEY_PAIR_GEN,
  CKM.ECDSA,
  CKM.ECDSA_SHA1,
  CKM.JUNIPER_KEY_GEN,
  CKM.JUNIPER_WRAP,
  CKM.FASTHASH,
  CKM.AES_KEY_GEN,
  CKM.AES_ECB,
  CKM.AES_MAC,
  CKM.DSA_PARAMETER_GEN,
  CKM.DH_PKCS_PARAMETER_GEN,
  CKM.X9_42_DH_PARAMETER_GEN,
];

/** Without a parameter, since 0.25. IBM's own are left out: no card has them. */
const PLAIN_1 = [
  CKM.AES_CMAC,
  CKM.DES3_CMAC,
  CKM.ECDSA_SHA224,
  CKM.ECDSA_SHA256,
  CKM.ECDSA_SHA384,
  CKM.ECDSA_SHA512,
  CKM.SHA1_KEY_DERIVATION,
  CKM.SHA224,
  CKM.SHA224_HMAC,
  CKM.SHA224_KEY_DERIVATION,
  CKM.SHA224_RSA_PKCS,
  CKM.SHA256_KEY_DERIVATION,
  CKM.SHA384_KEY_DERIVATION,
  CKM.SHA512_224,
  CKM.SHA512_224_HMAC,
  CKM.SHA512_224_KEY_DERIVATION,
  CKM.SHA512_256,
  CKM.SHA512_256_HMAC,
  CKM.SHA512_256_KEY_DERIVATION,
  CKM.SHA512_KEY_DERIVATION,
  CKM.SHA512_T,
  CKM.SHA512_T_HMAC,
  CKM.SHA512_T_KEY_DERIVATION,
];

/** With a parameter, since 0.25; OAEP and PSS are older. */
const WITH_PARAMETER: readonly (readonly [ParameterForm, readonly number[]])[] = [
  ["pss", [CKM.SHA1_RSA_PKCS_PSS, CKM.SHA224_RSA_PKCS_PSS, CKM.SHA256_RSA_PKCS_PSS]],
  ["pss", [CKM.SHA384_RSA_PKCS_PSS, CKM.SHA512_RSA_PKCS_PSS]],
  ["ecdh1", [CKM.ECDH1_DERIVE]],
  ["iv16", [CKM.AES_CBC, CKM.AES_CBC_PAD, CKM.AES_OFB, CKM.AES_CTS]],
  ["iv16", [CKM.AES_CFB1, CKM.AES_CFB8, CKM.AES_CFB64, CKM.AES_CFB128]],
  ["ctr", [CKM.AES_CTR]],
  ["gcm", [CKM.AES_GCM]],
  ["iv8", [CKM.DES_CBC, CKM.DES_CBC_PAD, CKM.DES3_CBC, CKM.DES3_CBC_PAD]],
  ["iv8", [CKM.DES_CFB8, CKM.DES_CFB64, CKM.DES_OFB64]],
  ["length", [CKM.SHA_1_HMAC_GENERAL, CKM.SHA224_HMAC_GENERAL, CKM.SHA256_HMAC_GENERAL, CKM.SHA384_HMAC_GENERAL]],
  ["length", [CKM.SHA512_HMAC_GENERAL, CKM.SHA512_224_HMAC_GENERAL, CKM.SHA512_256_HMAC_GENERAL]],
  ["length", [CKM.AES_MAC_GENERAL, CKM.AES_CMAC_GENERAL, CKM.DES3_MAC_GENERAL, CKM.DES3_CMAC_GENERAL]],
  ["bytes", [CKM.DH_PKCS_DERIVE]],
];

interface MechanismType {
  readonly form: ParameterForm;
  /** The version of the protocol that p11-kit offers since it has it. */
  readonly since: number;
}

const entries = (form: ParameterForm, since: number, types: readonly number[]): readonly [number, MechanismType][] =>
  types.map((type) => [type, { form, since }]);

const TYPES: ReadonlyMap<number, MechanismType> = new Map([
  ...entries("none", 0, PLAIN_0),
  ...entries("none", 1, PLAIN_1),
  ...entries("pss", 0, [CKM.RSA_PKCS_PSS]),
  ...entries("oaep", 0, [CKM.RSA_PKCS_OAEP]),
  ...WITH_PARAMETER.flatMap(([form, types]) => entries(form, 1, types)),
]);

/** What follows the type of this mechanism; undefined if no p11-kit that offers this version passes it on. */
export function formOf(type: number, offered: number): ParameterForm | undefined {
  const found = TYPES.get(type);
  return found && found.since <= offered ? found.form : undefined;
}
