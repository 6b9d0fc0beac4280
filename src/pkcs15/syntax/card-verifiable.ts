import { findTlv, readTlv, readTlvs, type Tlv } from "../../apdu/index.ts";
import { decodeOid } from "../../asn1/index.ts";
import { ByteReader, DataError, toHex } from "../../bytes/index.ts";
import { ecPublicKey, encodePublicKey, type NamedCurve, rsaPublicKey } from "../../crypto/index.ts";

const WHAT = "card verifiable certificate";

/** BSI TR-03110 part 3, appendix D; appendix C has the request that another key has signed. */
const TAG = {
  AUTHENTICATED_REQUEST: 0x67,
  CERTIFICATE: 0x7f21,
  BODY: 0x7f4e,
  PUBLIC_KEY: 0x7f49,
  HOLDER: 0x5f20,
  OBJECT_IDENTIFIER: 0x06,
} as const;
/** Fields of a public key, by its kind (appendix D.3). */
const RSA = { MODULUS: 0x81, EXPONENT: 0x82 } as const;
const EC = { PRIME: 0x81, POINT: 0x86 } as const;
/** id-TA-RSA and id-TA-ECDSA, followed by padding and hash. */
const ALGORITHM = { RSA: "0.4.0.127.0.7.2.2.2.1.", ECDSA: "0.4.0.127.0.7.2.2.2.2." } as const;

/** The primes of the fields (SP 800-186 section 3.2.1): the parameters identify the curve. */
const PRIMES: ReadonlyMap<string, NamedCurve> = new Map([
  ["ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", "P-256"],
  ["fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff", "P-384"],
  [`01${"ff".repeat(65)}`, "P-521"],
]);

/** The used parts of a card verifiable certificate, or of a request for one. Signatures are not checked. */
export interface CardVerifiable {
  /** Certificate holder reference. */
  readonly holder: string;
  /** SubjectPublicKeyInfo, DER. @throws {DataError} for an unsupported key. */
  readonly publicKey: () => Uint8Array;
}

/** Whether `bytes` begin as a card verifiable certificate or a request for one. */
export function isCardVerifiable(bytes: Uint8Array): boolean {
  const [first, second] = bytes;
  return first === TAG.AUTHENTICATED_REQUEST || (first === TAG.CERTIFICATE >> 8 && second === (TAG.CERTIFICATE & 0xff));
}

/** Parses the one at the beginning of `bytes`. @throws {DataError} if there is none. */
export function readCardVerifiable(bytes: Uint8Array): CardVerifiable {
  const outer = readTlv(new ByteReader(bytes, WHAT), WHAT);
  const certificate = outer.tag === TAG.AUTHENTICATED_REQUEST ? inner([outer], outer.tag, TAG.CERTIFICATE) : [outer];
  const body = inner(certificate, TAG.CERTIFICATE, TAG.BODY);
  const fields = readTlvs(required(body, TAG.BODY), WHAT);
  const holder = String.fromCharCode(...required(fields, TAG.HOLDER).subarray(0, 64));
  if (!/^[\x20-\x7e]*$/u.test(holder)) throw new DataError(`${WHAT}: a holder's name that is not text`);
  return { holder, publicKey: () => readKey(readTlvs(required(fields, TAG.PUBLIC_KEY), WHAT)) };
}

/** The contents of the first element with `tag`. */
function inner(tlvs: readonly Tlv[], tag: number, wanted: number): readonly Tlv[] {
  const found = readTlvs(required(tlvs, tag), WHAT);
  required(found, wanted);
  return found;
}

function required(tlvs: readonly Tlv[], tag: number): Uint8Array {
  const value = findTlv(tlvs, tag);
  if (!value) throw new DataError(`${WHAT}: no ${tag.toString(16).toUpperCase()}`);
  return value;
}

function readKey(fields: readonly Tlv[]): Uint8Array {
  const algorithm = decodeOid(required(fields, TAG.OBJECT_IDENTIFIER));
  if (algorithm.startsWith(ALGORITHM.RSA)) {
    return encodePublicKey(rsaPublicKey(required(fields, RSA.MODULUS), required(fields, RSA.EXPONENT)));
  }
  if (!algorithm.startsWith(ALGORITHM.ECDSA)) throw new DataError(`${WHAT}: a key for ${algorithm}`);
  const curve = PRIMES.get(toHex(required(fields, EC.PRIME)));
  if (!curve) throw new DataError(`${WHAT}: a curve that is not P-256, P-384 or P-521`);
  return encodePublicKey(ecPublicKey(curve, required(fields, EC.POINT)));
}
