import { X509Certificate } from "node:crypto";
import { DerReader, parseCertificate, TAG } from "../../asn1/index.ts";
import { fromUtf8, toHex, tryParse } from "../../bytes/index.ts";

/** Extended key usages (RFC 5280 section 4.2.1.12; Microsoft; FIPS 201-3; RFC 4556) in words. */
const EXTENDED_USES: ReadonlyMap<string, string> = new Map([
  ["2.5.29.37.0", "any"],
  ["1.3.6.1.5.5.7.3.1", "TLS server"],
  ["1.3.6.1.5.5.7.3.2", "TLS client"],
  ["1.3.6.1.5.5.7.3.3", "code signing"],
  ["1.3.6.1.5.5.7.3.4", "e-mail protection"],
  ["1.3.6.1.5.5.7.3.8", "time stamping"],
  ["1.3.6.1.5.5.7.3.9", "OCSP signing"],
  ["1.3.6.1.5.5.7.3.21", "SSH client"],
  ["1.3.6.1.5.2.3.4", "Kerberos client (PKINIT)"],
  ["1.3.6.1.4.1.311.20.2.2", "smart card logon"],
  ["1.3.6.1.4.1.311.10.3.4", "file encryption (EFS)"],
  ["1.3.6.1.4.1.311.10.3.12", "document signing"],
  ["2.16.840.1.101.3.6.8", "PIV card authentication"],
]);

const ALTERNATIVE_NAME = "2.5.29.17";
/** GeneralName's otherName (RFC 5280 section 4.2.1.6). */
const OTHER_NAME = 0xa0;
const UPN = "1.3.6.1.4.1.311.20.2.3";
const FASCN = "2.16.840.1.101.3.6.6";

/** What a certificate is for, and whom it names, beyond its subject. */
export interface CertificateNames {
  /** In words; an object identifier that has none here as it is. */
  readonly extendedKeyUsage: readonly string[];
  /** User principal names: the names of Windows and Kerberos accounts. */
  readonly upn: readonly string[];
  /** "agency 9999, system 9999, credential 123456"; the bytes in hexadecimal if their coding is wrong. */
  readonly fascn: readonly string[];
}

/** Reads the names; a part that is malformed is left out. @throws {DataError} if `der` is no certificate. */
export function certificateNames(der: Uint8Array): CertificateNames {
  const others = tryParse(() => otherNames(parseCertificate(der).extension(ALTERNATIVE_NAME))) ?? [];
  return {
    extendedKeyUsage: extendedUses(der),
    upn: others.flatMap(({ oid, reader }) =>
      oid === UPN ? (tryParse(() => fromUtf8(reader.next().contents)) ?? []) : [],
    ),
    fascn: others.flatMap(({ oid, reader }) =>
      oid === FASCN ? (tryParse(() => fascnWords(reader.octetString())) ?? []) : [],
    ),
  };
}

function extendedUses(der: Uint8Array): string[] {
  try {
    // Node calls the extended key usage so. A certificate without one has none, whatever the type says.
    const keyUsage = new X509Certificate(der).keyUsage as readonly string[] | undefined;
    return (keyUsage ?? []).map((oid) => EXTENDED_USES.get(oid) ?? oid);
  } catch {
    return [];
  }
}

/** OtherName ::= type-id, [0] value. */
function otherNames(value: Uint8Array | undefined): { readonly oid: string; readonly reader: DerReader }[] {
  if (!value) return [];
  const names = new DerReader(value, "subject alternative name").enter(TAG.SEQUENCE);
  const found: { oid: string; reader: DerReader }[] = [];
  while (names.remaining > 0) {
    const { tag, contents } = names.next();
    if (tag !== OTHER_NAME) continue;
    const reader = new DerReader(contents, "other name");
    found.push({ oid: reader.oid(), reader: reader.enter(0xa0) });
  }
  return found;
}

/**
 * 25 bytes are 40 characters of 4 bits, least significant first, and a bit of parity (TIG SCEPACS 2.3 section 6.1). D
 * separates the fields.
 */
function fascnWords(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const digits = (bits.match(/.{5}/gu) ?? [])
    .map((character) => Number.parseInt(Array.from(character.slice(0, 4)).reverse().join(""), 2).toString(16))
    .join("");
  const [, agency, system, credential] = /^b(\d{4})d(\d{4})d(\d{6})d/u.exec(digits) ?? [];
  if (agency === undefined || system === undefined || credential === undefined) return toHex(bytes);
  return `agency ${agency}, system ${system}, credential ${credential}`;
}
