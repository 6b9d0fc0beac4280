import { type ByteReader, DataError } from "../../bytes/index.ts";
import { CKM, CKR, CryptokiError } from "../../cryptoki/index.ts";
import { type ByteWriter, type Dialect, type Field, readBytes, readUlong, writeBytes } from "./values.ts";

/** The data after the type of a mechanism on the wire. */
export type ParameterForm = "none" | "pss" | "oaep" | "ecdh1" | "iv16" | "iv8" | "ctr" | "gcm" | "length" | "bytes";

/** Mechanisms without a parameter, in p11-kit since before 0.24. */
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

/** Mechanisms without a parameter, since 0.25. IBM's own are left out: no card supports them. */
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

/** Mechanisms with a parameter, since 0.25; OAEP and PSS are older. */
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
  /** The protocol version since which p11-kit supports it. */
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

/** The form of this mechanism's parameter; undefined if no p11-kit with this version transmits it. */
export function formOf(type: number, offered: number): ParameterForm | undefined {
  const found = TYPES.get(type);
  return found && found.since <= offered ? found.form : undefined;
}

/** A parameter in both directions. The facade checks parsed values. */
interface ParameterCodec {
  readonly write: (out: ByteWriter, parameter: unknown) => void;
  readonly read: (from: ByteReader) => unknown;
}

type FieldKind = "ulong" | "bytes" | number;

/**
 * A structure of C, field by field. A numeric kind is a byte array of that length.
 * @param fields With the names of the structure's fields in C.
 */
const structure = (fields: Readonly<Record<string, FieldKind>>): ParameterCodec => ({
  write: (out, parameter) => {
    for (const [name, kind] of Object.entries(fields)) writeField(out, kind, fieldOf(parameter, name));
  },
  read: (from) => Object.fromEntries(Object.entries(fields).map(([name, kind]) => [name, readField(from, kind)])),
});

/** A parameter that is one value. */
const single = (kind: FieldKind): ParameterCodec => ({
  write: (out, parameter) => {
    writeField(out, kind, parameter);
  },
  read: (from) => readField(from, kind),
});

/** CK_GCM_PARAMS.ulIvBits repeats the IV's length; it may be left out here, but some modules read it. */
const withIvBits = ({ write, read }: ParameterCodec): ParameterCodec => ({
  write: (out, parameter) => {
    const iv = fieldOf(parameter, "pIv");
    write(out, { ulIvBits: iv instanceof Uint8Array ? 8 * iv.length : 0, ...Object(parameter) } as object);
  },
  read,
});

function fieldOf(parameter: unknown, name: string): unknown {
  if (typeof parameter === "object" && parameter !== null) return Reflect.get(parameter, name);
  throw new CryptokiError(CKR.MECHANISM_PARAM_INVALID, "the mechanism's parameter must be an object");
}

function writeField(out: ByteWriter, kind: FieldKind, value: unknown): void {
  if (kind === "ulong") {
    if (value !== undefined && typeof value !== "number") throw invalid("a number");
    out.ulong(value ?? 0);
    return;
  }
  if (value !== undefined && !(value instanceof Uint8Array)) throw invalid("a Uint8Array");
  if (typeof kind === "number" && value?.length !== kind) throw invalid(`a Uint8Array of ${kind} bytes`);
  writeBytes(out, value ?? null);
}

const invalid = (wanted: string): CryptokiError =>
  new CryptokiError(CKR.MECHANISM_PARAM_INVALID, `the mechanism's parameter needs ${wanted}`);

function readField(from: ByteReader, kind: FieldKind): unknown {
  if (kind === "ulong") return readUlong(from);
  const bytes = readBytes(from);
  if (typeof kind === "number" && bytes?.length !== kind) throw new DataError(`a parameter must have ${kind} bytes`);
  // A copy: an operation lives longer than the request that begins it, whose bytes are wiped.
  return new Uint8Array(bytes ?? []);
}

const PARAMETERS: Readonly<Record<Exclude<ParameterForm, "none">, ParameterCodec>> = {
  pss: structure({ hashAlg: "ulong", mgf: "ulong", sLen: "ulong" }),
  oaep: structure({ hashAlg: "ulong", mgf: "ulong", source: "ulong", pSourceData: "bytes" }),
  ecdh1: structure({ kdf: "ulong", pSharedData: "bytes", pPublicData: "bytes" }),
  iv16: single(16),
  iv8: single(8),
  ctr: structure({ ulCounterBits: "ulong", cb: 16 }),
  gcm: withIvBits(structure({ pIv: "bytes", ulIvBits: "ulong", pAAD: "bytes", ulTagBits: "ulong" })),
  length: single("ulong"),
  bytes: single("bytes"),
};

/** A mechanism; its type determines the form of its parameter. */
export interface WireMechanism {
  readonly mechanism: number;
  readonly parameter?: unknown;
}

/** Written in place of a type: no mechanism, which ends an operation. */
const NULL_MECHANISM = 0xffffffff;
/** The protocol version whose clients write a flag before a parameter. */
const FLAGGED = 2;

/** `M`, in both encodings. null is the pointer NULL. */
export const MECHANISM: Field<WireMechanism | null> = {
  signature: "M",
  write: (out, value, dialect) => {
    if (value === null) {
      out.u32(NULL_MECHANISM);
      return;
    }
    const { mechanism, parameter } = requireMechanism(value);
    const form = formOf(mechanism, dialect.offered);
    if (form === undefined) {
      throw new CryptokiError(CKR.MECHANISM_INVALID, "p11-kit's protocol does not support this mechanism");
    }
    out.u32(mechanism);
    const given = parameter ?? undefined;
    if (form === "none") {
      if (given !== undefined) {
        throw new CryptokiError(
          CKR.MECHANISM_PARAM_INVALID,
          "p11-kit's protocol does not support a parameter of this mechanism",
        );
      }
      if (dialect.offered < FLAGGED) writeBytes(out, null);
      return;
    }
    if (dialect.offered >= FLAGGED) out.u8(given === undefined ? 0 : 1);
    else if (given === undefined)
      throw new CryptokiError(CKR.MECHANISM_PARAM_INVALID, "the mechanism needs a parameter");
    if (given !== undefined) PARAMETERS[form].write(out, given);
  },
  read: (from, dialect) => (dialect.offered >= FLAGGED ? readFlagged : readBare)(from, dialect),
};

function requireMechanism(value: unknown): WireMechanism {
  if (typeof value === "object" && value !== null && "mechanism" in value && typeof value.mechanism === "number") {
    const { mechanism } = value;
    if (Number.isInteger(mechanism) && mechanism >= 0 && mechanism < NULL_MECHANISM) {
      return { mechanism, parameter: "parameter" in value ? value.parameter : undefined };
    }
  }
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "a mechanism must be an object: { mechanism: CKM.SHA256_RSA_PKCS }");
}

/** The length of an unknown type's parameter is unknown, so the rest of the call cannot be parsed. */
function requireForm(type: number, { offered }: Dialect): Exclude<ReturnType<typeof formOf>, undefined> {
  const form = formOf(type, offered);
  if (form === undefined) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return form;
}

/** p11-kit's encoding since 0.25.6. */
function readFlagged(from: ByteReader, dialect: Dialect): WireMechanism | null {
  const mechanism = from.u32();
  if (mechanism === NULL_MECHANISM) return null;
  const form = requireForm(mechanism, dialect);
  if (form === "none" || from.u8() === 0) return { mechanism };
  return { mechanism, parameter: PARAMETERS[form].read(from) };
}

/** p11-kit's encoding before that. */
function readBare(from: ByteReader, dialect: Dialect): WireMechanism | null {
  const mechanism = from.u32();
  if (mechanism === NULL_MECHANISM) return null;
  const form = requireForm(mechanism, dialect);
  if (form !== "none") return { mechanism, parameter: PARAMETERS[form].read(from) };
  // 0.25.0 to 0.25.2 write NULL as a bare type 0, which is CKM_RSA_PKCS_KEY_PAIR_GEN if a NULL parameter follows.
  if (mechanism === 0 && from.peek() !== 0xff) return null;
  readBytes(from);
  return { mechanism };
}

/**
 * `P`, in the response to C_DeriveKey2: the changes that an IBM mechanism made to its parameter. All others only report
 * whether there was a parameter.
 */
export function writeUpdate(out: ByteWriter, { mechanism, parameter }: WireMechanism, dialect: Dialect): void {
  if (formOf(mechanism, dialect.offered) !== "none") out.u8(parameter === undefined ? 0 : 1);
}

export function readUpdate(from: ByteReader, { mechanism }: WireMechanism, dialect: Dialect): void {
  if (formOf(mechanism, dialect.offered) === "none") return;
  if (from.u8() > 1) throw new DataError("the flag of a parameter update is neither 0 nor 1");
}
