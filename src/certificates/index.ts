/**
 * Certificates of keys on tokens: made, written beside their keys, renewed, and the keys proved. Everything here goes through the C_ functions,
 * so it works with the tokens of any module.
 */
export { CertificateError } from "./error.ts";
export { proveKey, type KeyProof, type ProvableKey } from "./key-proof.ts";
export { type CertificateContents, makeRequest, makeSelfSigned, renewedContents } from "./making.ts";
export { privateKeyTemplate } from "./private-key-template.ts";
export { type NewKey, planFinish, type RenewalHooks, requestRenewal } from "./renewal.ts";
export type { CertificateSession } from "./session.ts";
export {
  type CertificateSigner,
  externalSigner,
  primitiveSigner,
  signatureAlgorithmOf,
  tokenSigner,
} from "./signer.ts";
export { planWriting, writeBesideKey, type Writing } from "./writing.ts";
export { loadX509, type X509 } from "./x509.ts";
