/** Host-side cryptography over node:crypto: hashes, paddings, key and signature encodings, verification. */
export { type BlockCipher, blockLength, decryptBlock, encryptBlock } from "./block-cipher.ts";
export { curveInfo, decodeEcParameters, encodeEcParameters, type NamedCurve } from "./curve.ts";
export { digestInfo } from "./digest-info.ts";
export { decodeEcPoint, encodeEcPoint } from "./ec-point.ts";
export { ecdsaFromDer, ecdsaToDer, truncateDigest } from "./ecdsa.ts";
export { verifyEcdsa } from "./ecdsa-verify.ts";
export { gunzip } from "./gunzip.ts";
export { digest, Hasher, hashLength, type HashName } from "./hash.ts";
export { x963Kdf } from "./kdf.ts";
export { decodeOaep, encodeOaep, type OaepParameters } from "./oaep.ts";
export { decodePkcs1Encryption, decodePkcs1Signature, encodePkcs1Encryption, encodePkcs1Signature } from "./pkcs1.ts";
export { encodePss, type PssParameters } from "./pss.ts";
export {
  type EcPublicKey,
  encodePublicKey,
  keyTypeOf,
  parsePublicKey,
  type PublicKey,
  type RsaPublicKey,
  rsaPublicKey,
} from "./public-key.ts";
export { randomBytes } from "./random.ts";
export { rsaPublic } from "./rsa.ts";
export { sameSecret } from "./same-secret.ts";
export { encodeSshPublicKey } from "./ssh-public-key.ts";
export { verifyPkcs1, verifyPss, verifyRsaRaw } from "./rsa-verify.ts";
