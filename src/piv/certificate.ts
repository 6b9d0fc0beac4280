import { findTlv, readTlvs } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import { readStoredCertificate } from "../card/index.ts";

/** Bits of CertInfo: the certificate is compressed with gzip (SP 800-73-4 part 1 table 10, appendix A). */
const COMPRESSED = 0x01;

/**
 * The X.509 certificate, DER, out of the value of a certificate data object: 70 the certificate, 71 CertInfo, FE error
 * detection code (SP 800-73-4 part 1 table 10). Cards exist that compress without saying so in CertInfo, in other ways than gzip, or
 * that fill the object with zeros.
 * @throws {DataError} if there is none, or it does not inflate to at most 65,536 bytes.
 */
export function readCertificate(value: Uint8Array): Uint8Array {
  const objects = readTlvs(value, "certificate object");
  const certificate = findTlv(objects, 0x70);
  if (!certificate || certificate.length === 0) throw new DataError("certificate object: no certificate in it");
  const [info = 0] = findTlv(objects, 0x71) ?? [];
  return readStoredCertificate(certificate, (info & COMPRESSED) !== 0);
}
