import { type EdwardsPublicKey, type KeyShape, verifyEddsa } from "../../crypto/index.ts";
import { CKF_MECHANISM } from "../constants/ckf.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { KeySizes, MechanismFamily, SchemeMaker, SignatureScheme } from "./scheme.ts";
import { readEddsaParameters } from "./symmetric-parameters.ts";

/** A message is signed as it is, so all of it is kept. */
const MAX_MESSAGE = 2 ** 28;

/** Curve25519, in bits. */
export const CURVE_25519_SIZES: KeySizes = { min: 255, max: 255 };
export const CURVE_25519_FLAGS: number = CKF_MECHANISM.EC_OID | CKF_MECHANISM.EC_CURVENAME | CKF_MECHANISM.EC_COMPRESS;

const signature: SchemeMaker<SignatureScheme> = (key, hash, parameter) => {
  readEddsaParameters(parameter);
  if (key.type !== "edwards") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism wants an Ed25519 key");
  return {
    hash,
    maxMessage: MAX_MESSAGE,
    signatureLength: 64,
    sign: (user, message, signal) => user.use("eddsa", message, signal),
    verify: (message, signed) => verifyEddsa(requirePoint(key), message, signed),
  };
};

/** For what the public half does. */
function requirePoint(key: Extract<KeyShape, { type: "edwards" }>): EdwardsPublicKey {
  if ("point" in key) return key as EdwardsPublicKey;
  throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "a public key is needed for this");
}

/** CKM_EDDSA with Ed25519 (RFC 8032). */
export const eddsa: MechanismFamily = {
  keyTypes: [CKK.EC_EDWARDS],
  primitives: ["eddsa"],
  flags: CURVE_25519_FLAGS,
  sizes: CURVE_25519_SIZES,
  signature,
};
