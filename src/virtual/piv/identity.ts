import type { KeyObject } from "node:crypto";
import type { Extension, KeyUsageFlags } from "@peculiar/x509";
import { encodeTlv, findTlv, readTlvs } from "../../apdu/index.ts";
import { derOctetString, derOid, derSequence } from "../../asn1/index.ts";
import { concat, DataError, fromHex, utf8 } from "../../bytes/index.ts";
import { type Authority, signCertificate, type X509 } from "../certificates.ts";
import { PIV_AID } from "./commands.ts";
import { establishesKeys, SLOT } from "./model.ts";

/** Ends a container: an unused error detection code (SP 800-73-4 part 1 appendix A). */
const ERROR_DETECTION = encodeTlv(0xfe);

/** Which PINs the card accepts, and which is the primary one (SP 800-73-4 part 1 section 3.3.2). */
export type PinUsage = "application" | "application-then-global" | "global-then-application";

const PIN_USAGE: Readonly<Record<PinUsage, string>> = {
  application: "4000",
  "application-then-global": "6010",
  "global-then-application": "6020",
};

/** Content of the discovery object, without the outer 7E. */
export function discovery(usage: PinUsage): Uint8Array {
  return concat(encodeTlv(0x4f, PIV_AID), encodeTlv(0x5f2f, fromHex(PIN_USAGE[usage])));
}

/** The PIN policy in a discovery object; if it is absent or malformed, only the application's PIN. */
export function pinUsageOf(content: Uint8Array | undefined): PinUsage {
  const [first = 0, second] = (content && policyOf(content)) ?? [];
  if ((first & 0x20) === 0) return "application";
  return second === 0x20 ? "global-then-application" : "application-then-global";
}

function policyOf(content: Uint8Array): Uint8Array | undefined {
  try {
    return findTlv(readTlvs(content, "discovery object"), 0x5f2f);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** Content of the Card Holder Unique Identifier, without a signature (SP 800-73-4 part 1 section 3.1.2). */
export function chuid(fascn: Uint8Array, guid: Uint8Array, expires: Date): Uint8Array {
  return concat(
    encodeTlv(0x30, fascn),
    encodeTlv(0x34, guid),
    encodeTlv(0x35, utf8(expires.toISOString().slice(0, 10).replaceAll("-", ""))),
    encodeTlv(0x3e),
    ERROR_DETECTION,
  );
}

/** Content of the Card Capability Container, for a card of the PIV data model (SP 800-73-4 part 1 section 3.1.1). */
export function capabilityContainer(guid: Uint8Array): Uint8Array {
  const identifier = concat(fromHex("a000000079 0302"), guid.subarray(0, 14));
  return concat(
    encodeTlv(0xf0, identifier),
    encodeTlv(0xf1, Uint8Array.of(0x21)),
    encodeTlv(0xf2, Uint8Array.of(0x21)),
    encodeTlv(0xf3),
    encodeTlv(0xf4, Uint8Array.of(0x00)),
    encodeTlv(0xf5, Uint8Array.of(0x10)),
    ...[0xf6, 0xf7, 0xfa, 0xfb, 0xfc, 0xfd].map((tag) => encodeTlv(tag)),
    ERROR_DETECTION,
  );
}

/** Content of the printed information (SP 800-73-4 part 1 table 16). */
export function printedInformation(name: string, expires: Date): Uint8Array {
  const [, month = "", day = "", year = ""] = /^\w+, (\d+) (\w+) (\d+)/u.exec(expires.toUTCString()) ?? [];
  return concat(
    encodeTlv(0x01, utf8(name)),
    encodeTlv(0x02, utf8("Test")),
    encodeTlv(0x04, utf8(`${year}${day.toUpperCase()}${month}`)),
    encodeTlv(0x05, utf8("0000000001")),
    encodeTlv(0x06, utf8("VIRTUAL")),
    ERROR_DETECTION,
  );
}

/**
 * Content of the key history: how many retired keys have their certificate on the card (SP 800-73-4 part 1 section
 * 3.3.3).
 */
export function keyHistory(onCard: number): Uint8Array {
  return concat(
    encodeTlv(0xc1, Uint8Array.of(onCard)),
    encodeTlv(0xc2, Uint8Array.of(0)),
    encodeTlv(0xf3),
    ERROR_DETECTION,
  );
}

/** Content of a certificate object: the certificate, and whether it is compressed with gzip (SP 800-73-4 part 1 appendix A). */
export function certificateObject(certificate: Uint8Array, compressed: boolean): Uint8Array {
  return concat(encodeTlv(0x70, certificate), encodeTlv(0x71, Uint8Array.of(compressed ? 1 : 0)), ERROR_DETECTION);
}

/** The parts of a Federal Agency Smart Credential Number, decimal digits (TIG SCEPACS section 2). */
export interface Fascn {
  readonly agency: string;
  readonly system: string;
  readonly credential: string;
  readonly series: string;
  readonly issue: string;
  readonly person: string;
  readonly category: string;
  readonly organisation: string;
  readonly association: string;
}

/** A number that no agency has: 9999 is for issuers without a code (SP 800-73-4 part 1 section 3.1.2). */
export const TEST_FASCN: Fascn = {
  agency: "9999",
  system: "9999",
  credential: "999999",
  series: "0",
  issue: "1",
  person: "0000000000",
  category: "3",
  organisation: "0000",
  association: "1",
};

const START = 0b1011;
const FIELD = 0b1101;
const END = 0b1111;

/** 25 bytes: 40 characters of four bits, least significant first, and odd parity; the last is the check over all others. */
export function encodeFascn(fascn: Fascn): Uint8Array {
  const digits = (text: string): number[] => Array.from(text, Number);
  const { agency, system, credential, series, issue, person, category, organisation, association } = fascn;
  const characters = [
    START,
    ...[agency, system, credential, series, issue].flatMap((part) => [...digits(part), FIELD]),
    ...digits(person + category + organisation + association),
    END,
  ];
  characters.push(characters.reduce((check, character) => check ^ character, 0));
  const bits = characters.map(withParity).join("");
  return Uint8Array.from({ length: bits.length / 8 }, (_, i) => Number.parseInt(bits.slice(8 * i, 8 * i + 8), 2));
}

function withParity(character: number): string {
  const bits = Array.from({ length: 4 }, (_, i) => (character >> i) & 1);
  const ones = bits.reduce((sum, bit) => sum + bit, 0);
  return [...bits, 1 - (ones % 2)].join("");
}

export interface CertificateRequest {
  readonly slot: number;
  readonly privateKey: KeyObject;
  /** Common name. */
  readonly name: string;
  readonly issuer: Authority;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /**
   * Of the cardholder, 25 bytes, and of the card, 16 bytes: the certificate contains both (SP 800-73-4 part 1 section
   * 3.1.2).
   */
  readonly fascn: Uint8Array;
  readonly guid: Uint8Array;
}

/**
 * An X.509 v3 certificate like those of PIV cards, with the extensions and so the size of real ones (RFC 5280; X.509
 * Certificate and CRL Extensions Profile for SSP).
 */
export function issueCertificate(request: CertificateRequest): Promise<Uint8Array> {
  return signCertificate({ ...request, extensions: (x509) => extensions(x509, request) });
}

function extensions(x509: X509, { slot, privateKey, fascn, guid }: CertificateRequest): Extension[] {
  const rsa = privateKey.asymmetricKeyType === "rsa";
  return [
    new x509.KeyUsagesExtension(keyUsage(x509.KeyUsageFlags, slot, rsa), true),
    new x509.ExtendedKeyUsageExtension(extendedKeyUsages(slot)),
    new x509.CertificatePolicyExtension([COMMON_AUTHENTICATION]),
    new x509.Extension(ALTERNATIVE_NAME, false, alternativeNames(fascn, guid)),
    new x509.CRLDistributionPointsExtension(["http://crl.example.test/virtual-piv.crl"]),
    new x509.AuthorityInfoAccessExtension({ ocsp: "http://ocsp.example.test/piv" }),
    // False: no background check was made (FIPS 201-1 appendix D.2).
    new x509.Extension(NACI, false, Uint8Array.of(0x01, 0x01, 0x00)),
  ];
}

/** id-fpki-common-authentication (X.509 Certificate Policy for the U.S. Federal PKI Common Policy Framework, section 1.2). */
const COMMON_AUTHENTICATION = "2.16.840.1.101.3.2.1.3.13";
/** subjectAltName (RFC 5280 section 4.2.1.6). */
const ALTERNATIVE_NAME = "2.5.29.17";
/** The NACI indicator (FIPS 201-1 appendix D.2). */
const NACI = "2.16.840.1.101.3.6.9.1";
/** pivFASC-N (FIPS 201-1 appendix D.2). */
const PIV_FASCN = "2.16.840.1.101.3.6.6";
/** id-PIV-cardAuth (FIPS 201-1 appendix D.2). */
const CARD_AUTHENTICATION = "2.16.840.1.101.3.6.8";
const CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2";
const EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4";
/** Microsoft's smart card logon. */
const SMART_CARD_LOGON = "1.3.6.1.4.1.311.20.2.2";

function keyUsage(flags: X509["KeyUsageFlags"], slot: number, rsa: boolean): KeyUsageFlags {
  if (slot === SLOT.SIGNATURE) return flags.digitalSignature | flags.nonRepudiation;
  if (establishesKeys(slot)) return rsa ? flags.keyEncipherment : flags.keyAgreement;
  return flags.digitalSignature;
}

function extendedKeyUsages(slot: number): string[] {
  if (slot === SLOT.CARD_AUTHENTICATION) return [CARD_AUTHENTICATION];
  if (slot === SLOT.AUTHENTICATION) return [CLIENT_AUTHENTICATION, SMART_CARD_LOGON];
  return [EMAIL_PROTECTION];
}

/** GeneralNames: the FASC-N as pivFASC-N, and the card's UUID as a URN (RFC 4122). */
function alternativeNames(fascn: Uint8Array, guid: Uint8Array): Uint8Array {
  const digits = Buffer.from(guid).toString("hex");
  const uuid = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)];
  return derSequence(
    encodeTlv(0xa0, derOid(PIV_FASCN), encodeTlv(0xa0, derOctetString(fascn))),
    encodeTlv(0x86, utf8(`urn:uuid:${uuid.join("-")}`)),
  );
}
