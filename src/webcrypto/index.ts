/**
 * The W3C's Web Cryptography API over PKCS#11: a `Crypto` whose private keys stay on a token, for pkijs,
 * @peculiar/x509, and other libraries that use WebCrypto. It calls only the C_ functions, so it works with the tokens
 * of any module.
 */
export type {
  CertificateCategory,
  CertificatePlace,
  CertificateStorage,
  TokenCertificate,
} from "./certificate-storage.ts";
export type { NamedCurve } from "../crypto/index.ts";
export type { KeyPlace, TokenKeyPair } from "./generate.ts";
export type {
  Curve25519Algorithm,
  EcAlgorithm,
  KeyQuery,
  ObjectQuery,
  RsaAlgorithm,
  TokenKeyAlgorithm,
  WantedAlgorithm,
} from "./algorithms.ts";
export type { KeyEntry, KeyStorage, TokenKeyGenAlgorithm } from "./key-storage.ts";
export type { AlgorithmIdentifier, BufferSource, EcKeyGenParameters, RsaKeyGenParameters } from "./platform.ts";
export type { PinRequest, PinSource } from "../tokens/parts.ts";
export { TokenCrypto, type TokenCryptoOptions } from "./token-crypto.ts";
export { TokenCryptoKey } from "./token-crypto-key.ts";
