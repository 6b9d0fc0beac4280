import { derNull, derOctetString, derOid, derSequence } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";
import { hashLength, type HashName } from "./hash.ts";

/** RFC 8017 appendix B.1; SHA-3: NIST's register of algorithms (CSOR), as RFC 9688 section 2 has them. */
const OID: Readonly<Record<HashName, string>> = {
  md5: "1.2.840.113549.2.5",
  sha1: "1.3.14.3.2.26",
  sha224: "2.16.840.1.101.3.4.2.4",
  sha256: "2.16.840.1.101.3.4.2.1",
  sha384: "2.16.840.1.101.3.4.2.2",
  sha512: "2.16.840.1.101.3.4.2.3",
  "sha512-224": "2.16.840.1.101.3.4.2.5",
  "sha512-256": "2.16.840.1.101.3.4.2.6",
  "sha3-224": "2.16.840.1.101.3.4.2.7",
  "sha3-256": "2.16.840.1.101.3.4.2.8",
  "sha3-384": "2.16.840.1.101.3.4.2.9",
  "sha3-512": "2.16.840.1.101.3.4.2.10",
};

/**
 * The DigestInfo of a hash's result, DER: what PKCS#1 v1.5 signs (RFC 8017 section 9.2 step 2).
 * @throws {DataError} if `digest` is not as long as the hash's results are.
 */
export function digestInfo(hash: HashName, digest: Uint8Array): Uint8Array {
  checkDigest(hash, digest);
  return derSequence(derSequence(derOid(OID[hash]), derNull()), derOctetString(digest));
}

/** @throws {DataError} if `digest` is not as long as the hash's results are. */
export function checkDigest(hash: HashName, digest: Uint8Array): void {
  if (digest.length !== hashLength(hash)) {
    throw new DataError(`${hash} digest: ${digest.length} bytes, ${hashLength(hash)} wanted`);
  }
}
