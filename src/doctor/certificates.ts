import type { X509Certificate } from "@peculiar/x509";
import { findTlv, readTlvs } from "../apdu/index.ts";
import { type DerElement, derLength, DerReader, TAG } from "../asn1/index.ts";
import { DataError, fromUtf8, toHex } from "../bytes/index.ts";
import type { Authorities, Libraries } from "./chain.ts";
import type { Check, Examination } from "./examination.ts";
import { uuidOfUrn } from "./fascn.ts";
import { fingerprint } from "./signed-data.ts";

/** The facts of a certificate that an examination needs. */
export interface CertificateFacts {
  readonly der: Uint8Array;
  readonly x509: X509Certificate;
  /** The serial number's bytes as in the certificate, two's complement. */
  readonly serial: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyInfo: Uint8Array;
  /**
   * Object identifier of the key's algorithm, and whether an EC key has explicit parameters instead of a named curve.
   */
  readonly keyAlgorithm: string;
  readonly explicitCurve: boolean;
  /** pivFASC-N of the subject alternative name, 25 bytes. */
  readonly fascn: Uint8Array | undefined;
  /** The card UUID of the subject alternative name, 16 bytes. */
  readonly uuid: Uint8Array | undefined;
  /** Bits of the key usage extension; undefined without it. */
  readonly keyUsage: number | undefined;
  /** Object identifiers of the extended key usage; empty without it. */
  readonly purposes: readonly string[];
}

const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
const PIV_FASCN = "2.16.840.1.101.3.6.6";
const EC_PUBLIC_KEY = "1.2.840.10045.2.1";
const OTHER_NAME = 0xa0;
const URI = 0x86;

/** @throws {DataError} if it is not a readable X.509 certificate. */
function readFacts({ x509 }: Libraries, der: Uint8Array): CertificateFacts {
  let certificate: X509Certificate;
  try {
    certificate = new x509.X509Certificate(Uint8Array.from(der));
    return {
      der,
      x509: certificate,
      ...readOuterForm(der),
      ...readNames(certificate),
      keyUsage: certificate.getExtension(x509.KeyUsagesExtension)?.usages,
      purposes: certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages.map(String) ?? [],
    };
  } catch (cause) {
    throw new DataError("not a readable X.509 certificate", { cause });
  }
}

/** Serial number and key, parsed by position (RFC 5280 section 4.1), because a library might refuse unusual ones. */
function readOuterForm(
  der: Uint8Array,
): Pick<CertificateFacts, "serial" | "publicKeyInfo" | "keyAlgorithm" | "explicitCurve"> {
  const tbs = new DerReader(der, "certificate").enter().enter();
  tbs.optional(0xa0);
  const serial = tbs.next(TAG.INTEGER).contents;
  // Signature algorithm, issuer, validity, subject.
  for (let field = 0; field < 4; field++) tbs.next(TAG.SEQUENCE);
  const { encoding: publicKeyInfo } = tbs.next(TAG.SEQUENCE);
  const algorithm = new DerReader(publicKeyInfo, "public key").enter().enter();
  const keyAlgorithm = algorithm.oid();
  const explicitCurve = keyAlgorithm === EC_PUBLIC_KEY && algorithm.peek() === TAG.SEQUENCE;
  return { serial, publicKeyInfo, keyAlgorithm, explicitCurve };
}

function readNames(certificate: X509Certificate): Pick<CertificateFacts, "fascn" | "uuid"> {
  const extension = certificate.extensions.find(({ type }) => type === SUBJECT_ALTERNATIVE_NAME);
  if (!extension) return { fascn: undefined, uuid: undefined };
  const names: DerElement[] = [];
  const reader = new DerReader(new Uint8Array(extension.value), "subject alternative name").enter();
  while (reader.remaining > 0) names.push(reader.next());
  const uris = names.filter(({ tag }) => tag === URI).map(({ contents }) => fromUtf8(contents));
  return {
    fascn: names.map(fascnOf).find((found) => found !== undefined),
    uuid: uris.map(uuidOfUrn).find((found) => found !== undefined),
  };
}

/** OtherName ::= type-id, [0] value (RFC 5280 section 4.2.1.6); of pivFASC-N the value is an OCTET STRING. */
function fascnOf({ tag, contents }: DerElement): Uint8Array | undefined {
  if (tag !== OTHER_NAME) return undefined;
  const reader = new DerReader(contents, "other name");
  if (reader.oid() !== PIV_FASCN) return undefined;
  return reader.enter(0xa0).octetString();
}

const RENEW = "Ask the card's issuer for a new certificate.";

export const CERTIFICATE_CHECKS = {
  UNREADABLE: {
    name: "certificate-unreadable",
    level: "defect",
    section: "RFC 5280 section 4.1",
    consequence: "Programs do not find the certificate, and many do not find its key either.",
    remedy: "Write the certificate to the card again, or ask the card's issuer to.",
  },
  EXPIRED: {
    name: "certificate-expired",
    level: "defect",
    section: "RFC 5280 section 4.1.2.5",
    consequence: "Programs that check the certificate refuse it.",
    remedy: RENEW,
  },
  NOT_YET_VALID: {
    name: "certificate-not-yet-valid",
    level: "defect",
    section: "RFC 5280 section 4.1.2.5",
    consequence: "Programs that check the certificate refuse it until then.",
    remedy: "Wait until then. If that day has passed, set this computer's clock.",
  },
  UNTRUSTED: {
    name: "certificate-untrusted",
    level: "defect",
    section: "RFC 5280 section 6.1",
    consequence: "Programs that trust only these authorities refuse the certificate.",
    remedy:
      "Give the issuing authority's certificate with --ca. If it is there, the certificate is not from that authority.",
  },
  SERIAL: {
    name: "certificate-serial",
    level: "note",
    section: "RFC 5280 section 4.1.2.2",
    consequence: "Some programs refuse a certificate whose serial number is not a positive number of at most 20 bytes.",
    remedy: RENEW,
  },
  EXPLICIT_CURVE: {
    name: "certificate-explicit-curve",
    level: "defect",
    section: "RFC 5480 section 2.1.1",
    consequence:
      "Many programs refuse a key with explicit curve parameters, because they can hide a forged curve (CVE-2020-0601).",
    remedy: "Ask for a certificate whose key names its curve.",
  },
} as const satisfies Record<string, Check>;

/** Checks certificates, each of them once. */
export class CertificateJudge {
  readonly libraries: Libraries;
  readonly authorities: Authorities | undefined;
  readonly #examination: Examination;
  readonly #judged = new Set<string>();

  /** @param authorities Those that the user trusts; without them chains are not checked. */
  constructor(libraries: Libraries, authorities: Authorities | undefined, examination: Examination) {
    this.libraries = libraries;
    this.authorities = authorities;
    this.#examination = examination;
  }

  /** The facts of a certificate; undefined, with a finding, if it cannot be read. */
  read(where: string, der: Uint8Array): CertificateFacts | undefined {
    try {
      return readFacts(this.libraries, der);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      this.#examination.found(CERTIFICATE_CHECKS.UNREADABLE, where, `It is ${error.message}.`);
      return undefined;
    }
  }

  /** Checks validity, chain, serial number and form of the key. @returns False if that was done before. */
  async judge(where: string, facts: CertificateFacts): Promise<boolean> {
    const id = fingerprint(facts.der);
    if (this.#judged.has(id)) return false;
    this.#judged.add(id);
    this.#judgeDates(where, facts);
    this.#judgeForm(where, facts);
    await this.#judgeChain(where, facts);
    return true;
  }

  #judgeDates(where: string, { x509 }: CertificateFacts): void {
    const { at } = this.#examination;
    if (x509.notAfter < at) {
      this.#examination.found(CERTIFICATE_CHECKS.EXPIRED, where, `It was valid until ${day(x509.notAfter)}.`);
    }
    if (x509.notBefore > at) {
      this.#examination.found(CERTIFICATE_CHECKS.NOT_YET_VALID, where, `It is valid only from ${day(x509.notBefore)}.`);
    }
  }

  #judgeForm(where: string, { serial, explicitCurve }: CertificateFacts): void {
    const [first = 0] = serial;
    const odd = serialProblem(serial);
    if (odd !== undefined) {
      const shown =
        first >= 0x80 || serial.length <= LONGEST_SERIAL ? toHex(serial).toUpperCase() : `${serial.length} bytes`;
      this.#examination.found(CERTIFICATE_CHECKS.SERIAL, where, `Its serial number is ${odd}: ${shown}.`);
    }
    if (explicitCurve) {
      this.#examination.found(
        CERTIFICATE_CHECKS.EXPLICIT_CURVE,
        where,
        "Its key has explicit parameters instead of the name of the curve.",
      );
    }
  }

  async #judgeChain(where: string, { x509 }: CertificateFacts): Promise<void> {
    const chain = await this.authorities?.judge(x509, this.#examination.at);
    if (!chain || chain.state === "valid") return;
    const said = {
      "no-issuer": (name: string): string => `Its issuer, ${name}, is not among the authorities.`,
      "wrong-signature": (name: string): string =>
        `Its issuer is named ${name}, but no authority of that name made its signature.`,
      "out-of-date": (name: string): string =>
        `It leads to the authority ${name}, whose certificate is not valid at the time.`,
    };
    const name = chain.state === "out-of-date" ? chain.subject : chain.issuer;
    this.#examination.found(CERTIFICATE_CHECKS.UNTRUSTED, where, said[chain.state](name));
  }
}

/** Bytes of a serial number, sign included. */
const LONGEST_SERIAL = 21;

function serialProblem(serial: Uint8Array): string | undefined {
  const [first = 0] = serial;
  if (first >= 0x80) return "negative";
  if (serial.every((byte) => byte === 0)) return "0";
  const length = first === 0 ? serial.length - 1 : serial.length;
  return length > LONGEST_SERIAL - 1 ? "longer than 20 bytes" : undefined;
}

/** "2032-12-01". */
export const day = (date: Date): string => date.toISOString().slice(0, 10);

/** What is unusual about the stored form of a certificate; undefined if nothing is. */
export function storageProblem(stored: Uint8Array): string | undefined {
  const [first, second] = stored;
  if (first === 0x01 && second === 0x00)
    return "It is compressed with zlib after a length, in a form of its maker's own.";
  if (first === 0x78) return "It is compressed with zlib, which no card standard allows.";
  if (first !== 0x30) return undefined;
  try {
    const extra = stored.length - derLength(stored.subarray(0, 6));
    return extra > 0 ? `${extra} bytes follow its end.` : undefined;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return "Its length is not coded in the fewest bytes, as DER requires.";
  }
}

/** The value of `tag` among BER-TLV data objects; undefined if it is absent or they do not parse. */
export function valueOf(objects: Uint8Array, tag: number): Uint8Array | undefined {
  try {
    return findTlv(readTlvs(objects), tag);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return undefined;
  }
}
