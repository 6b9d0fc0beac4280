import { X509Certificate } from "node:crypto";
import { type Certificate, DerReader, nameText, parseCertificate } from "../asn1/index.ts";
import { toHex, tryParse } from "../bytes/index.ts";
import { digest, publicKeyName } from "../crypto/index.ts";

/** A certificate for people, and as `--json` prints it. */
export interface CertificateSummary {
  /** Empty if the certificate's is. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal, "-" in front of a negative one. */
  readonly serialNumber: string;
  /** ISO 8601; a time that names no moment is shown as the certificate writes it. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** The name of its algorithm, whether or not this driver computes with it. */
  readonly key: string;
  readonly keyUsage: readonly string[];
  readonly subjectAltName?: string;
  readonly sha256: string;
}

/** What is shown of a part that does not parse. */
const UNREADABLE = "unreadable";

/**
 * The parts of a certificate that people look at, each as far as it can be read.
 * @throws {DataError} if `der` does not have the outer form of a certificate.
 */
export function summarise(der: Uint8Array): CertificateSummary {
  const certificate = parseCertificate(der);
  const subjectAltName = alternativeNames(der);
  return {
    subject: tryParse(() => nameText(certificate.subject)) ?? UNREADABLE,
    issuer: tryParse(() => nameText(certificate.issuer)) ?? UNREADABLE,
    serialNumber: serialNumber(certificate),
    ...validity(certificate),
    key: tryParse(() => publicKeyName(certificate.subjectPublicKeyInfo)) ?? UNREADABLE,
    keyUsage: tryParse(() => usages(certificate)) ?? [],
    ...(subjectAltName !== undefined && { subjectAltName }),
    sha256: toHex(digest("sha256", der)),
  };
}

function validity(certificate: Certificate): Pick<CertificateSummary, "notBefore" | "notAfter"> {
  const written = tryParse(() => certificate.writtenValidity) ?? { notBefore: UNREADABLE, notAfter: UNREADABLE };
  const shown = (name: "notBefore" | "notAfter"): string =>
    tryParse(() => certificate[name].toISOString()) ?? written[name];
  return { notBefore: shown("notBefore"), notAfter: shown("notAfter") };
}

/** The day of a moment in ISO 8601; anything else whole. */
export const dayOf = (time: string): string => time.replace(/^(\d{4}-\d\d-\d\d)T.*Z$/u, "$1");

/** A certificate's subject in a line. @throws {DataError} if it does not parse. */
export function subjectOf(certificate: Certificate): string {
  return shownName(nameText(certificate.subject));
}

/** A name for people, who would not see an empty one. */
export const shownName = (name: string): string => (name === "" ? "(empty)" : name);

/** As OpenSSL shows it: the magnitude in whole bytes. */
function serialNumber({ serialNumber: encoding }: Certificate): string {
  const { contents } = new DerReader(encoding, "serial number").next();
  const unsigned = BigInt(`0x${toHex(contents)}`);
  const number = BigInt.asIntN(8 * contents.length, unsigned);
  const digits = (number < 0n ? -number : number).toString(16);
  return `${number < 0n ? "-" : ""}${digits.length % 2 === 0 ? "" : "0"}${digits}`;
}

/** As OpenSSL writes them; undefined if there are none, or OpenSSL does not take it for a certificate. */
function alternativeNames(der: Uint8Array): string | undefined {
  try {
    return new X509Certificate(der).subjectAltName;
  } catch {
    return undefined;
  }
}

function usages(certificate: Certificate): string[] {
  const usage = certificate.keyUsage;
  return usage ? Object.entries(usage).flatMap(([name, set]) => (set ? [name] : [])) : [];
}
