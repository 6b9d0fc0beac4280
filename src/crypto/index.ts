/**
 * Host-side cryptography. `codec/` computes nothing secret and needs no runtime: encodings of keys and signatures, paddings, curves.
 * `host/` is what the runtime computes, through one interface, {@link HostCrypto}: hashes, ciphers, keys of this process.
 */
export { type HashName, hashLength } from "./codec/hashes.ts";
export {
  type Curve25519,
  curveInfo,
  decodeEcParameters,
  decodeEcPoint,
  decodePoint25519,
  ecdsaFromDer,
  ecdsaToDer,
  encodeEcParameters,
  encodeEcPoint,
  encodeParameters25519,
  type NamedCurve,
  namesCurve25519,
  truncateDigest,
} from "./codec/elliptic-curve.ts";
export { keyName, publicKeyName } from "./codec/key-name.ts";
export { pssObjection, type PssLimits, type PssParameterLimits } from "./codec/pss-limits.ts";
export {
  type EcPublicKey,
  ecPublicKey,
  type EdwardsPublicKey,
  encodePublicKey,
  encodeSshPublicKey,
  type KeyShape,
  keyTypeOf,
  type MontgomeryPublicKey,
  parsePublicKey,
  type PublicKey,
  type RsaPublicKey,
  rsaPublicKey,
  withoutLimits,
} from "./codec/public-key.ts";
export {
  decodePkcs1Signature,
  digestInfo,
  encodePkcs1Signature,
  type OaepParameters,
  type PssParameters,
} from "./codec/rsa-padding.ts";
export {
  blockLength,
  blockStream,
  counterStream,
  decryptBlock,
  decryptCcm,
  decryptGcm,
  encryptBlock,
  encryptCcm,
  encryptGcm,
  openGcm,
  sealGcm,
} from "./host/ciphers.ts";
export { HostCryptoMissingError, useHostCrypto } from "./host/current.ts";
export {
  Cmac,
  digest,
  gunzip,
  Hasher,
  hkdfExpand,
  hkdfExtract,
  HmacStream,
  isCompressed,
  pbkdf2Hmac,
  randomBytes,
  sameSecret,
  x963Kdf,
} from "./host/digests.ts";
export {
  type AeadParameters,
  AuthenticationError,
  type BlockCipher,
  type BlockStream,
  type Direction,
  type HostCipherOptions,
  type HostCrypto,
  type HostHash,
  type HostKey,
  type HostMac,
  type HostSigner,
  type HostVerifier,
  type KeyKind,
  type MaybePromise,
  type OpeningStream,
  type PrivateKeyForm,
  type RsaPrivateNumbers,
  type SealedMessage,
} from "./host/host-crypto.ts";
export {
  curve25519KeyFromRandom,
  ecKeyFromRandom,
  isPrime,
  type RandomSource,
  rsaKeyFromRandom,
} from "./host/key-from-random.ts";
export { type KeyWrap, unwrapKey, wrapKey } from "./host/key-wrap.ts";
export { decodeOaep, decodePkcs1Encryption, encodeOaep, encodePkcs1Encryption, encodePss } from "./host/padding.ts";
export { generateCurve25519Key, generateEcKey, generateRsaKey, HostPrivateKey } from "./host/private-key.ts";
export {
  createEcdsaVerifier,
  rsaPublic,
  verifyEcdsa,
  verifyEddsa,
  verifyPkcs1,
  verifyPss,
  verifyRsaRaw,
} from "./host/verify.ts";
