import { berToDer, contextTag, DerReader, parseCertificate, TAG } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import {
  curveInfo,
  ecPublicKey,
  encodePublicKey,
  type NamedCurve,
  parsePublicKey,
  rsaPublicKey,
} from "../../crypto/index.ts";
import { isCardVerifiable, readCardVerifiable } from "../syntax/card-verifiable.ts";

const SPKI_IN_RSA_CHOICE = contextTag(1, "constructed");
const CURVES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];

/**
 * The SubjectPublicKeyInfo of a public key as cards keep it: RSAPublicKey, ECPoint, or SubjectPublicKeyInfo (ISO/IEC 7816-15
 * section 8.4), with padding behind it or not; or as part of a certificate.
 * @param curve Of a bare point; its length tells it where nothing else does.
 * @throws {DataError} if it is none of them.
 */
export function readStoredKey(bytes: Uint8Array, curve: NamedCurve | undefined): Uint8Array {
  if (isCardVerifiable(bytes)) return checked(readCardVerifiable(bytes).publicKey());
  const { der } = berToDer(bytes, 0, "public key");
  const reader = new DerReader(der, "public key");
  if (reader.peek() === TAG.OCTET_STRING) return encodePoint(reader.octetString(), curve);
  if (reader.peek() === SPKI_IN_RSA_CHOICE) return checked(tagged(reader.next().contents));
  const fields = reader.enter();
  if (fields.peek() === TAG.INTEGER) return encodePublicKey(rsaPublicKey(fields.unsigned(), fields.unsigned()));
  fields.next(TAG.SEQUENCE);
  // Of a certificate, the algorithm of its signature comes next; of a SubjectPublicKeyInfo, the key.
  return checked(fields.peek() === TAG.SEQUENCE ? parseCertificate(der).subjectPublicKeyInfo : der);
}

/** Explicitly, or for its own SEQUENCE. */
function tagged(contents: Uint8Array): Uint8Array {
  const reader = new DerReader(contents, "public key");
  const { encoding } = reader.next(TAG.SEQUENCE);
  return reader.remaining === 0 ? encoding : new DerReader(berToDer(contents).der).next().encoding;
}

function checked(spki: Uint8Array): Uint8Array {
  parsePublicKey(spki);
  return spki;
}

function encodePoint(point: Uint8Array, named: NamedCurve | undefined): Uint8Array {
  const curve = named ?? CURVES.find((name) => point.length === 1 + 2 * curveInfo(name).bytes);
  if (!curve) throw new DataError(`public key: a point of ${point.length} bytes`);
  return encodePublicKey(ecPublicKey(curve, point));
}

/** The certificate at the beginning of `bytes`, without what pads the file. @throws {DataError} if there is none. */
export function readStoredCertificate(bytes: Uint8Array): Uint8Array {
  const { length } = berToDer(bytes, 0, "certificate");
  const der = bytes.slice(0, length);
  parseCertificate(der);
  return der;
}
