import { ECDH } from "node:crypto";
import { DerReader, derOctetString } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";
import { curveInfo, type NamedCurve } from "./curve.ts";

/** CKA_EC_POINT: the point in a DER OCTET STRING (PKCS#11 3.1, elliptic curve public key objects). */
export function encodeEcPoint(point: Uint8Array): Uint8Array {
  return derOctetString(point);
}

/**
 * A point of `curve`, checked to be on it, uncompressed: 04, x, y. Takes it bare or in a DER OCTET STRING, because
 * CK_ECDH1_DERIVE_PARAMS allows both (PKCS#11 3.1, EC mechanism parameters), uncompressed or compressed.
 * Both begin with 04; a bare point is 1 + n or 1 + 2n bytes long, and with a DER header in front it is neither.
 * @throws {DataError} if it is no point, or not on the curve: a card's private key must never meet one that is not
 *   (invalid curve attack). The orders of these curves are prime, so any point but infinity is as good as another.
 */
export function decodeEcPoint(curve: NamedCurve, bytes: Uint8Array): Uint8Array {
  const point = isBare(curve, bytes) ? bytes : unwrap(bytes);
  const uncompressed = point[0] === 0x04 && point.length === 1 + 2 * curveInfo(curve).bytes;
  const compressed = (point[0] === 0x02 || point[0] === 0x03) && point.length === 1 + curveInfo(curve).bytes;
  if (!uncompressed && !compressed) throw new DataError(`EC point: not one of ${curve}`);
  try {
    // OpenSSL checks the equation of the curve as it reads the octets (EC_POINT_oct2point).
    const checked = ECDH.convertKey(point, curveInfo(curve).openssl, undefined, "hex", "uncompressed");
    return Uint8Array.from(Buffer.from(checked.toString(), "hex"));
  } catch (cause) {
    throw new DataError(`EC point: not on ${curve}`, { cause });
  }
}

function isBare(curve: NamedCurve, { length }: Uint8Array): boolean {
  const { bytes } = curveInfo(curve);
  return length === 1 + bytes || length === 1 + 2 * bytes;
}

function unwrap(der: Uint8Array): Uint8Array {
  const reader = new DerReader(der, "EC point");
  const point = reader.octetString();
  reader.end();
  return point;
}
