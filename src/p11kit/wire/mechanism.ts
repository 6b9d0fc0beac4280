import { type ByteReader, DataError } from "../../bytes/index.ts";
import {
  CKR,
  CryptokiError,
  declarationOf,
  type FieldKind,
  PARAMETER_FIELDS,
  type ParameterForm,
  type StructureName,
} from "../../cryptoki/index.ts";
import { type ByteWriter, type Dialect, type Field, readBytes, readUlong, writeBytes } from "./values.ts";

/** The form of this mechanism's parameter; undefined if no p11-kit with this version transmits it. */
export function formOf(type: number, offered: number): ParameterForm | undefined {
  const declared = declarationOf(type);
  return declared?.wire !== undefined && declared.wire <= offered ? declared.form : undefined;
}

/** A parameter in both directions. The facade checks parsed values. */
interface ParameterCodec {
  readonly write: (out: ByteWriter, parameter: unknown) => void;
  readonly read: (from: ByteReader) => unknown;
}

/** A structure of C, field by field. */
const structure = (name: StructureName): ParameterCodec => {
  const fields = Object.entries<FieldKind>(PARAMETER_FIELDS[name]);
  return {
    write: (out, parameter) => {
      for (const [field, kind] of fields) writeField(out, kind, fieldOf(parameter, field));
    },
    read: (from) => Object.fromEntries(fields.map(([field, kind]) => [field, readField(from, kind)])),
  };
};

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
  if (kind === "flag") {
    out.u8(value === true ? 1 : 0);
    return;
  }
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
  if (kind === "flag") return from.u8() !== 0;
  if (kind === "ulong") return readUlong(from);
  const bytes = readBytes(from);
  if (typeof kind === "number" && bytes?.length !== kind) throw new DataError(`a parameter must have ${kind} bytes`);
  // A copy: an operation lives longer than the request that begins it, whose bytes are wiped.
  return new Uint8Array(bytes ?? []);
}

/** What p11-kit transmits besides structures of C. */
const SINGLE: Readonly<Partial<Record<ParameterForm, FieldKind>>> = {
  iv16: 16,
  iv8: 8,
  length: "ulong",
  bytes: "bytes",
};

const CODECS: ReadonlyMap<string, ParameterCodec> = new Map([
  ...(Object.keys(PARAMETER_FIELDS) as StructureName[]).map((name): [string, ParameterCodec] => [
    name,
    structure(name),
  ]),
  ...Object.entries(SINGLE).map(([form, kind]): [string, ParameterCodec] => [form, single(kind)]),
  ["gcm", withIvBits(structure("gcm"))],
]);

function codecOf(form: ParameterForm): ParameterCodec {
  const codec = CODECS.get(form);
  if (!codec) throw new CryptokiError(CKR.MECHANISM_INVALID, "p11-kit's protocol has no form for this parameter");
  return codec;
}

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
    if (given !== undefined) codecOf(form).write(out, given);
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
function requireForm(type: number, { offered }: Dialect): ParameterForm {
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
  return { mechanism, parameter: codecOf(form).read(from) };
}

/** p11-kit's encoding before that. */
function readBare(from: ByteReader, dialect: Dialect): WireMechanism | null {
  const mechanism = from.u32();
  if (mechanism === NULL_MECHANISM) return null;
  const form = requireForm(mechanism, dialect);
  if (form !== "none") return { mechanism, parameter: codecOf(form).read(from) };
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
