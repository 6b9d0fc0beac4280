/**
 * DER with hard limits, conversion of BER to DER, and the parts of a certificate for attributes. No cryptography, no
 * I/O.
 */
export { berContents, type BerContents, berLength, berToDer, type BerElement } from "./ber.ts";
export {
  type Certificate,
  type CertificateKeyUsage,
  extractCertificate,
  parseCertificate,
  parseDerCertificate,
} from "./certificate.ts";
export { type NameAttribute, nameText, readName } from "./name.ts";
export {
  contextTag,
  decodeOid,
  decodeTime,
  derBitString,
  derNull,
  derOctetString,
  derOid,
  derSequence,
  derUnsigned,
  encodeDer,
  encodeOid,
  TAG,
} from "./values.ts";
export { type BitString, type DerElement, derLength, DerReader } from "./reader.ts";
