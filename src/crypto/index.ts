/** Host-side cryptography over node:crypto: hashes, paddings, key and signature encodings, verification. */
export { curveInfo, decodeEcParameters, encodeEcParameters, type NamedCurve } from "./curve.ts";
export { gunzip } from "./gunzip.ts";
export { digest, Hasher, hashLength, type HashName } from "./hash.ts";
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
