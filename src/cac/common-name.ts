import { contextTag, derLength, readName, TAG } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";

const COMMON_NAME = "2.5.4.3";
const VERSION = contextTag(0, "constructed");
/** Serial number, signature algorithm, issuer and validity stand before the subject (RFC 5280 section 4.1). */
const BEFORE_SUBJECT = 4;
/** Identifier and length octets of any element, at most: {@link derLength} wants no more. */
const HEADER = 6;
/** The most of a certificate that is read for its subject's sake. */
const MAX_HEAD = 4096;

/**
 * The subject of a certificate of which only the beginning is known.
 * @returns The distinguished name, DER; or how many bytes of the certificate would tell more.
 * @throws {DataError} if it is no certificate, or its subject is far from its beginning.
 */
export function findSubject(head: Uint8Array): Uint8Array | number {
  let at = 0;
  // Into the certificate, and into its TBSCertificate.
  for (let level = 0; level < 2; level++) {
    const element = head.subarray(at);
    if (element.length < HEADER) return wanted(at + HEADER);
    const [tag, length = 0] = element;
    if (tag !== TAG.SEQUENCE) throw new DataError("certificate: no SEQUENCE where one belongs");
    at += length < 0x80 ? 2 : 2 + (length & 0x7f);
  }
  let before = head[at] === VERSION ? BEFORE_SUBJECT + 1 : BEFORE_SUBJECT;
  for (;;) {
    const element = head.subarray(at);
    if (element.length < HEADER) return wanted(at + HEADER);
    const length = derLength(element);
    if (before-- === 0) return length <= element.length ? element.subarray(0, length) : wanted(at + length);
    at += length;
  }
}

function wanted(bytes: number): number {
  if (bytes > MAX_HEAD) throw new DataError("certificate: its subject is too far from its beginning");
  return bytes;
}

/**
 * The common name in a distinguished name; undefined if it has none.
 * @throws {DataError} if `subject` is no Name of RFC 5280.
 */
export function commonName(subject: Uint8Array): string | undefined {
  return readName(subject)
    .flat()
    .find(({ oid }) => oid === COMMON_NAME)?.value;
}
