import { type ByteReader, DataError } from "../../bytes/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import type { Dialect, Field } from "./field.ts";
import { formOf } from "./mechanism-types.ts";
import { PARAMETERS } from "./mechanism-parameters.ts";
import { writeBytes, readBytes } from "./values.ts";
import type { ByteWriter } from "./writer.ts";

/** A mechanism; what its parameter is, its type says. */
export interface WireMechanism {
  readonly mechanism: number;
  readonly parameter?: unknown;
}

/** In place of a type: no mechanism, which ends an operation. */
const NULL_MECHANISM = 0xffffffff;
/** The version of the protocol whose clients flag a parameter before they write it. */
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
      throw new CryptokiError(CKR.MECHANISM_INVALID, "p11-kit's protocol does not carry this mechanism");
    }
    out.u32(mechanism);
    const given = parameter ?? undefined;
    if (form === "none") {
      if (given !== undefined) {
        throw new CryptokiError(
          CKR.MECHANISM_PARAM_INVALID,
          "p11-kit's protocol carries no parameter of this mechanism",
        );
      }
      if (dialect.offered < FLAGGED) writeBytes(out, null);
      return;
    }
    if (dialect.offered >= FLAGGED) out.u8(given === undefined ? 0 : 1);
    else if (given === undefined)
      throw new CryptokiError(CKR.MECHANISM_PARAM_INVALID, "the mechanism wants a parameter");
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
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "a mechanism is an object: { mechanism: CKM.SHA256_RSA_PKCS }");
}

/** Where the parameter of a type that nobody knows ends, nobody knows: the call cannot be read any further. */
function requireForm(type: number, { offered }: Dialect): Exclude<ReturnType<typeof formOf>, undefined> {
  const form = formOf(type, offered);
  if (form === undefined) throw new CryptokiError(CKR.MECHANISM_INVALID);
  return form;
}

/** As p11-kit has it since 0.25.6. */
function readFlagged(from: ByteReader, dialect: Dialect): WireMechanism | null {
  const mechanism = from.u32();
  if (mechanism === NULL_MECHANISM) return null;
  const form = requireForm(mechanism, dialect);
  if (form === "none" || from.u8() === 0) return { mechanism };
  return { mechanism, parameter: PARAMETERS[form].read(from) };
}

/** As p11-kit had it before. */
function readBare(from: ByteReader, dialect: Dialect): WireMechanism | null {
  const mechanism = from.u32();
  if (mechanism === NULL_MECHANISM) return null;
  const form = requireForm(mechanism, dialect);
  if (form !== "none") return { mechanism, parameter: PARAMETERS[form].read(from) };
  // 0.25.0 to 0.25.2 write NULL as a bare type 0, which is CKM_RSA_PKCS_KEY_PAIR_GEN where a parameter of NULL follows.
  if (mechanism === 0 && from.peek() !== 0xff) return null;
  readBytes(from);
  return { mechanism };
}

/**
 * `P`, in the response to C_DeriveKey2: what a mechanism of IBM changed in its parameter. Of all others there is nothing to
 * say but that there was one.
 */
export function writeUpdate(out: ByteWriter, { mechanism, parameter }: WireMechanism, dialect: Dialect): void {
  if (formOf(mechanism, dialect.offered) !== "none") out.u8(parameter === undefined ? 0 : 1);
}

export function readUpdate(from: ByteReader, { mechanism }: WireMechanism, dialect: Dialect): void {
  if (formOf(mechanism, dialect.offered) === "none") return;
  if (from.u8() > 1) throw new DataError("the update of a parameter is neither there nor not");
}
