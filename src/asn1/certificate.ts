import { DataError, equalBytes } from "../bytes/index.ts";
import { berContents, berToDer } from "./ber.ts";
import { type DerElement, DerReader } from "./reader.ts";
import { contextTag, decodeTime, derSequence, TAG } from "./values.ts";

/** The uses that the key usage extension allows (RFC 5280 section 4.2.1.3). */
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

/** Most characters of a time that are shown: twice as many as the longest form has. */
const LONGEST_SHOWN = 30;

/**
 * The parts of an X.509 certificate for PKCS#11 attributes, as views of its bytes. Parsing checks the structure;
 * validity and extensions, which are rarely needed, are parsed on request.
 */
export class Certificate {
  /** The serial number as in the certificate, an INTEGER: CKA_SERIAL_NUMBER. It may be 0, negative or padded. */
  readonly serialNumber: Uint8Array;
  /** Distinguished name, DER: CKA_ISSUER. */
  readonly issuer: Uint8Array;
  /** Distinguished name, DER: CKA_SUBJECT. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER: CKA_PUBLIC_KEY_INFO. */
  readonly subjectPublicKeyInfo: Uint8Array;
  readonly #validity: Uint8Array;
  readonly #extensions: Uint8Array | undefined;

  /** @throws {DataError} if `der` does not have the outer form of a certificate, or has trailing bytes. */
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

  /** CKA_START_DATE. @throws {DataError} if it is not a valid time. */
  get notBefore(): Date {
    const [{ tag, contents }] = this.#times();
    return decodeTime(tag, contents);
  }

  /** CKA_END_DATE. @throws {DataError} if it is not a valid time. */
  get notAfter(): Date {
    const [, { tag, contents }] = this.#times();
    return decodeTime(tag, contents);
  }

  /**
   * Both times as in the certificate, a character for each byte, to show invalid ones too.
   * @throws {DataError} if the validity is not two elements.
   */
  get writtenValidity(): { readonly notBefore: string; readonly notAfter: string } {
    const [notBefore, notAfter] = this.#times();
    return {
      notBefore: String.fromCharCode(...notBefore.contents.subarray(0, LONGEST_SHOWN)),
      notAfter: String.fromCharCode(...notAfter.contents.subarray(0, LONGEST_SHOWN)),
    };
  }

  /** The key's uses; undefined if the certificate does not limit them. @throws {DataError} if it does not parse. */
  get keyUsage(): CertificateKeyUsage | undefined {
    const value = this.extension(KEY_USAGE);
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

  /**
   * Whether it is a certification authority's (basic constraints).
   * @throws {DataError} if the extension does not parse.
   */
  get authority(): boolean {
    const value = this.extension(BASIC_CONSTRAINTS);
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

  /** The value of an extension; undefined if it is absent. @throws {DataError} if the extensions do not parse. */
  extension(oid: string): Uint8Array | undefined {
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
      // RFC 5280 section 4.2 forbids a repeated extension: readers would disagree about which one counts.
      if (found) throw new DataError(`certificate: extension ${oid} twice`);
      found = value;
    }
    return found;
  }
}

/**
 * Parses an X.509 certificate as cards and issuers write it: DER, or BER, whose names and public key are returned in
 * DER. Accepts serial numbers that RFC 5280 does not allow. Not suitable for verifying a signature.
 * @throws {DataError} if it is malformed, or has trailing bytes.
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

/**
 * Converts `bytes` to DER if they are one element of BER; else returns them unchanged, for the DER parser to refuse.
 */
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
 * Parses an X.509 certificate before it is written: strict DER (RFC 5280 section 4.1).
 * @throws {DataError} if it is malformed, or has trailing bytes.
 */
export function parseDerCertificate(der: Uint8Array): Certificate {
  const certificate = new Certificate(der);
  new DerReader(certificate.serialNumber, "serial number").integer();
  return certificate;
}

/**
 * Returns the certificate at the beginning of `bytes`, without the bytes after it. The signed part stays unchanged; the
 * lengths around it become the shortest. DER comes back unchanged.
 * @throws {DataError} if `bytes` do not begin with a SEQUENCE of three elements.
 */
export function extractCertificate(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== TAG.SEQUENCE) throw new DataError("certificate: it does not begin with a SEQUENCE");
  const [tbs, algorithm, signature, ...more] = berContents(bytes, "certificate").elements;
  if (!tbs || !algorithm || !signature || more.length > 0) throw new DataError("certificate: not three elements");
  return derSequence(tbs, berToDer(algorithm, 0, "certificate").der, berToDer(signature, 0, "certificate").der);
}
