/**
 * Attestation of Yubico's cards: a certificate in which the card says that it made a key itself, and a chain to the maker's root
 * (https://developers.yubico.com/PIV/Introduction/PIV_attestation.html).
 */
import { DerReader, parseCertificate, TAG } from "../asn1/index.ts";
import { DataError, equalBytes, toHex } from "../bytes/index.ts";
import type { KeyAttestation } from "../card/index.ts";
import {
  digest,
  digestInfo,
  ecdsaFromDer,
  type HashName,
  parsePublicKey,
  verifyEcdsa,
  verifyPkcs1,
} from "../crypto/index.ts";

/** What an attestation says of the device and of the key; undefined where it does not tell. */
export interface AttestedFacts {
  /** Of the device, decimal. */
  readonly serial: string | undefined;
  readonly firmware: string | undefined;
  /** In the card's numbers: 1 never, 2 once, 3 always. */
  readonly pinPolicy: number | undefined;
  /** 1 never, 2 always, 3 cached for 15 seconds. */
  readonly touchPolicy: number | undefined;
  /** SHA-256 of the trusted certificate at the chain's end, hexadecimal; undefined without roots. */
  readonly root: string | undefined;
}

/** The attestation is not what it should be: another key's, a broken chain, or another maker's. */
export class AttestationError extends Error {
  override readonly name = "AttestationError";
}

/** Extensions of an attestation certificate. */
const EXTENSION = {
  FIRMWARE: "1.3.6.1.4.1.41482.3.3",
  SERIAL: "1.3.6.1.4.1.41482.3.7",
  POLICIES: "1.3.6.1.4.1.41482.3.8",
} as const;

/**
 * Checks that an attestation is of a key, that each certificate of its chain signed the one before, and that the last is one of `roots`, or
 * signed by one of them. Dates are not checked: a device has no clock, and its certificates do not end.
 * @param spki The key, SubjectPublicKeyInfo, DER.
 * @param roots The maker's certificates, DER. If there are none, the end of the chain is not checked.
 * @throws {AttestationError} if not; {DataError} for a certificate that does not parse.
 */
export async function verifyAttestation(
  attestation: KeyAttestation,
  spki: Uint8Array,
  roots: readonly Uint8Array[] = [],
): Promise<AttestedFacts> {
  const { certificate, chain } = attestation;
  if (!equalBytes(parseCertificate(certificate).subjectPublicKeyInfo, spki)) {
    throw new AttestationError("the attestation is of another key");
  }
  if (chain.length === 0) throw new AttestationError("the card shows no certificate of its attestation key");
  let last = certificate;
  for (const signer of chain) {
    if (!(await isSignedBy(last, signer))) {
      throw new AttestationError("the attestation was not signed by the key of the next certificate of its chain");
    }
    last = signer;
  }
  let root: Uint8Array | undefined;
  for (const trusted of roots) if (equalBytes(last, trusted) || (await isSignedBy(last, trusted))) root ??= trusted;
  if (roots.length > 0 && !root) {
    throw new AttestationError("the attestation's chain does not end at a trusted certificate");
  }
  return { ...readFacts(certificate), root: root && toHex(digest("sha256", root)) };
}

/** The extensions of an attestation certificate. */
function readFacts(certificate: Uint8Array): Omit<AttestedFacts, "root"> {
  const found = readExtensions(certificate);
  const firmware = found.get(EXTENSION.FIRMWARE);
  const policies = found.get(EXTENSION.POLICIES);
  const serial = found.get(EXTENSION.SERIAL);
  return {
    serial: serial && readSerial(serial),
    firmware: firmware?.length === 3 ? firmware.join(".") : undefined,
    pinPolicy: policies?.[0],
    touchPolicy: policies?.[1],
  };
}

function readSerial(value: Uint8Array): string {
  return String(new DerReader(value, "serial number").unsigned().reduce((number, byte) => number * 256 + byte, 0));
}

/** Extensions of a certificate by their object identifiers (RFC 5280 section 4.2). */
function readExtensions(certificate: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const tbs = new DerReader(certificate, "attestation").enter().enter();
  while (tbs.remaining > 0) {
    const { tag, contents } = tbs.next();
    if (tag !== EXTENSIONS) continue;
    const extensions = new DerReader(contents, "extensions").enter();
    while (extensions.remaining > 0) {
      const extension = extensions.enter();
      const name = extension.oid();
      extension.optional(TAG.BOOLEAN);
      found.set(name, extension.octetString());
    }
  }
  return found;
}

const EXTENSIONS = 0xa3;

/** Hashes of the signature algorithms that makers use (RFC 4055, RFC 5758). */
const SIGNATURE_HASHES: Readonly<Record<string, HashName>> = {
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
};

/** Whether `signer` has the issuer's name and its key made the signature, with RSA (PKCS #1 v1.5) or ECDSA. */
async function isSignedBy(certificate: Uint8Array, signer: Uint8Array): Promise<boolean> {
  const { issuer } = parseCertificate(certificate);
  const { subject, subjectPublicKeyInfo } = parseCertificate(signer);
  if (!equalBytes(issuer, subject)) return false;
  const outer = new DerReader(certificate, "certificate").enter();
  const { encoding: signed } = outer.next(TAG.SEQUENCE);
  const algorithm = outer.enter().oid();
  const { bytes: signature } = outer.bitString();
  const hash = SIGNATURE_HASHES[algorithm];
  if (!hash) return false;
  const hashed = digest(hash, signed);
  const key = parsePublicKey(subjectPublicKeyInfo);
  if (key.type === "rsa") return verifyPkcs1(key, digestInfo(hash, hashed), signature);
  if (key.type !== "ec") return false;
  try {
    return await verifyEcdsa(key, hashed, ecdsaFromDer(signature, key.curve));
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
