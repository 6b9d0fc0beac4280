import { createPublicKey, type KeyObject } from "node:crypto";
import { derBitString, derNull, derOid, DerReader, derSequence, derUnsigned } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";
import { curveInfo, decodeEcParameters, encodeEcParameters, type NamedCurve } from "./curve.ts";

export interface RsaPublicKey {
  readonly type: "rsa";
  /** Most significant byte first, no leading zero. */
  readonly modulus: Uint8Array;
  /** Most significant byte first, no leading zero. */
  readonly publicExponent: Uint8Array;
  readonly modulusBits: number;
}

export interface EcPublicKey {
  readonly type: "ec";
  readonly curve: NamedCurve;
  /** Uncompressed: 04, x, y. That it is on the curve is checked when the key is used. */
  readonly point: Uint8Array;
}

/** A key that signs (RFC 8032). */
export interface EdwardsPublicKey {
  readonly type: "edwards";
  readonly curve: "Ed25519";
  /** 32 bytes, least significant first. */
  readonly point: Uint8Array;
}

/** A key that agrees on secrets (RFC 7748). */
export interface MontgomeryPublicKey {
  readonly type: "montgomery";
  readonly curve: "X25519";
  /** 32 bytes, least significant first. */
  readonly point: Uint8Array;
}

/** Type and size of a key pair, which may be known before its numbers are. Every {@link PublicKey} is one. */
export type KeyShape =
  | Pick<RsaPublicKey, "type" | "modulusBits">
  | Pick<EcPublicKey, "type" | "curve">
  | Pick<EdwardsPublicKey, "type" | "curve">
  | Pick<MontgomeryPublicKey, "type" | "curve">;

export type PublicKey = RsaPublicKey | EcPublicKey | EdwardsPublicKey | MontgomeryPublicKey;

const RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
/** RFC 8410 section 3. */
const ED25519 = "1.3.101.112";
const X25519 = "1.3.101.110";
const EC_PUBLIC_KEY = "1.2.840.10045.2.1";
/** Cards compute with 1024 to 4096; certificates of authorities on them may hold more, up to OpenSSL's own limit. */
const MIN_MODULUS_BITS = 512;
const MAX_MODULUS_BITS = 16384;

/**
 * Reads a SubjectPublicKeyInfo, DER (RFC 5280 section 4.1, RFC 3279 section 2.3.1, RFC 5480 section 2).
 * @throws {DataError} if it is none, or neither an RSA key nor one on a curve of {@link NamedCurve}.
 */
export function parsePublicKey(spki: Uint8Array): PublicKey {
  const outer = new DerReader(spki, "public key");
  const info = outer.enter();
  outer.end();
  const algorithm = info.enter();
  const key = info.bitStringBytes();
  info.end();
  const oid = algorithm.oid();
  switch (oid) {
    case RSA_ENCRYPTION:
      return readRsaKey(key);
    case EC_PUBLIC_KEY:
      return ecPublicKey(decodeEcParameters(algorithm.next().encoding), key);
    case ED25519:
      return { type: "edwards", curve: "Ed25519", point: requirePoint25519(key) };
    case X25519:
      return { type: "montgomery", curve: "X25519", point: requirePoint25519(key) };
    default:
      throw new DataError(`public key: algorithm ${oid} is neither RSA nor EC, Ed25519 nor X25519`);
  }
}

/** RSAPublicKey (RFC 8017 appendix A.1.1). */
function readRsaKey(der: Uint8Array): RsaPublicKey {
  const outer = new DerReader(der, "RSA public key");
  const reader = outer.enter();
  outer.end();
  const key = rsaPublicKey(reader.unsigned(), reader.unsigned());
  reader.end();
  return key;
}

/**
 * An RSA public key from its two numbers, most significant byte first.
 * @throws {DataError} if no RSA key has them: even ones, a modulus under 512 or over 16384 bits, an exponent of 1 or longer than it.
 */
export function rsaPublicKey(modulus: Uint8Array, publicExponent: Uint8Array): RsaPublicKey {
  const n = withoutZeros(modulus);
  const e = withoutZeros(publicExponent);
  const modulusBits = bitLength(n);
  const odd = ((n.at(-1) ?? 0) & (e.at(-1) ?? 0) & 1) === 1;
  if (!odd || bitLength(e) < 2 || e.length > n.length)
    throw new DataError("RSA public key: not a modulus and exponent");
  if (modulusBits < MIN_MODULUS_BITS || modulusBits > MAX_MODULUS_BITS) {
    throw new DataError(`RSA public key: ${modulusBits} bits, not ${MIN_MODULUS_BITS} to ${MAX_MODULUS_BITS}`);
  }
  return { type: "rsa", modulus: n, publicExponent: e, modulusBits };
}

/**
 * An EC public key from its curve and its uncompressed point, 04 || X || Y.
 * @throws {DataError} if the point has another form or length.
 */
export function ecPublicKey(curve: NamedCurve, point: Uint8Array): EcPublicKey {
  if (point.length !== 1 + 2 * curveInfo(curve).bytes || point[0] !== 0x04) {
    throw new DataError(`EC public key: not an uncompressed point of ${curve}`);
  }
  return { type: "ec", curve, point };
}

function requirePoint25519(point: Uint8Array): Uint8Array {
  if (point.length !== 32) throw new DataError(`public key: a point of ${point.length} bytes, 32 wanted`);
  return point;
}

/** The SubjectPublicKeyInfo of `key`, DER. */
export function encodePublicKey(key: PublicKey): Uint8Array {
  if (key.type === "ec") {
    return derSequence(derSequence(derOid(EC_PUBLIC_KEY), encodeEcParameters(key.curve)), derBitString(key.point));
  }
  if (key.type !== "rsa") {
    const algorithm = derOid(key.type === "edwards" ? ED25519 : X25519);
    return derSequence(derSequence(algorithm), derBitString(key.point));
  }
  const numbers = derSequence(derUnsigned(key.modulus), derUnsigned(key.publicExponent));
  return derSequence(derSequence(derOid(RSA_ENCRYPTION), derNull()), derBitString(numbers));
}

/**
 * Type and size of the key in a SubjectPublicKeyInfo.
 * @throws {DataError} as {@link parsePublicKey}.
 */
export function keyTypeOf(
  spki: Uint8Array,
): { readonly type: "rsa"; readonly modulusBits: number } | { readonly type: "ec"; readonly curve: NamedCurve } {
  const key = parsePublicKey(spki);
  if (key.type === "rsa") return { type: "rsa", modulusBits: key.modulusBits };
  if (key.type === "ec") return { type: "ec", curve: key.curve };
  throw new DataError(`public key: no card here has keys on ${key.curve}`);
}

/**
 * `key` as Node's crypto takes it.
 * @throws {DataError} if OpenSSL refuses it, as it does with a point that is not on its curve.
 */
export function importPublicKey(key: PublicKey): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(encodePublicKey(key)), format: "der", type: "spki" });
  } catch (cause) {
    throw new DataError("public key: refused, not a valid key", { cause });
  }
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  return start < 0 ? new Uint8Array() : number.subarray(start);
}

function bitLength(number: Uint8Array): number {
  const [first] = number;
  return first === undefined ? 0 : 8 * number.length - (Math.clz32(first) - 24);
}
