import { DataError } from "../bytes/index.ts";
import { type DerElement, DerReader } from "./reader.ts";
import { contextTag, TAG } from "./tag.ts";
import { decodeTime } from "./time.ts";

/** What the key usage extension allows (RFC 5280 section 4.2.1.3). */
export interface CertificateKeyUsage {
  readonly digitalSignature: boolean;
  /** Also called content commitment. */
  readonly nonRepudiation: boolean;
  readonly keyEncipherment: boolean;
  readonly dataEncipherment: boolean;
  readonly keyAgreement: boolean;
  readonly keyCertSign: boolean;
  readonly crlSign: boolean;
}

const KEY_USAGE = "2.5.29.15";
const BASIC_CONSTRAINTS = "2.5.29.19";
const VERSION = contextTag(0, "constructed");
const ISSUER_UNIQUE_ID = contextTag(1, "primitive");
const SUBJECT_UNIQUE_ID = contextTag(2, "primitive");
const EXTENSIONS = contextTag(3, "constructed");

/** Characters of a time that are shown: twice as many as the longest form has. */
const LONGEST_SHOWN = 30;

/**
 * The parts of an X.509 certificate that PKCS#11 attributes are made of, as views of its bytes. The structure is checked when
 * it is parsed; validity and extensions, which few need, when they are asked for.
 */
export class Certificate {
  /** The certificate's serial number, a DER INTEGER: CKA_SERIAL_NUMBER. */
  readonly serialNumber: Uint8Array;
  /** Distinguished name, DER: CKA_ISSUER. */
  readonly issuer: Uint8Array;
  /** Distinguished name, DER: CKA_SUBJECT. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER: CKA_PUBLIC_KEY_INFO. */
  readonly subjectPublicKeyInfo: Uint8Array;
  readonly #validity: Uint8Array;
  readonly #extensions: Uint8Array | undefined;

  /** @throws {DataError} if `der` is not a certificate, or goes on behind it. */
  constructor(der: Uint8Array) {
    const outer = new DerReader(der, "certificate");
    const certificate = outer.enter();
    outer.end();
    const tbs = certificate.enter();
    certificate.next(TAG.SEQUENCE);
    certificate.bitStringBytes();
    certificate.end();

    // TBSCertificate, RFC 5280 section 4.1.
    tbs.optional(VERSION);
    const serialNumber = tbs.next(TAG.INTEGER);
    new DerReader(serialNumber.encoding, "serial number").integer();
    this.serialNumber = serialNumber.encoding;
    tbs.next(TAG.SEQUENCE);
    this.issuer = tbs.next(TAG.SEQUENCE).encoding;
    this.#validity = tbs.next(TAG.SEQUENCE).contents;
    this.subject = tbs.next(TAG.SEQUENCE).encoding;
    this.subjectPublicKeyInfo = tbs.next(TAG.SEQUENCE).encoding;
    tbs.optional(ISSUER_UNIQUE_ID);
    tbs.optional(SUBJECT_UNIQUE_ID);
    this.#extensions = tbs.optional(EXTENSIONS)?.contents;
    tbs.end();
  }

  /** CKA_START_DATE. @throws {DataError} if the validity is not in the form of RFC 5280 section 4.1.2.5. */
  get notBefore(): Date {
    return this.#readValidity().notBefore;
  }

  /** CKA_END_DATE. @throws {DataError} if the validity is not in the form of RFC 5280 section 4.1.2.5. */
  get notAfter(): Date {
    return this.#readValidity().notAfter;
  }

  /**
   * Both times as the certificate writes them, a character for each byte, whatever their form: to show a validity that names no
   * moment. @throws {DataError} if the validity is not two elements.
   */
  get writtenValidity(): { readonly notBefore: string; readonly notAfter: string } {
    const [notBefore, notAfter] = this.#times();
    return {
      notBefore: String.fromCharCode(...notBefore.contents.subarray(0, LONGEST_SHOWN)),
      notAfter: String.fromCharCode(...notAfter.contents.subarray(0, LONGEST_SHOWN)),
    };
  }

  /** What the key may be used for; undefined if the certificate does not say. @throws {DataError} if it does not parse. */
  get keyUsage(): CertificateKeyUsage | undefined {
    const value = this.#extension(KEY_USAGE);
    if (!value) return undefined;
    const reader = new DerReader(value, "key usage");
    const { bytes } = reader.bitString();
    reader.end();
    const [bits = 0] = bytes;
    return {
      digitalSignature: (bits & 0x80) !== 0,
      nonRepudiation: (bits & 0x40) !== 0,
      keyEncipherment: (bits & 0x20) !== 0,
      dataEncipherment: (bits & 0x10) !== 0,
      keyAgreement: (bits & 0x08) !== 0,
      keyCertSign: (bits & 0x04) !== 0,
      crlSign: (bits & 0x02) !== 0,
    };
  }

  /** Whether it is a certification authority's (basic constraints). @throws {DataError} if the extension does not parse. */
  get authority(): boolean {
    const value = this.#extension(BASIC_CONSTRAINTS);
    if (!value) return false;
    const constraints = new DerReader(value, "basic constraints").enter();
    return constraints.peek() === TAG.BOOLEAN && constraints.boolean();
  }

  #readValidity(): { notBefore: Date; notAfter: Date } {
    const [notBefore, notAfter] = this.#times();
    return {
      notBefore: decodeTime(notBefore.tag, notBefore.contents),
      notAfter: decodeTime(notAfter.tag, notAfter.contents),
    };
  }

  #times(): [DerElement, DerElement] {
    const reader = new DerReader(this.#validity, "validity");
    const times: [DerElement, DerElement] = [reader.next(), reader.next()];
    reader.end();
    return times;
  }

  /** The value of the extension named, undefined if there is none. */
  #extension(oid: string): Uint8Array | undefined {
    if (!this.#extensions) return undefined;
    const extensions = new DerReader(this.#extensions, "extensions").enter();
    let found: Uint8Array | undefined;
    while (extensions.remaining > 0) {
      const extension = extensions.enter();
      const name = extension.oid();
      if (extension.peek() === TAG.BOOLEAN) extension.boolean();
      const value = extension.octetString();
      extension.end();
      if (name !== oid) continue;
      // RFC 5280 section 4.2: not twice. Which of two counts is what readers would disagree about.
      if (found) throw new DataError(`certificate: extension ${oid} twice`);
      found = value;
    }
    return found;
  }
}

/**
 * Reads an X.509 certificate, DER.
 * @throws {DataError} if it is none, or goes on behind its end.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  return new Certificate(der);
}
