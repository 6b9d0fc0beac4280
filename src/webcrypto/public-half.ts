import { parseCertificate } from "../asn1/index.ts";
import {
  decodeEcParameters,
  decodeEcPoint,
  decodePoint25519,
  namesCurve25519,
  parsePublicKey,
  type PublicKey,
  rsaPublicKey,
} from "../crypto/index.ts";
import { CKA, CKO } from "../cryptoki/index.ts";
import { refusal } from "./error.ts";
import type { TokenSession } from "./token-session.ts";

/**
 * The public half of a key object: from the object itself, or from the public key or the certificate with the same CKA_ID, since
 * modules before PKCS#11 3.0 do not tell it with a private key.
 * @throws {DOMException} NotFoundError if nothing tells it.
 */
export async function publicHalf(session: TokenSession, object: number, id: Uint8Array): Promise<PublicKey> {
  const known = await told(session, object);
  if (known) return known;
  if (id.length > 0) {
    for (const publicKey of await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id })) {
      const found = await told(session, publicKey);
      if (found) return found;
    }
    for (const certificate of await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id })) {
      const { [CKA.VALUE]: value } = await session.known(certificate, [CKA.VALUE]);
      if (value && value.length > 0) return parsePublicKey(parseCertificate(value).subjectPublicKeyInfo);
    }
  }
  throw refusal("NotFoundError", "neither a public key nor a certificate with the key's CKA_ID is on the token");
}

async function told(session: TokenSession, object: number): Promise<PublicKey | undefined> {
  const { [CKA.PUBLIC_KEY_INFO]: info } = await session.known(object, [CKA.PUBLIC_KEY_INFO]);
  return info && info.length > 0 ? parsePublicKey(info) : fromNumbers(session, object);
}

async function fromNumbers(session: TokenSession, object: number): Promise<PublicKey | undefined> {
  const types = [CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.EC_PARAMS, CKA.EC_POINT];
  const known = await session.known(object, types);
  const { [CKA.MODULUS]: modulus, [CKA.PUBLIC_EXPONENT]: exponent } = known;
  if (modulus?.length && exponent?.length) return rsaPublicKey(modulus, exponent);
  const { [CKA.EC_PARAMS]: parameters, [CKA.EC_POINT]: point } = known;
  if (!parameters?.length || !point?.length) return undefined;
  if (namesCurve25519(parameters, "Ed25519")) {
    return { type: "edwards", curve: "Ed25519", point: decodePoint25519(point) };
  }
  if (namesCurve25519(parameters, "X25519")) {
    return { type: "montgomery", curve: "X25519", point: decodePoint25519(point) };
  }
  const curve = decodeEcParameters(parameters);
  return { type: "ec", curve, point: decodeEcPoint(curve, point) };
}
