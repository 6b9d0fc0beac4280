/** DER with hard limits, BER made DER, and the parts of a certificate that attributes are made of. No cryptography, no I/O. */
export { berContents, type BerContents, berLength, berToDer, type BerElement } from "./ber.ts";
export {
  type Certificate,
  type CertificateKeyUsage,
  extractCertificate,
  parseCertificate,
  parseDerCertificate,
} from "./certificate.ts";
export { type NameAttribute, nameText, readName } from "./name.ts";
export { decodeOid, encodeOid } from "./oid.ts";
export { type BitString, type DerElement, derLength, DerReader } from "./reader.ts";
export { contextTag, TAG } from "./tag.ts";
export { decodeTime } from "./time.ts";
export { derBitString, derNull, derOctetString, derOid, derSequence, derUnsigned, encodeDer } from "./writer.ts";
