import { concat, DataError, equalBytes } from "../bytes/index.ts";
import {
  curveInfo,
  digest,
  digestInfo,
  ecPublicKey,
  encodeSshPublicKey,
  type NamedCurve,
  type PublicKey,
  rsaPublicKey,
  truncateDigest,
  verifyEcdsa,
  verifyEddsa,
  verifyPkcs1,
} from "../crypto/index.ts";
import { integer, string, WireReader } from "./wire.ts";

const CURVES: Readonly<Record<string, NamedCurve>> = { nistp256: "P-256", nistp384: "P-384", nistp521: "P-521" };

/** The hash of a curve (RFC 5656 section 6.2.1). */
const CURVE_HASHES = { "P-256": "sha256", "P-384": "sha384", "P-521": "sha512" } as const;

/** The part of a host certificate that says for whom it is (OpenSSH's PROTOCOL.certkeys). */
export interface HostCertificate {
  /** The authority's key, as its blob. */
  readonly authority: Uint8Array;
  /** Names of hosts; they may have the wildcards * and ?. */
  readonly principals: readonly string[];
  /** Seconds since 1970. */
  readonly validAfter: bigint;
  readonly validBefore: bigint;
}

/** A public key as SSH writes it, or the key in a host certificate. */
export interface SshPublicKey {
  readonly blob: Uint8Array;
  readonly key: PublicKey;
  readonly certificate: HostCertificate | undefined;
}

/**
 * The blob of a public key (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4).
 * @throws {DataError} for a key that does not sign.
 */
export function encodeKeyBlob(key: PublicKey): Uint8Array {
  const [, base64 = ""] = encodeSshPublicKey(key).split(" ");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

const CERTIFICATE = "-cert-v01@openssh.com";

/**
 * Reads the blob of a public key, or of a host certificate, whose signature by the authority is checked.
 * @throws {DataError} for anything else.
 */
export async function decodeKeyBlob(blob: Uint8Array): Promise<SshPublicKey> {
  const reader = new WireReader(blob, "SSH public key");
  const type = reader.text();
  if (!type.endsWith(CERTIFICATE)) {
    const key = readKey(type, reader);
    reader.end();
    return { blob, key, certificate: undefined };
  }
  // The nonce.
  reader.string();
  const key = readKey(type.slice(0, -CERTIFICATE.length), reader);
  return { blob, key, certificate: await readCertificate(reader, blob) };
}

function readKey(type: string, reader: WireReader): PublicKey {
  if (type === "ssh-ed25519") {
    const point = reader.string();
    if (point.length !== 32) throw new DataError(`SSH public key: a point of ${point.length} bytes instead of 32`);
    return { type: "edwards", curve: "Ed25519", point };
  }
  if (type === "ssh-rsa") {
    const exponent = reader.integer();
    return rsaPublicKey(reader.integer(), exponent);
  }
  const name = type.replace(/^ecdsa-sha2-/u, "");
  const curve = type.startsWith("ecdsa-sha2-") && Object.hasOwn(CURVES, name) ? CURVES[name] : undefined;
  if (!curve) throw new DataError(`SSH public key: type ${type} is not RSA, ECDSA or Ed25519`);
  if (reader.text() !== name) throw new DataError("SSH public key: two names of its curve");
  return ecPublicKey(curve, reader.string());
}

const HOST = 2;

async function readCertificate(reader: WireReader, blob: Uint8Array): Promise<HostCertificate> {
  reader.uint64();
  if (reader.uint32() !== HOST) throw new DataError("SSH certificate: not that of a host");
  reader.string();
  const principals: string[] = [];
  const names = new WireReader(reader.string(), "SSH certificate");
  while (names.remaining > 0) principals.push(names.text());
  const validAfter = reader.uint64();
  const validBefore = reader.uint64();
  if (reader.string().length > 0) throw new DataError("SSH certificate: critical options, of which a host has none");
  reader.string();
  reader.string();
  const authority = reader.string();
  const signed = blob.subarray(0, blob.length - reader.remaining);
  const signature = reader.string();
  reader.end();
  const by = await decodeKeyBlob(authority);
  if (by.certificate) throw new DataError("SSH certificate: its authority is a certificate itself");
  if (!(await verifySignatureBlob(by.key, signed, signature))) {
    throw new DataError("SSH certificate: the signature is not its authority's");
  }
  return { authority, principals, validAfter, validBefore };
}

/** Names of signature algorithms, for RSA with its hash (RFC 8332 section 3). */
export type RsaSignature = "ssh-rsa" | "rsa-sha2-256" | "rsa-sha2-512";

/**
 * A signature as SSH writes it.
 * @param signature As the key made it: r || s for ECDSA.
 * @param rsa Which algorithm an RSA key used.
 */
export function encodeSignatureBlob(key: PublicKey, signature: Uint8Array, rsa: RsaSignature): Uint8Array {
  switch (key.type) {
    case "rsa":
      return concat(string(rsa), string(signature));
    case "edwards":
      return concat(string("ssh-ed25519"), string(signature));
    case "ec": {
      const half = signature.length / 2;
      const numbers = concat(integer(signature.subarray(0, half)), integer(signature.subarray(half)));
      return concat(string(`ecdsa-sha2-${curveName(key.curve)}`), string(numbers));
    }
    case "montgomery":
      throw new DataError("an X25519 key does not sign");
  }
}

const curveName = (curve: NamedCurve): string => curve.toLowerCase().replace("p-", "nistp");

/** A signature as SSH writes it, with its algorithm apart. ECDSA: r || s. */
export interface SshSignature {
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

/** Reads {@link encodeSignatureBlob}, for a key of this type. @throws {DataError} for a malformed one. */
export function decodeSignatureBlob(key: PublicKey, blob: Uint8Array): SshSignature {
  const reader = new WireReader(blob, "SSH signature");
  const algorithm = reader.text();
  const signature = reader.string();
  reader.end();
  if (key.type !== "ec" || algorithm !== `ecdsa-sha2-${curveName(key.curve)}`) return { algorithm, signature };
  const { bytes } = curveInfo(key.curve);
  const numbers = new WireReader(signature, "SSH signature");
  const halves = [numbers.integer(), numbers.integer()].map((number) => {
    if (number.length > bytes) throw new DataError(`SSH signature: a number of ${number.length} bytes`);
    return concat(new Uint8Array(bytes - number.length), number);
  });
  numbers.end();
  return { algorithm, signature: concat(...halves) };
}

/**
 * Whether a signature is the key's over `data`. RSA with SHA-1 counts as none.
 * @throws {DataError} for a malformed signature.
 */
export async function verifySignatureBlob(key: PublicKey, data: Uint8Array, blob: Uint8Array): Promise<boolean> {
  const { algorithm, signature } = decodeSignatureBlob(key, blob);
  switch (key.type) {
    case "rsa": {
      const hash = { "rsa-sha2-256": "sha256", "rsa-sha2-512": "sha512" }[algorithm] as "sha256" | "sha512" | undefined;
      return hash !== undefined && verifyPkcs1(key, digestInfo(hash, digest(hash, data)), signature);
    }
    case "ec": {
      if (algorithm !== `ecdsa-sha2-${curveName(key.curve)}`) return false;
      return verifyEcdsa(key, truncateDigest(digest(CURVE_HASHES[key.curve], data), key.curve), signature);
    }
    case "edwards":
      return algorithm === "ssh-ed25519" && verifyEddsa(key, data, signature);
    case "montgomery":
      return false;
  }
}

/** Whether two keys, or certificates, are one. */
export const isSameKey = (a: SshPublicKey, b: SshPublicKey): boolean => equalBytes(a.blob, b.blob);

/** As ssh-keygen -l shows it: SHA256 and base64 without padding. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${btoa(String.fromCharCode(...digest("sha256", blob))).replaceAll("=", "")}`;
}
