import { berToDer, derBitString, derNull, derOid, DerReader, derSequence, derUnsigned, TAG } from "../../asn1/index.ts";
import { concat, DataError, utf8 } from "../../bytes/index.ts";
import { curveInfo, decodeEcParameters, decodeEcPoint, encodeEcParameters, type NamedCurve } from "./elliptic-curve.ts";
import { encodePssLimits, type PssLimits, readPssLimits } from "./pss-limits.ts";

export interface RsaPublicKey {
  readonly type: "rsa";
  /** Most significant byte first, no leading zero. */
  readonly modulus: Uint8Array;
  /** Most significant byte first, no leading zero. */
  readonly publicExponent: Uint8Array;
  readonly modulusBits: number;
  /** Limits of an RSASSA-PSS key (RFC 4055 section 1.2): no other padding is allowed. */
  readonly pss?: PssLimits;
}

export interface EcPublicKey {
  readonly type: "ec";
  readonly curve: NamedCurve;
  /** Uncompressed: 04, x, y. It is checked against the curve when the key is used. */
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

/** Type and size of a key pair, perhaps before its numbers are known. Every {@link PublicKey} is one. */
export type KeyShape =
  | Pick<RsaPublicKey, "type" | "modulusBits" | "pss">
  /** Without a curve: that of a private key whose card finds it out when it must. */
  | { readonly type: "ec"; readonly curve: NamedCurve | undefined }
  | Pick<EdwardsPublicKey, "type" | "curve">
  | Pick<MontgomeryPublicKey, "type" | "curve">;

export type PublicKey = RsaPublicKey | EcPublicKey | EdwardsPublicKey | MontgomeryPublicKey;

const RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
/** RFC 4055 section 3.1. */
const RSASSA_PSS = "1.2.840.113549.1.1.10";
/** RFC 8410 section 3. */
const ED25519 = "1.3.101.112";
const X25519 = "1.3.101.110";
const EC_PUBLIC_KEY = "1.2.840.10045.2.1";
/** Cards support 1024 to 4096; certificates of authorities on them may have more, up to OpenSSL's own limit. */
const MIN_MODULUS_BITS = 512;
const MAX_MODULUS_BITS = 16384;

/**
 * Parses a SubjectPublicKeyInfo (RFC 5280 section 4.1, RFC 3279 section 2.3, RFC 4055, RFC 5480 section 2, RFC 8410),
 * DER or BER. The numbers of an RSA key may be padded, or lack the zero that makes them positive.
 * @throws {DataError} if it is malformed, or neither an RSA key nor one on a curve of {@link NamedCurve}, Ed25519 or
 *   X25519.
 */
export function parsePublicKey(spki: Uint8Array): PublicKey {
  const { oid, parameters, key } = readPublicKeyInfo(spki);
  switch (oid) {
    case RSA_ENCRYPTION:
      return readRsaKey(key);
    case RSASSA_PSS:
      return { ...readRsaKey(key), pss: readPssLimits(parameters) };
    case EC_PUBLIC_KEY:
      if (!parameters) throw new DataError("EC public key: no parameters");
      return readEcKey(decodeEcParameters(parameters), key);
    case ED25519:
      return { type: "edwards", curve: "Ed25519", point: requirePoint25519(key) };
    case X25519:
      return { type: "montgomery", curve: "X25519", point: requirePoint25519(key) };
    default:
      throw new DataError(`public key: algorithm ${oid} is neither RSA nor EC, Ed25519 nor X25519`);
  }
}

/** The parts of a SubjectPublicKeyInfo. */
export interface PublicKeyInfo {
  /** Of the algorithm. */
  readonly oid: string;
  /** Of the algorithm, DER; undefined if there are none. */
  readonly parameters: Uint8Array | undefined;
  /** The key itself, in the algorithm's own form. */
  readonly key: Uint8Array;
}

/** @throws {DataError} if `spki` is not a SubjectPublicKeyInfo of any algorithm. */
export function readPublicKeyInfo(spki: Uint8Array): PublicKeyInfo {
  const outer = new DerReader(inDer(spki), "public key");
  const info = outer.enter();
  outer.end();
  const algorithm = info.enter();
  const key = info.bitStringBytes();
  info.end();
  const oid = algorithm.oid();
  return { oid, parameters: algorithm.remaining > 0 ? algorithm.next().encoding : undefined, key };
}

/** Converts BER to DER; leaves malformed bytes for the parser to refuse. */
function inDer(bytes: Uint8Array): Uint8Array {
  try {
    const { der, length } = berToDer(bytes);
    return length === bytes.length ? der : bytes;
  } catch (error) {
    if (error instanceof DataError) return bytes;
    throw error;
  }
}

/**
 * Parses RSAPublicKey (RFC 8017 appendix A.1.1). Its numbers cannot be negative, so a missing leading zero is
 * tolerated.
 */
function readRsaKey(der: Uint8Array): RsaPublicKey {
  const outer = new DerReader(inDer(der), "RSA public key");
  const reader = outer.enter();
  outer.end();
  const key = rsaPublicKey(reader.next(TAG.INTEGER).contents, reader.next(TAG.INTEGER).contents);
  reader.end();
  return key;
}

/**
 * Makes an RSA public key from its two numbers, most significant byte first.
 * @throws {DataError} for impossible numbers: even ones, a modulus under 512 or over 16384 bits, an exponent of 1 or
 *   longer than it.
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
 * Makes an EC public key from its curve and its uncompressed point, 04 || X || Y.
 * @throws {DataError} if the point has another form or length.
 */
export function ecPublicKey(curve: NamedCurve, point: Uint8Array): EcPublicKey {
  if (point.length !== 1 + 2 * curveInfo(curve).bytes || point[0] !== 0x04) {
    throw new DataError(`EC public key: not an uncompressed point of ${curve}`);
  }
  return { type: "ec", curve, point };
}

/** Decompresses a compressed point (RFC 5480 section 2.2). */
function readEcKey(curve: NamedCurve, point: Uint8Array): EcPublicKey {
  const isCompressed = (point[0] === 0x02 || point[0] === 0x03) && point.length === 1 + curveInfo(curve).bytes;
  return ecPublicKey(curve, isCompressed ? decodeEcPoint(curve, point) : point);
}

function requirePoint25519(point: Uint8Array): Uint8Array {
  if (point.length !== 32) throw new DataError(`public key: a point of ${point.length} bytes instead of 32`);
  return point;
}

/** Encodes `key` as SubjectPublicKeyInfo, DER. */
export function encodePublicKey(key: PublicKey): Uint8Array {
  if (key.type === "ec") {
    return derSequence(derSequence(derOid(EC_PUBLIC_KEY), encodeEcParameters(key.curve)), derBitString(key.point));
  }
  if (key.type !== "rsa") {
    const algorithm = derOid(key.type === "edwards" ? ED25519 : X25519);
    return derSequence(derSequence(algorithm), derBitString(key.point));
  }
  const numbers = derSequence(derUnsigned(key.modulus), derUnsigned(key.publicExponent));
  const algorithm = key.pss
    ? derSequence(derOid(RSASSA_PSS), encodePssLimits(key.pss))
    : derSequence(derOid(RSA_ENCRYPTION), derNull());
  return derSequence(algorithm, derBitString(numbers));
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
  throw new DataError(`public key: this driver does not support keys on ${key.curve}`);
}

/** Converts `key` for a library that supports only plain RSA keys, with the padding given at each use. */
export function withoutLimits(key: PublicKey): PublicKey {
  return key.type === "rsa" ? rsaPublicKey(key.modulus, key.publicExponent) : key;
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  return start < 0 ? new Uint8Array() : number.subarray(start);
}

function bitLength(number: Uint8Array): number {
  const [first] = number;
  return first === undefined ? 0 : 8 * number.length - (Math.clz32(first) - 24);
}

const SSH_CURVES: Readonly<Record<NamedCurve, string>> = {
  "P-256": "nistp256",
  "P-384": "nistp384",
  "P-521": "nistp521",
};

/**
 * Formats a public key for OpenSSH's authorized_keys: the name of its type, and its blob in base64.
 * @throws {DataError} for a key that does not sign.
 */
export function encodeSshPublicKey(key: PublicKey): string {
  const [type, ...fields] = sshFields(key);
  const blob = concat(sshString(utf8(type)), ...fields);
  return `${type} ${btoa(String.fromCharCode(...blob))}`;
}

function sshFields(key: PublicKey): readonly [string, ...Uint8Array[]] {
  switch (key.type) {
    case "rsa":
      if (key.pss !== undefined) throw new DataError("OpenSSH does not support keys for RSASSA-PSS only");
      return ["ssh-rsa", sshInteger(key.publicExponent), sshInteger(key.modulus)];
    case "ec": {
      const curve = SSH_CURVES[key.curve];
      return [`ecdsa-sha2-${curve}`, sshString(utf8(curve)), sshString(key.point)];
    }
    case "edwards":
      return ["ssh-ed25519", sshString(key.point)];
    case "montgomery":
      throw new DataError("OpenSSH does not support keys that only agree on secrets");
  }
}

/** RFC 4251 section 5: four bytes of length, then the bytes. */
function sshString(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return concat(length, bytes);
}

/** RFC 4251 section 5, mpint: a leading zero keeps a number with its highest bit set from being negative. */
function sshInteger(bytes: Uint8Array): Uint8Array {
  return sshString((bytes[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), bytes) : bytes);
}
