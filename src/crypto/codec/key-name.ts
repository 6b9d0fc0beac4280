import { DerReader } from "../../asn1/index.ts";
import { tryParse } from "../../bytes/index.ts";
import { parsePublicKey, type PublicKey, type PublicKeyInfo, readPublicKeyInfo } from "./public-key.ts";

const EC_PUBLIC_KEY = "1.2.840.10045.2.1";
const DSA = "1.2.840.10040.4.1";
const RSASSA_PSS = "1.2.840.113549.1.1.10";

/** Algorithms of public keys that this driver does not compute with. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  [DSA, "DSA"],
  [RSASSA_PSS, "RSA-PSS"],
  ["1.2.840.113549.1.1.7", "RSA-OAEP"],
  [EC_PUBLIC_KEY, "EC"],
  ["1.2.840.10046.2.1", "DH"],
  ["1.3.132.1.12", "ECDH"],
  ["1.2.643.7.1.1.1.1", "GOST R 34.10-2012 (256 bits)"],
  ["1.2.643.7.1.1.1.2", "GOST R 34.10-2012 (512 bits)"],
  // RFC 8410.
  ["1.3.101.111", "X448"],
  ["1.3.101.113", "Ed448"],
  // FIPS 203, 204 and 205 (NIST's registry of algorithm objects).
  ["2.16.840.1.101.3.4.4.1", "ML-KEM-512"],
  ["2.16.840.1.101.3.4.4.2", "ML-KEM-768"],
  ["2.16.840.1.101.3.4.4.3", "ML-KEM-1024"],
  ["2.16.840.1.101.3.4.3.17", "ML-DSA-44"],
  ["2.16.840.1.101.3.4.3.18", "ML-DSA-65"],
  ["2.16.840.1.101.3.4.3.19", "ML-DSA-87"],
  ["2.16.840.1.101.3.4.3.20", "SLH-DSA-SHA2-128s"],
  ["2.16.840.1.101.3.4.3.21", "SLH-DSA-SHA2-128f"],
  ["2.16.840.1.101.3.4.3.22", "SLH-DSA-SHA2-192s"],
  ["2.16.840.1.101.3.4.3.23", "SLH-DSA-SHA2-192f"],
  ["2.16.840.1.101.3.4.3.24", "SLH-DSA-SHA2-256s"],
  ["2.16.840.1.101.3.4.3.25", "SLH-DSA-SHA2-256f"],
  ["2.16.840.1.101.3.4.3.26", "SLH-DSA-SHAKE-128s"],
  ["2.16.840.1.101.3.4.3.27", "SLH-DSA-SHAKE-128f"],
  ["2.16.840.1.101.3.4.3.28", "SLH-DSA-SHAKE-192s"],
  ["2.16.840.1.101.3.4.3.29", "SLH-DSA-SHAKE-192f"],
  ["2.16.840.1.101.3.4.3.30", "SLH-DSA-SHAKE-256s"],
  ["2.16.840.1.101.3.4.3.31", "SLH-DSA-SHAKE-256f"],
  // RFC 8708.
  ["1.2.840.113549.1.9.16.3.17", "HSS/LMS"],
]);

/** Curves that this driver does not compute with (SEC 2, RFC 5639). */
const CURVES: ReadonlyMap<string, string> = new Map([
  ["1.2.840.10045.3.1.1", "P-192"],
  ["1.3.132.0.33", "P-224"],
  ["1.3.132.0.10", "secp256k1"],
  ["1.3.36.3.3.2.8.1.1.1", "brainpoolP160r1"],
  ["1.3.36.3.3.2.8.1.1.3", "brainpoolP192r1"],
  ["1.3.36.3.3.2.8.1.1.5", "brainpoolP224r1"],
  ["1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"],
  ["1.3.36.3.3.2.8.1.1.8", "brainpoolP256t1"],
  ["1.3.36.3.3.2.8.1.1.9", "brainpoolP320r1"],
  ["1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"],
  ["1.3.36.3.3.2.8.1.1.12", "brainpoolP384t1"],
  ["1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"],
  ["1.3.36.3.3.2.8.1.1.14", "brainpoolP512t1"],
]);

/** "RSA-2048", "RSA-PSS-2048", "P-256". */
export function keyName(key: PublicKey): string {
  if (key.type !== "rsa") return key.curve;
  return `${key.pss === undefined ? "RSA" : "RSA-PSS"}-${key.modulusBits}`;
}

/**
 * The name of the algorithm of a public key, for people, whether or not this driver computes with it: "P-256", "brainpoolP256r1",
 * "DSA-2048", "ML-DSA-65"; of an unknown algorithm its object identifier.
 * @param spki SubjectPublicKeyInfo.
 * @throws {DataError} if it is none.
 */
export function publicKeyName(spki: Uint8Array): string {
  const info = readPublicKeyInfo(spki);
  return tryParse(() => keyName(parsePublicKey(spki))) ?? otherName(info);
}

function otherName({ oid, parameters }: PublicKeyInfo): string {
  const name = ALGORITHMS.get(oid) ?? oid;
  if (!parameters) return name;
  if (oid === EC_PUBLIC_KEY) return tryParse(() => curveName(parameters)) ?? "EC (explicit parameters)";
  return oid === DSA ? (tryParse(() => `DSA-${dsaBits(parameters)}`) ?? name) : name;
}

function curveName(parameters: Uint8Array): string {
  const oid = new DerReader(parameters, "EC parameters").oid();
  return CURVES.get(oid) ?? `EC (${oid})`;
}

/** The size of p in Dss-Parms (RFC 3279 section 2.3.2). */
function dsaBits(parameters: Uint8Array): number {
  const p = new DerReader(parameters, "DSA parameters").enter().unsigned();
  return 8 * p.length - Math.clz32(p[0] ?? 0) + 24;
}
