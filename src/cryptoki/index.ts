/**
 * PKCS#11 for smart cards: the C_ functions, their structures, constants and errors, and PKCS #11 URIs. A slot is a
 * reader, or a part of one; a token is the part of its card that one PIN protects.
 */
export type { CallOptions } from "../async/index.ts";
export { AttributeError, type Unavailable } from "./attributes/errors.ts";
export {
  type AttributeKind,
  type AttributeValue,
  kindOf,
  type Kinds,
  type KindTypes,
  type Template,
  type ValueOf,
} from "./attributes/kinds.ts";
export type { AttributeList } from "./attributes/template.ts";
export * from "./constants/index.ts";
export type { ApplicationOptions, Detour, ResultVerification } from "./application.ts";
export { Cryptoki, type CryptokiFunctions, FUNCTIONS } from "./cryptoki.ts";
export type { FunctionEntry, FunctionState, ParameterKind, ParameterTypes, ResultKind } from "./function-entry.ts";
export type { CryptokiOptions } from "./gate.ts";
export type { CryptoEngine } from "./engines.ts";
export { CryptokiError } from "./errors.ts";
export type { KeyPair } from "./chapters/key-pairs.ts";
export type { AttributeValues } from "./chapters/objects.ts";
export {
  type CK_MECHANISM,
  type CK_MESSAGE_MECHANISM,
  declarationOf,
  type MechanismDeclaration,
  type MechanismParameter,
  mechanismOf,
  type OtherMechanism,
} from "./mechanisms/declarations.ts";
export {
  type FieldKind,
  PARAMETER_FIELDS,
  type ParameterForm,
  type StructureName,
  type Structures,
} from "./mechanisms/parameter-forms.ts";
export type { EncryptedMessage, MessageParameter } from "./mechanisms/message-cipher.ts";
export type {
  EcPublicKey,
  EdwardsPublicKey,
  MontgomeryPublicKey,
  PssLimits,
  PssParameterLimits,
  PublicKey,
  RsaPublicKey,
} from "../crypto/index.ts";
export { type ObjectSource, publicHalfOf } from "./public-half.ts";
export type { Pin } from "./sessions/logins.ts";
export type { CardAccess, SlotTable } from "./slots/slot-table.ts";
export type { TokenChoice } from "./slots/slot-view.ts";
export type * from "./structures.ts";
export type { CallEvent, CK_TRACE_CALLBACK, FindingEvent, UlongBits } from "./trace/tracer.ts";
export { formatUri, isUri, parseUri, type Pkcs11Uri, type UriObjectType } from "./uri.ts";
export {
  matchesObject,
  matchesToken,
  type ObjectDescription,
  objectUri,
  type TokenDescription,
  tokenUri,
} from "./uri-match.ts";
export { CRYPTOKI_VERSIONS } from "./versions.ts";
