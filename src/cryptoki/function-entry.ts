import type { Template } from "./attributes/kinds.ts";
import type { AttributeList } from "./attributes/template.ts";
import type { CK_MECHANISM, CK_MESSAGE_MECHANISM } from "./mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SLOT_ID, CK_VERSION } from "./structures.ts";
import type { Pin } from "./sessions/logins.ts";

/** What may stand for a parameter of each kind. */
export interface ParameterTypes {
  slot: CK_SLOT_ID;
  session: CK_SESSION_HANDLE;
  object: CK_OBJECT_HANDLE;
  /** The handle of a key: CKR_KEY_HANDLE_INVALID if there is none. */
  key: CK_OBJECT_HANDLE;
  mechanism: CK_MECHANISM | CK_MESSAGE_MECHANISM | null;
  "mechanism type": number | null;
  template: Template | AttributeList;
  "attribute types": readonly number[];
  flags: number;
  number: number;
  boolean: boolean;
  text: string | Uint8Array | null;
  version: CK_VERSION | null;
  "user type": number;
  bytes: Uint8Array | null;
  /** A PIN or a PUK: traces do not even show its length. */
  pin: Pin;
  /** A message's parameter (CK_GCM_MESSAGE_PARAMS ...). */
  "message parameter": object | null;
  /** A plaintext, a key: traces show its length. */
  secret: Uint8Array | string | null;
  /** An object of the caller: a reader, an engine, a callback. */
  value: unknown;
}

/**
 * Describes a parameter of a function: how a trace shows it, and the error for a bad one. Outputs are return values and
 * not listed.
 */
export type ParameterKind = keyof ParameterTypes;

/** Describes a result: how a trace shows it. */
export type ResultKind = "none" | "handle" | "value" | "bytes" | "secret" | "attributes";

/** Where the work is done. */
export type FunctionState =
  | "card"
  | "software"
  /** On the card for its own keys and objects, on the host for those of a session. */
  | "card and software"
  /** Always CKR_FUNCTION_NOT_SUPPORTED or a similar error. */
  | "not supported";

/** The description of a function besides its types. */
export interface FunctionEntry {
  /** The standard's names, in its order. The options that come last are not listed. */
  readonly parameters: readonly (readonly [name: string, kind: ParameterKind])[];
  readonly result: ResultKind;
  readonly state: FunctionState;
  /** Why it is not supported, or what is special about it here. */
  readonly note?: string;
}
