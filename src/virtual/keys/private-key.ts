import {
  constants,
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  KeyObject,
  privateDecrypt,
  sign,
} from "node:crypto";
import { DataError } from "../../bytes/index.ts";
import { encodeTlv } from "../../apdu/index.ts";
import { type EcKeyInfo, fieldLength, KEY_TYPES, type KeyTypeInfo } from "./key-type.ts";
import { signHash } from "./ecdsa.ts";

type KeyTypes = Readonly<Record<string, KeyTypeInfo>>;

/**
 * What kind of key `key` is.
 * @param types Those that the card has.
 * @throws {DataError} if the card has no such keys.
 */
export function describeKey(key: KeyObject, types: KeyTypes = KEY_TYPES): KeyTypeInfo {
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {};
  const found = Object.values(types).find((info) => {
    if (info.type === "rsa") return key.asymmetricKeyType === "rsa" && info.bits === modulusLength;
    if (info.type === "ec") return key.asymmetricKeyType === "ec" && info.curve === namedCurve;
    return key.asymmetricKeyType === info.curve;
  });
  if (found === undefined) {
    const kind = [key.asymmetricKeyType, modulusLength ?? namedCurve].filter(Boolean).join(" ");
    throw new DataError(`card key: ${kind} is none of ${Object.keys(types).join(", ")}`);
  }
  if (found.type === "rsa" && (publicExponent ?? 0n) < 3n) throw new DataError("card key: public exponent below 3");
  return found;
}

/**
 * A private key that the card can hold.
 * @throws {DataError} if it is none.
 */
export function parsePrivateKey(source: string | KeyObject, types?: KeyTypes): KeyObject {
  let key;
  try {
    key = source instanceof KeyObject ? source : createPrivateKey(source);
  } catch (cause) {
    throw new DataError("card key: not an unencrypted private key in PEM", { cause });
  }
  if (key.type !== "private") throw new DataError(`card key: a ${key.type} key, a private one is wanted`);
  describeKey(key, types);
  return key;
}

/**
 * input^d mod n.
 * @throws {DataError} unless `input` is as long as the modulus and smaller than it.
 */
export function rsaRaw(key: KeyObject, input: Uint8Array): Uint8Array {
  const length = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  // OpenSSL would fill up a shorter one.
  if (input.length !== length) throw new DataError(`RSA: ${input.length} bytes, ${length} wanted`);
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, input);
  } catch (cause) {
    throw new DataError("RSA: the input is not smaller than the modulus", { cause });
  }
}

/**
 * The DER signature over a hash.
 * @throws {DataError} if `hash` is empty or longer than the order.
 */
export function ecdsa(key: KeyObject, info: EcKeyInfo, hash: Uint8Array): Uint8Array {
  if (hash.length === 0 || hash.length > fieldLength(info)) {
    throw new DataError(`ECDSA: a hash of ${hash.length} bytes, 1 to ${fieldLength(info)}`);
  }
  const secret = secretScalar(key);
  try {
    return signHash(info, secret, hash);
  } finally {
    secret.fill(0);
  }
}

/**
 * The x coordinate of the shared point (SP 800-56A section 5.7.1.2).
 * @throws {DataError} unless `point` is uncompressed and on the curve.
 */
export function ecdh(key: KeyObject, info: EcKeyInfo, point: Uint8Array): Uint8Array {
  if (point.length !== 1 + 2 * fieldLength(info) || point[0] !== 0x04)
    throw new DataError("ECDH: not an uncompressed point");
  const secret = secretScalar(key);
  try {
    const own = createECDH(info.curve);
    own.setPrivateKey(secret);
    return own.computeSecret(point);
  } catch (cause) {
    throw new DataError("ECDH: the point is not on the curve", { cause });
  } finally {
    secret.fill(0);
  }
}

/** The signature over a message, R and S in 64 bytes (RFC 8032). */
export function eddsa(key: KeyObject, message: Uint8Array): Uint8Array {
  return sign(null, message, key);
}

/**
 * The shared secret, 32 bytes (RFC 7748).
 * @throws {DataError} unless `point` is 32 bytes, and not one that gives nothing but zeros.
 */
export function x25519(key: KeyObject, point: Uint8Array): Uint8Array {
  if (point.length !== 32) throw new DataError(`X25519: a point of ${point.length} bytes, 32 wanted`);
  const x = Buffer.from(point).toString("base64url");
  try {
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
    return diffieHellman({ privateKey: key, publicKey });
  } catch (cause) {
    throw new DataError("X25519: the point has no secret to share", { cause });
  }
}

/** The public half of private `key` as GENERATE ASYMMETRIC KEY PAIR gives it: the content of 7F49 (SP 800-73-4 part 2 table 11). */
export function encodePublicKey(key: KeyObject): Uint8Array[] {
  const jwk = createPublicKey(key).export({ format: "jwk" });
  const field = (text: string | undefined): Uint8Array => Buffer.from(text ?? "", "base64url");
  if (jwk.kty === "RSA") return [encodeTlv(0x81, field(jwk.n)), encodeTlv(0x82, field(jwk.e))];
  if (jwk.kty === "OKP") return [encodeTlv(0x86, field(jwk.x))];
  return [encodeTlv(0x86, Uint8Array.of(0x04), field(jwk.x), field(jwk.y))];
}

function secretScalar(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url");
}
