import { type KeyObject, randomBytes } from "node:crypto";
import { encodeTlv, findTlv, readTlvs } from "../../apdu/index.ts";
import { DataError, fromHex, toHex, utf8 } from "../../bytes/index.ts";
import { describeKey, encodePublicKey, FILE_KEY_TYPES, generateKey, type KeyTypeInfo } from "../keys.ts";

/** The curves by their primes (FIPS 186-4 appendix D.1.2). */
const PRIMES: Readonly<Record<256 | 384 | 521, bigint>> = {
  256: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
  384: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
  521: 2n ** 521n - 1n,
};
/** Object identifiers of public keys (BSI TR-03110 part 3 section A.1.1). */
const OID = { RSA: fromHex("04007f00070202020102"), EC: fromHex("04007f00070202020203") } as const;
const TAG = { CERTIFICATE: 0x7f21, BODY: 0x7f4e, PUBLIC_KEY: 0x7f49, AUTHENTICATED_REQUEST: 0x67 } as const;

/** The content of 7F49: of an EC key with its curve, of which readers need no more than the prime. */
function publicKeyFields(key: KeyObject): Uint8Array[] {
  const { type, bits } = describeKey(key, FILE_KEY_TYPES);
  if (type === "rsa") return [encodeTlv(0x06, OID.RSA), ...encodePublicKey(key)];
  const prime = PRIMES[bits as keyof typeof PRIMES];
  const number = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(2 * Math.ceil(bits / 8), "0"));
  return [
    encodeTlv(0x06, OID.EC),
    encodeTlv(0x81, number(prime)),
    encodeTlv(0x82, number(prime - 3n)),
    ...encodePublicKey(key),
    encodeTlv(0x87, Uint8Array.of(1)),
  ];
}

/** A card-verifiable certificate (BSI TR-03110 part 3 section C.1), whose signature is random: nothing verifies it. */
function certificate(key: KeyObject, holder: string, authority: string): Uint8Array {
  const body = encodeTlv(
    TAG.BODY,
    encodeTlv(0x5f29, Uint8Array.of(0)),
    encodeTlv(0x42, utf8(authority)),
    encodeTlv(TAG.PUBLIC_KEY, ...publicKeyFields(key)),
    encodeTlv(0x5f20, utf8(holder)),
  );
  return encodeTlv(TAG.CERTIFICATE, body, encodeTlv(0x5f37, randomBytes(64)));
}

/** The certificate of the device and that of its issuer. @param serial The device's number. */
export function deviceCertificates(key: KeyObject, serial: string): readonly Uint8Array[] {
  return [certificate(key, `${serial}00000`, "DESRCACC1"), certificate(key, "DESRCACC100001", "DESRCACC1")];
}

/** A request for a certificate of a new key, in one that the device authenticates. */
export function certificateRequest(key: KeyObject, serial: string): Uint8Array {
  const inner = certificate(key, `${serial}00001`, "UTCA00001");
  const device = encodeTlv(0x42, utf8(`${serial}00000`));
  return encodeTlv(TAG.AUTHENTICATED_REQUEST, inner, device, encodeTlv(0x5f37, randomBytes(64)));
}

/** Makes the key that a request describes: with so many bits, or on the curve with this prime. */
export function generateRequested(request: Uint8Array): Promise<KeyObject> {
  const fields = readTlvs(findTlv(readTlvs(request), TAG.PUBLIC_KEY) ?? new Uint8Array());
  const bits = findTlv(fields, 0x02);
  if (bits) return generateKey(requireType((info) => info.type === "rsa" && info.bits === Number(`0x${toHex(bits)}`)));
  const prime = BigInt(`0x${toHex(findTlv(fields, 0x81) ?? Uint8Array.of(0))}`);
  return generateKey(requireType(({ type, bits: size }) => type === "ec" && PRIMES[size] === prime));
}

function requireType(isIt: (info: KeyTypeInfo) => boolean): KeyTypeInfo {
  const found = Object.values(FILE_KEY_TYPES).find(isIt);
  if (!found) throw new DataError("a kind of key that the card does not have");
  return found;
}
