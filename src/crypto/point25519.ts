import { DerReader, derOid, encodeDer, TAG } from "../asn1/index.ts";
import { DataError, equalBytes, utf8 } from "../bytes/index.ts";

/** The curves of RFC 7748 and RFC 8032 with 255 bits, by the names of WebCrypto. */
export type Curve25519 = "Ed25519" | "X25519";

const OID: Readonly<Record<Curve25519, string>> = { Ed25519: "1.3.101.112", X25519: "1.3.101.110" };
/** The names of RFC 7748 section 4.1, which CKA_EC_PARAMS may hold in place of the OID (PKCS#11 3.1 section 6.3.1). */
const NAME: Readonly<Record<Curve25519, string>> = { Ed25519: "edwards25519", X25519: "curve25519" };

/** CKA_EC_PARAMS: the curve's object identifier, DER. */
export function encodeParameters25519(curve: Curve25519): Uint8Array {
  return derOid(OID[curve]);
}

/** Whether CKA_EC_PARAMS name `curve`: by its OID, or by its name as a PrintableString. */
export function namesCurve25519(parameters: Uint8Array, curve: Curve25519): boolean {
  return [derOid(OID[curve]), encodeDer(TAG.PRINTABLE_STRING, utf8(NAME[curve]))].some((known) =>
    equalBytes(known, parameters),
  );
}

/**
 * The 32 bytes of CKA_EC_POINT, bare as PKCS#11 3.1 has them, or in a DER OCTET STRING as 3.0 had.
 * @throws {DataError} if it is neither.
 */
export function decodePoint25519(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 32) return bytes;
  const reader = new DerReader(bytes, "point of Curve25519");
  const point = reader.octetString();
  reader.end();
  if (point.length !== 32) throw new DataError(`point of Curve25519: ${point.length} bytes, 32 wanted`);
  return point;
}
