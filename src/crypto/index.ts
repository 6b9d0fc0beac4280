/** Host-side cryptography over node:crypto: hashes, paddings, key and signature encodings, verification. */
export { type AeadParameters, AuthenticationError, decryptCcm, decryptGcm, encryptCcm, encryptGcm } from "./aead.ts";
export {
  type BlockCipher,
  blockLength,
  type BlockStream,
  blockStream,
  counterStream,
  decryptBlock,
  type Direction,
  encryptBlock,
} from "./ciphers.ts";
export {
  Cmac,
  digest,
  gunzip,
  Hasher,
  hashLength,
  type HashName,
  hkdfExpand,
  hkdfExtract,
  HmacStream,
  isCompressed,
  pbkdf2Hmac,
  randomBytes,
  sameSecret,
  x963Kdf,
} from "./digests.ts";
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
} from "./elliptic-curve.ts";
export {
  decodeOaep,
  decodePkcs1Encryption,
  decodePkcs1Signature,
  digestInfo,
  encodeOaep,
  encodePkcs1Encryption,
  encodePkcs1Signature,
  encodePss,
  type OaepParameters,
  type PssParameters,
} from "./rsa-padding.ts";
export { rsaPublic, verifyEcdsa, verifyEddsa, verifyPkcs1, verifyPss, verifyRsaRaw } from "./verify.ts";
export { curve25519KeyFromRandom, ecKeyFromRandom, type RandomSource, rsaKeyFromRandom } from "./key-from-random.ts";
export {
  generateCurve25519Key,
  generateEcKey,
  generateRsaKey,
  HostPrivateKey,
  type RsaPrivateNumbers,
} from "./private-key.ts";
export { keyName, publicKeyName } from "./key-name.ts";
export { type KeyWrap, unwrapKey, wrapKey } from "./key-wrap.ts";
export { pssObjection, type PssLimits, type PssParameterLimits } from "./pss-limits.ts";
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
} from "./public-key.ts";
