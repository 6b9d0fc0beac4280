/** Everything of this room but the ways to open tokens, which load readers and servers of Node: for rooms that a browser has, too. */
export type { TokenAccess } from "./access.ts";
export type { Attestation } from "./attestation.ts";
export { TokenCertificate } from "./certificate.ts";
export {
  type CertificateDescription,
  type CertificatePlace,
  type CertificateQuery,
  Certificates,
  type CertifiedKey,
} from "./certificates.ts";
export type { DataInput } from "./data-input.ts";
export { type DataObject, DataObjects, type DataPlace, type DataQuery } from "./data-objects.ts";
export { type CkrName, type LayerCode, TokenError, type TokenErrorOptions } from "./error.ts";
export { Key } from "./key.ts";
export type { PrivateJwk } from "./key-material.ts";
export type { KeyPolicy } from "./key-policy.ts";
export type { KeyUse } from "./key-use.ts";
export { type KeyDescription, type KeyQuery, Keys } from "./keys.ts";
export type { NewKey, NewKeyType } from "./new-key.ts";
export { OfficerToken } from "./officer.ts";
export {
  type KeyInfo,
  type Pin,
  type PinRequest,
  type PinSource,
  type PinState,
  rememberPin,
  type RememberOptions,
  type TokenInfo,
} from "./pin.ts";
export { PublicKey } from "./public-key.ts";
export type { SigningStream } from "./signing-stream.ts";
export type { Encryption, KeyAlgorithm, SignatureHash, SignatureScheme } from "./scheme.ts";
export { type TokenChange, TokenSource } from "./source.ts";
export { type Cipher, type NewSecret, SecretKey } from "./secret-key.ts";
export { SecretKeys } from "./secret-keys.ts";
export { Token, type TokenInitialisation } from "./token.ts";
export type { TokenDescriptionQuery, TokenQuery } from "./token-query.ts";
export type { TouchListener, TouchRequest } from "./touch.ts";
