import type { Pin } from "./arguments.ts";
import type { Template } from "./attributes/kinds.ts";
import type { AttributeList } from "./attributes/template.ts";
import type { CK_MECHANISM, CK_VERSION } from "./structures.ts";

/** What may stand for a parameter of each kind. */
export interface KindTypes {
  slot: number;
  session: number;
  object: number;
  /** The handle of a key that is used: CKR_KEY_HANDLE_INVALID if it names none. */
  key: number;
  mechanism: CK_MECHANISM | null;
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
  /** A PIN or a PUK: not even its length is shown. */
  pin: Pin;
  /** A message's parameter (CK_GCM_MESSAGE_PARAMS ...). */
  "message parameter": object | null;
  /** A plaintext, a key: its length is shown. */
  secret: Uint8Array | string | null;
  /** Something of the caller's own: a reader, an engine, a callback. */
  value: unknown;
}

/**
 * What a parameter of a function is: how a trace shows it, and what a bad one is answered with. Outputs are return values and
 * stand nowhere here.
 */
export type ParameterKind = keyof KindTypes;

/** What a call gives: how a trace shows it. */
export type ResultKind = "none" | "handle" | "value" | "bytes" | "secret" | "attributes";

/** Where the work is done. */
type FunctionState =
  | "card"
  | "software"
  /** By the card for its own keys and objects, by the host for those of a session. */
  | "card and software"
  /** CKR_FUNCTION_NOT_SUPPORTED or its kin, always. */
  | "not supported";

/** What is said of a function besides its types. */
export interface FunctionEntry {
  /** Names of the standard, in its order. The options that come last are not listed. */
  readonly parameters: readonly (readonly [name: string, kind: ParameterKind])[];
  readonly result: ResultKind;
  readonly state: FunctionState;
  /** Why it is not supported, or what is peculiar about it here. */
  readonly note?: string;
}
