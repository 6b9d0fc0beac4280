import { extractCertificate, parseCertificate, TAG } from "../asn1/index.ts";
import { gunzip, isCompressed } from "../crypto/index.ts";

/** Longest certificate after decompression; a longer one is an attack. */
const MAX_CERTIFICATE = 65_536;

/**
 * The header before the compressed certificate in the containers of Microsoft's minidriver: 01 00, and its length,
 * little-endian.
 */
const CONTAINER_HEADER = 4;

/**
 * The X.509 certificate in a card's `bytes`: decompressed from gzip, zlib, or zlib after the header of a minidriver's
 * container (01 00, two bytes of length), and without padding. The signed part stays unchanged; the rest becomes DER.
 * @param compressed What else the card says of it: false if nothing. The bytes themselves take precedence.
 * @throws {DataError} if there is none, or it does not decompress to at most 65,536 bytes.
 */
export async function readStoredCertificate(bytes: Uint8Array, compressed = false): Promise<Uint8Array> {
  const certificate = extractCertificate(await inflated(bytes, compressed));
  parseCertificate(certificate);
  return certificate;
}

/** Ignores the length in the header: the compressed data show their own end, and have a checksum. */
async function inflated(bytes: Uint8Array, compressed: boolean): Promise<Uint8Array> {
  if (bytes[0] === TAG.SEQUENCE) return bytes;
  const contained = bytes.subarray(CONTAINER_HEADER);
  if (bytes[0] === 0x01 && bytes[1] === 0x00 && isCompressed(contained)) return gunzip(contained, MAX_CERTIFICATE);
  return compressed || isCompressed(bytes) ? gunzip(bytes, MAX_CERTIFICATE) : bytes;
}
