import { extractCertificate, parseCertificate, TAG } from "../asn1/index.ts";
import { gunzip, isCompressed } from "../crypto/index.ts";

/** No certificate of a card is longer than this; one that inflates beyond it is an attack. */
const MAX_CERTIFICATE = 65_536;

/** What stands before the compressed certificate in the containers of Microsoft's minidriver: 01 00, and its length, little-endian. */
const CONTAINER_HEADER = 4;

/**
 * The X.509 certificate that a card keeps as `bytes`, alone: out of gzip, zlib, or zlib behind the header of a minidriver's container
 * (01 00, two bytes of length), and without what pads the file. What its signature covers stays as it is; the rest is DER.
 * @param compressed What else the card says of it: false if it says nothing. The bytes themselves count first.
 * @throws {DataError} if there is none, or it does not inflate to at most 65,536 bytes.
 */
export async function readStoredCertificate(bytes: Uint8Array, compressed = false): Promise<Uint8Array> {
  const certificate = extractCertificate(await inflated(bytes, compressed));
  parseCertificate(certificate);
  return certificate;
}

/** The length in the header is not believed: the compressed data says where they end, and have a checksum. */
async function inflated(bytes: Uint8Array, compressed: boolean): Promise<Uint8Array> {
  if (bytes[0] === TAG.SEQUENCE) return bytes;
  const contained = bytes.subarray(CONTAINER_HEADER);
  if (bytes[0] === 0x01 && bytes[1] === 0x00 && isCompressed(contained)) return gunzip(contained, MAX_CERTIFICATE);
  return compressed || isCompressed(bytes) ? gunzip(bytes, MAX_CERTIFICATE) : bytes;
}
