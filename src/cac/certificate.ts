import { derLength, TAG } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";
import { readStoredCertificate } from "../card/index.ts";
import { findSimpleTlv, type SimpleTlv } from "./simple-tlv.ts";

/** Tags of a PKI object (GSC-IS 2.1 appendix D). */
const CERTIFICATE = 0x70;
const CERT_INFO = 0x71;

/** The lower two bits of CertInfo: 1 is compressed (OpenSC, card-cac.c). */
const COMPRESSION = 0x03;
const COMPRESSED = 0x01;

/** A certificate as it is stored. */
export interface StoredCertificate {
  readonly bytes: Uint8Array;
  readonly compressed: boolean;
}

/**
 * The certificate out of a PKI object.
 * @throws {DataError} if there is none.
 */
export function findCertificate(objects: readonly SimpleTlv[]): StoredCertificate {
  const bytes = findSimpleTlv(objects, CERTIFICATE);
  if (!bytes || bytes.length === 0) throw new DataError("PKI object: no certificate in it");
  const [info = 0] = findSimpleTlv(objects, CERT_INFO) ?? [];
  return { bytes, compressed: (info & COMPRESSION) === COMPRESSED };
}

/**
 * Where in the values of a PKI object the certificate is, if that shows without the tags: CertInfo 00 and a DER sequence, as most
 * cards have it. The sequence tells its own length.
 */
export function locateCertificate(values: Uint8Array): { readonly start: number; readonly end: number } | undefined {
  if (values[0] !== 0x00 || values[1] !== TAG.SEQUENCE) return undefined;
  try {
    return { start: 1, end: 1 + derLength(values.subarray(1)) };
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** What GET CERTIFICATE gives: CertInfo, then the certificate (OpenSC, card-cac1.c). */
export function readFirstCacCertificate(answer: Uint8Array): StoredCertificate {
  const [info = 0] = answer;
  if (answer.length < 2) throw new DataError("GET CERTIFICATE: no certificate");
  return { bytes: answer.subarray(1), compressed: (info & COMPRESSION) === COMPRESSED };
}

/**
 * The X.509 certificate, DER.
 * @throws {DataError} as {@link readStoredCertificate}.
 */
export function inflated({ bytes, compressed }: StoredCertificate): Uint8Array {
  return readStoredCertificate(bytes, compressed);
}
