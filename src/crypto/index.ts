/** Host-side cryptography over node:crypto: hashes, paddings, key and signature encodings, verification. */
export { type AeadParameters, AuthenticationError, decryptCcm, decryptGcm, encryptCcm, encryptGcm } from "./aead.ts";
export { type BlockCipher, blockLength, decryptBlock, encryptBlock } from "./block-cipher.ts";
export { type BlockStream, blockStream, type Direction } from "./block-stream.ts";
export { Cmac } from "./cmac.ts";
export { counterStream } from "./counter-stream.ts";
export { curveInfo, decodeEcParameters, encodeEcParameters, type NamedCurve } from "./curve.ts";
export { digestInfo } from "./digest-info.ts";
export { decodeEcPoint, encodeEcPoint } from "./ec-point.ts";
export { ecdsaFromDer, ecdsaToDer, truncateDigest } from "./ecdsa.ts";
export { verifyEcdsa } from "./ecdsa-verify.ts";
export { verifyEddsa } from "./eddsa.ts";
export { generateCurve25519Key, generateEcKey, generateRsaKey } from "./generate-key.ts";
export { gunzip } from "./gunzip.ts";
export { digest, Hasher, hashLength, type HashName } from "./hash.ts";
export { hkdfExpand, hkdfExtract } from "./hkdf.ts";
export { HmacStream } from "./hmac.ts";
export { HostPrivateKey } from "./host-key.ts";
export { type KeyWrap, unwrapKey, wrapKey } from "./key-wrap.ts";
export { x963Kdf } from "./kdf.ts";
export { decodeOaep, encodeOaep, type OaepParameters } from "./oaep.ts";
export { decodePkcs1Encryption, decodePkcs1Signature, encodePkcs1Encryption, encodePkcs1Signature } from "./pkcs1.ts";
export { pbkdf2Hmac } from "./pbkdf2.ts";
export { encodePss, type PssParameters } from "./pss.ts";
export {
  type EcPublicKey,
  type EdwardsPublicKey,
  encodePublicKey,
  type KeyShape,
  keyTypeOf,
  type MontgomeryPublicKey,
  parsePublicKey,
  type PublicKey,
  type RsaPublicKey,
  ecPublicKey,
  rsaPublicKey,
} from "./public-key.ts";
export { type Curve25519, decodePoint25519, encodeParameters25519, namesCurve25519 } from "./point25519.ts";
export { randomBytes } from "./random.ts";
export { rsaPublic } from "./rsa.ts";
export type { RsaPrivateNumbers } from "./rsa-private.ts";
export { sameSecret } from "./same-secret.ts";
export { encodeSshPublicKey } from "./ssh-public-key.ts";
export { verifyPkcs1, verifyPss, verifyRsaRaw } from "./rsa-verify.ts";
