import { X509Certificate } from "node:crypto";
import { type Certificate, parseCertificate } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";
import { parsePublicKey, type PublicKey } from "../crypto/index.ts";

/** A certificate for people, and as `--json` prints it. */
export interface CertificateSummary {
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  /** ISO 8601; a time that names no moment is shown as the certificate writes it. */
  readonly notBefore: string;
  readonly notAfter: string;
  readonly key: string;
  readonly keyUsage: readonly string[];
  readonly subjectAltName?: string;
  readonly sha256: string;
}

/** The parts of a certificate that people look at. */
export function summarise(der: Uint8Array): CertificateSummary {
  const certificate = x509(der);
  const parts = parseCertificate(der);
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serialNumber: certificate.serialNumber.toLowerCase(),
    notBefore: moment(certificate.validFrom, parts.writtenValidity.notBefore),
    notAfter: moment(certificate.validTo, parts.writtenValidity.notAfter),
    key: keyName(parsePublicKey(parts.subjectPublicKeyInfo)),
    keyUsage: usages(parts),
    ...(certificate.subjectAltName !== undefined && { subjectAltName: certificate.subjectAltName }),
    sha256: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/** @param told What OpenSSL makes of a time: "Bad time value" for one that names no moment, which X.509 does not keep off a card. */
function moment(told: string, written: string): string {
  const time = new Date(told);
  return Number.isNaN(time.getTime()) ? written : time.toISOString();
}

/** The day of a moment in ISO 8601; anything else whole. */
export const dayOf = (time: string): string => time.replace(/^(\d{4}-\d\d-\d\d)T.*Z$/u, "$1");

/** A certificate's subject in a line. @throws {DataError} if OpenSSL does not take it for a certificate. */
export function subjectOf(der: Uint8Array): string {
  return oneLine(x509(der).subject);
}

function x509(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new DataError("not an X.509 certificate", { cause });
  }
}

/** "RSA-2048", "P-256". */
export function keyName(key: PublicKey): string {
  return key.type === "rsa" ? `RSA-${key.modulusBits}` : key.curve;
}

/** OpenSSL gives an attribute a line, the widest first; people read the common name first. */
function oneLine(name: string): string {
  return name.split("\n").reverse().join(", ");
}

function usages(certificate: Certificate): string[] {
  const usage = certificate.keyUsage;
  return usage ? Object.entries(usage).flatMap(([name, set]) => (set ? [name] : [])) : [];
}
