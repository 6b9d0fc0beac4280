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
import type { Template } from "./attributes/kinds.ts";
import { CKA } from "./constants/cka.ts";
import { CKO } from "./constants/ck.ts";

/** A session with any module, as far as finding a public key needs it. */
export interface ObjectSource {
  /** Handles of the objects that match. */
  find(template: Template): Promise<readonly number[]>;
  /** The requested attributes, without those that the object does not have or return. */
  known(object: number, types: readonly number[]): Promise<Template>;
}

/**
 * The public half of a key object: from CKA_PUBLIC_KEY_INFO, or the key's numbers; or from the public key or the
 * certificate with the same CKA_ID. Modules before PKCS#11 3.0 do not provide it for a private key, and others leave
 * CKA_PUBLIC_KEY_INFO empty, which is its default (PKCS#11 3.1 section 4.9).
 * @returns Undefined if there is none.
 * @throws {DataError} if it does not parse, or its type is not supported.
 */
export async function publicHalfOf(
  source: ObjectSource,
  object: number,
  id: Uint8Array,
): Promise<PublicKey | undefined> {
  const own = await told(source, object);
  if (own) return own;
  if (id.length === 0) return undefined;
  for (const publicKey of await source.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id })) {
    const found = publicKey === object ? undefined : await told(source, publicKey);
    if (found) return found;
  }
  for (const certificate of await source.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id })) {
    const { [CKA.VALUE]: value } = await source.known(certificate, [CKA.VALUE]);
    if (value && value.length > 0) return parsePublicKey(parseCertificate(value).subjectPublicKeyInfo);
  }
  return undefined;
}

async function told(source: ObjectSource, object: number): Promise<PublicKey | undefined> {
  const { [CKA.PUBLIC_KEY_INFO]: info } = await source.known(object, [CKA.PUBLIC_KEY_INFO]);
  return info && info.length > 0 ? parsePublicKey(info) : fromNumbers(source, object);
}

async function fromNumbers(source: ObjectSource, object: number): Promise<PublicKey | undefined> {
  const types = [CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.EC_PARAMS, CKA.EC_POINT];
  const known = await source.known(object, types);
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
