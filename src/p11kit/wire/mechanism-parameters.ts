import { type ByteReader, DataError } from "../../bytes/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import type { ParameterForm } from "./mechanism-types.ts";
import { readBytes, readUlong, writeBytes } from "./values.ts";
import type { ByteWriter } from "./writer.ts";

/** A parameter in both directions. What is read is for the facade to check. */
interface ParameterCodec {
  readonly write: (out: ByteWriter, parameter: unknown) => void;
  readonly read: (from: ByteReader) => unknown;
}

type FieldKind = "ulong" | "bytes" | number;

/**
 * A structure of C, field by field. A number as the kind is a byte array of that length.
 * @param fields With the names that the structure has in C.
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

/** CK_GCM_PARAMS.ulIvBits, which says again how long the IV is, may be left out here; there are modules that read it. */
const withIvBits = ({ write, read }: ParameterCodec): ParameterCodec => ({
  write: (out, parameter) => {
    const iv = fieldOf(parameter, "pIv");
    write(out, { ulIvBits: iv instanceof Uint8Array ? 8 * iv.length : 0, ...Object(parameter) } as object);
  },
  read,
});

function fieldOf(parameter: unknown, name: string): unknown {
  if (typeof parameter === "object" && parameter !== null) return Reflect.get(parameter, name);
  throw new CryptokiError(CKR.MECHANISM_PARAM_INVALID, "the mechanism's parameter is an object");
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
  new CryptokiError(CKR.MECHANISM_PARAM_INVALID, `the mechanism's parameter wants ${wanted}`);

function readField(from: ByteReader, kind: FieldKind): unknown {
  if (kind === "ulong") return readUlong(from);
  const bytes = readBytes(from);
  if (typeof kind === "number" && bytes?.length !== kind) throw new DataError(`not the ${kind} bytes of a parameter`);
  // A copy: an operation outlives the request that begins it, whose bytes are wiped.
  return new Uint8Array(bytes ?? []);
}

export const PARAMETERS: Readonly<Record<Exclude<ParameterForm, "none">, ParameterCodec>> = {
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
