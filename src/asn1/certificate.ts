import { DataError, equalBytes } from "../bytes/index.ts";
import { berContents, berToDer } from "./ber.ts";
import { type DerElement, DerReader } from "./reader.ts";
import { contextTag, decodeTime, derSequence, TAG } from "./values.ts";

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
  /** The serial number as the certificate writes it, an INTEGER: CKA_SERIAL_NUMBER. It may be 0, negative or padded. */
  readonly serialNumber: Uint8Array;
  /** Distinguished name, DER: CKA_ISSUER. */
  readonly issuer: Uint8Array;
  /** Distinguished name, DER: CKA_SUBJECT. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER: CKA_PUBLIC_KEY_INFO. */
  readonly subjectPublicKeyInfo: Uint8Array;
  readonly #validity: Uint8Array;
  readonly #extensions: Uint8Array | undefined;

  /** @throws {DataError} if `der` does not have the outer form of a certificate, or goes on behind it. */
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
    if (serialNumber.contents.length === 0) throw new DataError("serial number: an INTEGER without contents");
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

  /** CKA_START_DATE. @throws {DataError} if the validity names no moment. */
  get notBefore(): Date {
    const [{ tag, contents }] = this.#times();
    return decodeTime(tag, contents);
  }

  /** CKA_END_DATE. @throws {DataError} if the validity names no moment. */
  get notAfter(): Date {
    const [, { tag, contents }] = this.#times();
    return decodeTime(tag, contents);
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
    const reader = new DerReader(normal(value, "key usage"), "key usage");
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
    const constraints = new DerReader(normal(value, "basic constraints"), "basic constraints").enter();
    return constraints.peek() === TAG.BOOLEAN && constraints.boolean();
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
    const extensions = new DerReader(normal(this.#extensions, "extensions"), "extensions").enter();
    let found: Uint8Array | undefined;
    while (extensions.remaining > 0) {
      const extension = extensions.enter();
      const name = extension.oid();
      if (extension.peek() === TAG.BOOLEAN) extension.next();
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
 * Reads an X.509 certificate as cards and issuers write it: DER, or BER, whose names and public key are given in DER. Serial
 * numbers that RFC 5280 does not allow are read, too. Nothing here is good for verifying a signature.
 * @throws {DataError} if it is none, or goes on behind its end.
 */
export function parseCertificate(bytes: Uint8Array): Certificate {
  try {
    return new Certificate(bytes);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const der = normal(bytes, "certificate");
    if (der === bytes) throw error;
    return new Certificate(der);
  }
}

/** `bytes` in DER, if they are one element of BER; else as they are, for the reader of DER to refuse. */
function normal(bytes: Uint8Array, what: string): Uint8Array {
  try {
    const { der, length } = berToDer(bytes, 0, what);
    return length === bytes.length && !equalBytes(der, bytes) ? der : bytes;
  } catch (error) {
    if (error instanceof DataError) return bytes;
    throw error;
  }
}

/**
 * Reads an X.509 certificate that is to be written: DER without any of BER's freedoms (RFC 5280 section 4.1).
 * @throws {DataError} if it is none, or goes on behind its end.
 */
export function parseDerCertificate(der: Uint8Array): Certificate {
  const certificate = new Certificate(der);
  new DerReader(certificate.serialNumber, "serial number").integer();
  return certificate;
}

/**
 * The certificate that `bytes` begin with, without what is behind it. What its signature covers stays byte for byte; the lengths
 * around it become the shortest. What is DER comes back as it is.
 * @throws {DataError} if `bytes` do not begin with a SEQUENCE of three elements.
 */
export function extractCertificate(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== TAG.SEQUENCE) throw new DataError("certificate: no SEQUENCE at its beginning");
  const [tbs, algorithm, signature, ...more] = berContents(bytes, "certificate").elements;
  if (!tbs || !algorithm || !signature || more.length > 0) throw new DataError("certificate: not three elements");
  return derSequence(tbs, berToDer(algorithm, 0, "certificate").der, berToDer(signature, 0, "certificate").der);
}
