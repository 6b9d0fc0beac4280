import {
  createEcdsaVerifier,
  curveInfo,
  decodeEcPoint,
  decodePoint25519,
  type EcPublicKey,
  type EdwardsPublicKey,
  Hasher,
  hashLength,
  type KeyShape,
  truncateDigest,
  verifyEcdsa,
  verifyEddsa,
  x963Kdf,
} from "../../crypto/index.ts";
import { CKK } from "../constants/ck.ts";
import { CKF_MECHANISM } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, CryptokiError } from "../errors.ts";
import type { AgreementScheme, KeySizes, MechanismFamily, SchemeMaker, SignatureScheme } from "./family.ts";
import { feed } from "./operation.ts";
import { readEcdhParameters, readEddsaParameters, readNoParameter } from "./parameters.ts";

/** Curve25519, in bits. */
export const CURVE_25519_SIZES: KeySizes = { min: 255, max: 255 };
export const CURVE_25519_FLAGS: number = CKF_MECHANISM.EC_OID | CKF_MECHANISM.EC_CURVENAME | CKF_MECHANISM.EC_COMPRESS;

const eddsaSignature: SchemeMaker<SignatureScheme> = (key, hash, parameter) => {
  readEddsaParameters(parameter);
  if (key.type !== "edwards") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism needs an Ed25519 key");
  return {
    hash,
    maxMessage: MAX_MESSAGE,
    signatureLength: 64,
    sign: (user, message, signal) => user.use("eddsa", message, signal),
    verify: (message, signed) => verifyEddsa(requireEdwardsPoint(key), message, signed),
  };
};

/** For the public half's operations. */
function requireEdwardsPoint(key: Extract<KeyShape, { type: "edwards" }>): EdwardsPublicKey {
  if ("point" in key) return key as EdwardsPublicKey;
  throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "a public key is needed for this");
}

/** CKM_EDDSA with Ed25519 (RFC 8032). */
export const eddsa: MechanismFamily = {
  keyTypes: [CKK.EC_EDWARDS],
  primitives: ["eddsa"],
  flags: CURVE_25519_FLAGS,
  sizes: CURVE_25519_SIZES,
  signature: eddsaSignature,
};

/** Named curves by their OID, and uncompressed points only (PKCS#11 3.1, elliptic curve mechanisms). */
export const EC_FLAGS: number = CKF_MECHANISM.EC_F_P | CKF_MECHANISM.EC_OID | CKF_MECHANISM.EC_UNCOMPRESS;
/** P-256 to P-521, in bits. */
export const EC_SIZES: KeySizes = { min: 256, max: 521 };

/**
 * The longest digest that CKM_ECDSA accepts. The standard names no limit: digests longer than the order are truncated.
 */
const MAX_DIGEST = 1024;

type EcShape = Extract<KeyShape, { type: "ec" }>;

function requireEc(key: KeyShape): EcShape {
  if (key.type !== "ec") throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism needs an EC key");
  return key;
}

/** For the public half's operations. */
function requirePoint(key: EcShape): EcPublicKey {
  if ("point" in key) return key as EcPublicKey;
  throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "a public key is needed for this");
}

/** Verification asks for it, and then the curve is known. */
function signatureLength({ curve }: EcShape): number {
  return curve ? 2 * curveInfo(curve).bytes : 0;
}

/** Without a curve the key truncates the digest itself. */
function forCurve(digest: Uint8Array, { curve }: EcShape): Uint8Array {
  return curve ? truncateDigest(digest, curve) : digest;
}

const ecdsaSignature: SchemeMaker<SignatureScheme> = (shape, hash, parameter) => {
  readNoParameter(parameter);
  const key = requireEc(shape);
  const requireDigest = (digest: Uint8Array): void => {
    if (digest.length === 0)
      throw new CryptokiError(CKR.DATA_LEN_RANGE, "CKM_ECDSA needs a digest of at least one byte");
  };
  return {
    hash,
    maxMessage: MAX_DIGEST,
    signatureLength: signatureLength(key),
    async sign(user, digest, signal) {
      requireDigest(digest);
      return user.use("ecdsa", forCurve(digest, key), signal);
    },
    verify(digest, signed) {
      requireDigest(digest);
      return verifyEcdsa(requirePoint(key), digest, signed);
    },
    isEcdsa: true,
    ...(hash && { verifier: () => createEcdsaVerifier(requirePoint(key), hash) }),
  };
};

/** CKM_ECDSA and CKM_ECDSA_SHA*: the signature is r || s (PKCS#11 3.1, EC signatures). */
export const ecdsa: MechanismFamily = {
  keyTypes: [CKK.EC],
  primitives: ["ecdsa"],
  flags: EC_FLAGS,
  sizes: EC_SIZES,
  signature: ecdsaSignature,
};

/** A message that the card may hash is kept until its end. */
const MAX_MESSAGE = 2 ** 28;

const sha1Signature: SchemeMaker<SignatureScheme> = (shape, _hash, parameter) => {
  readNoParameter(parameter);
  const key = requireEc(shape);
  return {
    // The message is kept: the key determines whether the card or the host hashes it.
    hash: undefined,
    maxMessage: MAX_MESSAGE,
    signatureLength: signatureLength(key),
    sign: async (user, message, signal) =>
      user.primitives.includes("ecdsa")
        ? user.use("ecdsa", forCurve(await sha1(message), key), signal)
        : user.use("ecdsa-sha1", message, signal),
    verify: async (message, signed) => verifyEcdsa(requirePoint(key), await sha1(message), signed),
  };
};

async function sha1(message: Uint8Array): Promise<Uint8Array> {
  const hasher = new Hasher("sha1");
  await feed(hasher, message, "the message");
  return hasher.digest();
}

/** CKM_ECDSA_SHA1, which a card may do completely: some cards always hash their input. */
export const ecdsaSha1: MechanismFamily = {
  keyTypes: [CKK.EC],
  primitives: ["ecdsa", "ecdsa-sha1"],
  flags: EC_FLAGS,
  sizes: EC_SIZES,
  signature: sha1Signature,
};

const agreement: SchemeMaker<AgreementScheme> = (shape, _hash, parameter) => {
  const { kdf, sharedData, publicData } = readEcdhParameters(parameter);
  const point = asCallerError(CKR.MECHANISM_PARAM_INVALID, () => readPoint(shape, publicData));
  return {
    agree: (user, signal) => user.use("ecdh", point, signal),
    derive(secret, length) {
      if (kdf) return x963Kdf(kdf, secret, length ?? hashLength(kdf), sharedData);
      const wanted = length ?? secret.length;
      if (wanted > secret.length) {
        throw new CryptokiError(
          CKR.KEY_SIZE_RANGE,
          `the shared secret has ${secret.length} bytes; name a kdf for more`,
        );
      }
      // "The truncation removes bytes from the leading end of the secret value."
      return secret.slice(secret.length - wanted);
    },
  };
};

/** The other party's point, on the key's own curve. */
function readPoint(own: KeyShape, publicData: Uint8Array): Uint8Array {
  if (own.type === "ec" && own.curve) return decodeEcPoint(own.curve, publicData);
  if (own.type === "montgomery") return decodePoint25519(publicData);
  throw new CryptokiError(CKR.KEY_TYPE_INCONSISTENT, "the mechanism needs a key that agrees on secrets");
}

/** CKM_ECDH1_DERIVE (PKCS#11 3.1, Elliptic curve Diffie-Hellman key derivation). */
export const ecdh: MechanismFamily = {
  keyTypes: [CKK.EC, CKK.EC_MONTGOMERY],
  primitives: ["ecdh"],
  flags: EC_FLAGS,
  sizes: { min: CURVE_25519_SIZES.min, max: EC_SIZES.max },
  agreement,
};
