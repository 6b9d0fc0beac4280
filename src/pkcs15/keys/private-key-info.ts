import { contextTag, DerReader } from "../../asn1/index.ts";
import { UnsupportedError } from "../../card/index.ts";
import {
  decodeEcParameters,
  encodePublicKey,
  type NamedCurve,
  parsePublicKey,
  rsaPublicKey,
} from "../../crypto/index.ts";

/** The parts of a private key, as views of the parsed bytes. */
export type PrivateKeyParts = {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
} & (
  | {
      readonly type: "rsa";
      readonly modulusBits: number;
      /** p, q, 1/q mod p, d mod (p-1), d mod (q-1). */
      readonly numbers: readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    }
  | { readonly type: "ec"; readonly curve: NamedCurve; readonly number: Uint8Array }
);

const RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
const EC_PUBLIC_KEY = "1.2.840.10045.2.1";
const EC_POINT = contextTag(1, "constructed");
const EC_PARAMETERS = contextTag(0, "constructed");

/**
 * Parses an unencrypted PrivateKeyInfo (RFC 5208 section 5) with an RSAPrivateKey (RFC 8017 appendix A.1.2) or an
 * ECPrivateKey (RFC 5915 section 3).
 * @throws {DataError} if it is malformed; {UnsupportedError} for other keys, and for an EC key without its public half.
 */
export function readPrivateKeyInfo(pkcs8: Uint8Array): PrivateKeyParts {
  const info = new DerReader(pkcs8, "private key").enter();
  info.integer();
  const algorithm = info.enter();
  const oid = algorithm.oid();
  const key = info.octetString();
  if (oid === RSA_ENCRYPTION) return readRsa(key);
  if (oid === EC_PUBLIC_KEY) return readEc(key, decodeEcParameters(algorithm.next().encoding));
  throw new UnsupportedError(`a private key of algorithm ${oid}`);
}

function readRsa(der: Uint8Array): PrivateKeyParts {
  const reader = new DerReader(der, "RSA private key").enter();
  reader.integer();
  const publicKey = rsaPublicKey(reader.unsigned(), reader.unsigned());
  // The exponent itself is in the other five.
  reader.unsigned();
  const [p, q, dp, dq, inverse] = [
    reader.unsigned(),
    reader.unsigned(),
    reader.unsigned(),
    reader.unsigned(),
    reader.unsigned(),
  ];
  return {
    type: "rsa",
    publicKey: encodePublicKey(publicKey),
    modulusBits: publicKey.modulusBits,
    numbers: [p, q, inverse, dp, dq],
  };
}

function readEc(der: Uint8Array, curve: NamedCurve): PrivateKeyParts {
  const reader = new DerReader(der, "EC private key").enter();
  reader.integer();
  const number = reader.octetString();
  reader.optional(EC_PARAMETERS);
  if (reader.peek() !== EC_POINT) throw new UnsupportedError("the EC private key has no public half");
  const point = reader.enter(EC_POINT).bitStringBytes();
  const publicKey = encodePublicKey({ type: "ec", curve, point });
  parsePublicKey(publicKey);
  return { type: "ec", curve, number, publicKey };
}
