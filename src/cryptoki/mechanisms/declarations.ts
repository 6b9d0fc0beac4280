/**
 * Every mechanism that has a meaning here, with the form of its parameter. From this declaration follow the type
 * {@link CK_MECHANISM}, the fields that a caller gives, and the parameter in p11-kit's protocol.
 */
import { CKM } from "../constants/ckm.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type { CK_CCM_MESSAGE_PARAMS, CK_GCM_MESSAGE_PARAMS } from "../structures.ts";
import type { FormTypes, OptionalForm, ParameterForm } from "./parameter-forms.ts";

interface Declaration {
  readonly form: ParameterForm;
  /**
   * The version of p11-kit's protocol since which it transmits these mechanisms: 0 before 0.25, 1 since. Without it, none does.
   * IBM's own mechanisms are left out: no card supports them.
   */
  readonly wire?: 0 | 1;
  readonly types: readonly number[];
}

const DECLARATIONS = [
  {
    form: "none",
    wire: 0,
    types: [
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
    ],
  },
  {
    form: "none",
    wire: 1,
    types: [
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
    ],
  },
  {
    form: "none",
    types: [
      CKM.EC_EDWARDS_KEY_PAIR_GEN,
      CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
      CKM.HKDF_KEY_GEN,
      CKM.SHA_1_KEY_GEN,
      CKM.SHA224_KEY_GEN,
      CKM.SHA256_KEY_GEN,
      CKM.SHA384_KEY_GEN,
      CKM.SHA512_KEY_GEN,
      CKM.SHA512_224_KEY_GEN,
      CKM.SHA512_256_KEY_GEN,
      CKM.SHA3_224,
      CKM.SHA3_224_HMAC,
      CKM.SHA3_224_RSA_PKCS,
      CKM.ECDSA_SHA3_224,
      CKM.SHA3_224_KEY_GEN,
      CKM.SHA3_256,
      CKM.SHA3_256_HMAC,
      CKM.SHA3_256_RSA_PKCS,
      CKM.ECDSA_SHA3_256,
      CKM.SHA3_256_KEY_GEN,
      CKM.SHA3_384,
      CKM.SHA3_384_HMAC,
      CKM.SHA3_384_RSA_PKCS,
      CKM.ECDSA_SHA3_384,
      CKM.SHA3_384_KEY_GEN,
      CKM.SHA3_512,
      CKM.SHA3_512_HMAC,
      CKM.SHA3_512_RSA_PKCS,
      CKM.ECDSA_SHA3_512,
      CKM.SHA3_512_KEY_GEN,
    ],
  },
  {
    form: "pss",
    wire: 0,
    types: [CKM.RSA_PKCS_PSS],
  },
  {
    form: "pss",
    wire: 1,
    types: [
      CKM.SHA1_RSA_PKCS_PSS,
      CKM.SHA224_RSA_PKCS_PSS,
      CKM.SHA256_RSA_PKCS_PSS,
      CKM.SHA384_RSA_PKCS_PSS,
      CKM.SHA512_RSA_PKCS_PSS,
    ],
  },
  {
    form: "pss",
    types: [CKM.SHA3_224_RSA_PKCS_PSS, CKM.SHA3_256_RSA_PKCS_PSS, CKM.SHA3_384_RSA_PKCS_PSS, CKM.SHA3_512_RSA_PKCS_PSS],
  },
  {
    form: "oaep",
    wire: 0,
    types: [CKM.RSA_PKCS_OAEP],
  },
  {
    form: "ecdh1",
    wire: 1,
    types: [CKM.ECDH1_DERIVE],
  },
  {
    form: "ecdh1",
    types: [CKM.ECDH1_COFACTOR_DERIVE],
  },
  {
    form: "eddsa",
    types: [CKM.EDDSA],
  },
  {
    form: "iv16",
    wire: 1,
    types: [
      CKM.AES_CBC,
      CKM.AES_CBC_PAD,
      CKM.AES_OFB,
      CKM.AES_CTS,
      CKM.AES_CFB1,
      CKM.AES_CFB8,
      CKM.AES_CFB64,
      CKM.AES_CFB128,
    ],
  },
  {
    form: "iv8",
    wire: 1,
    types: [CKM.DES_CBC, CKM.DES_CBC_PAD, CKM.DES3_CBC, CKM.DES3_CBC_PAD, CKM.DES_CFB8, CKM.DES_CFB64, CKM.DES_OFB64],
  },
  {
    form: "ownIv",
    types: [CKM.AES_KEY_WRAP, CKM.AES_KEY_WRAP_PAD, CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PKCS7],
  },
  {
    form: "ctr",
    wire: 1,
    types: [CKM.AES_CTR],
  },
  {
    form: "gcm",
    wire: 1,
    types: [CKM.AES_GCM],
  },
  {
    form: "ccm",
    types: [CKM.AES_CCM],
  },
  {
    form: "length",
    wire: 1,
    types: [
      CKM.SHA_1_HMAC_GENERAL,
      CKM.SHA224_HMAC_GENERAL,
      CKM.SHA256_HMAC_GENERAL,
      CKM.SHA384_HMAC_GENERAL,
      CKM.SHA512_HMAC_GENERAL,
      CKM.SHA512_224_HMAC_GENERAL,
      CKM.SHA512_256_HMAC_GENERAL,
      CKM.AES_MAC_GENERAL,
      CKM.AES_CMAC_GENERAL,
      CKM.DES3_MAC_GENERAL,
      CKM.DES3_CMAC_GENERAL,
    ],
  },
  {
    form: "length",
    types: [
      CKM.MD5_HMAC_GENERAL,
      CKM.SHA3_224_HMAC_GENERAL,
      CKM.SHA3_256_HMAC_GENERAL,
      CKM.SHA3_384_HMAC_GENERAL,
      CKM.SHA3_512_HMAC_GENERAL,
    ],
  },
  {
    form: "hkdf",
    types: [CKM.HKDF_DERIVE, CKM.HKDF_DATA],
  },
  {
    form: "pbkdf2",
    types: [CKM.PKCS5_PBKD2],
  },
  {
    form: "bytes",
    wire: 1,
    types: [CKM.DH_PKCS_DERIVE],
  },
] as const satisfies readonly Declaration[];

type Declared = (typeof DECLARATIONS)[number];

/** A mechanism of these types with the parameter of its form. */
type WithParameter<Type, Form extends ParameterForm> = Form extends keyof FormTypes
  ? Form extends OptionalForm
    ? { readonly mechanism: Type; readonly parameter?: FormTypes[Form] | null | undefined }
    : { readonly mechanism: Type; readonly parameter: FormTypes[Form] }
  : { readonly mechanism: Type; readonly parameter?: null | undefined };

type MechanismOf<D> = D extends {
  readonly form: infer Form extends ParameterForm;
  readonly types: readonly (infer Type)[];
}
  ? WithParameter<Type, Form>
  : never;

/** The parameter of a message, which C_MessageEncryptInit and C_MessageDecryptInit may have too. */
type MessageParameters = Partial<CK_GCM_MESSAGE_PARAMS> | Partial<CK_CCM_MESSAGE_PARAMS>;

/** A structure, an IV, the length of a MAC. */
export type MechanismParameter = FormTypes[keyof FormTypes] | MessageParameters;

declare const otherType: unique symbol;

/** A mechanism of {@link mechanismOf}. */
export interface OtherMechanism {
  readonly mechanism: number & { readonly [otherType]: true };
  readonly parameter?: MechanismParameter;
}

/**
 * A mechanism with the parameter that belongs to it: `{ mechanism: CKM.SHA256_RSA_PKCS }`, `{ mechanism: CKM.AES_CBC, parameter: iv }`.
 * One whose type is known at run time only, such as a vendor's, comes from {@link mechanismOf}.
 */
export type CK_MECHANISM = MechanismOf<Declared> | OtherMechanism;

/**
 * The mechanism of C_MessageEncryptInit and C_MessageDecryptInit. Each message has its parameter; programs that follow the standard's
 * example give the first one's here too.
 */
export type CK_MESSAGE_MECHANISM =
  | {
      readonly mechanism: typeof CKM.AES_GCM | typeof CKM.AES_CCM;
      readonly parameter?: MessageParameters | null | undefined;
    }
  | OtherMechanism;

/** A mechanism for code that treats all alike. */
export type AnyMechanism = CK_MECHANISM | CK_MESSAGE_MECHANISM;

/**
 * A mechanism whose type is known at run time only: one of C_GetMechanismList, or a vendor's (0x80000000 and above).
 * @param type CKM, or a vendor's number.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD for a type that is no number of 32 bits.
 */
export function mechanismOf(type: number, parameter?: MechanismParameter): OtherMechanism {
  if (!Number.isInteger(type) || type < 0 || type > 0xffffffff) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "a mechanism's type must be a number from 0 to 2^32 - 1");
  }
  return { mechanism: type, ...(parameter !== undefined && { parameter }) } as OtherMechanism;
}

/** What is declared of one mechanism. */
export interface MechanismDeclaration {
  readonly form: ParameterForm;
  /** The version of p11-kit's protocol since which it is transmitted; undefined: never. */
  readonly wire: number | undefined;
}

const BY_TYPE: ReadonlyMap<number, MechanismDeclaration> = new Map(
  DECLARATIONS.flatMap(({ form, types, ...rest }: Declaration) =>
    types.map((type): [number, MechanismDeclaration] => [type, { form, wire: rest.wire }]),
  ),
);

/** The declaration of a mechanism; undefined for one that means nothing here, such as a vendor's. */
export const declarationOf = (type: number): MechanismDeclaration | undefined => BY_TYPE.get(type);
