import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { encodeTlv, findTlv, readTlvs } from "../../src/apdu/index.ts";
import { DataError, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { describeKey, encodePublicKey } from "../../src/virtual/keys.ts";
import { testKey } from "../virtual/keys.ts";

const PRIMES: Readonly<Partial<Record<number, bigint>>> = {
  256: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
  384: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
};

/** The content of 7F49: of an EC key with its curve, of which a reader needs no more than the prime. */
function publicKeyFields(key: KeyObject): Uint8Array[] {
  const { type, bits } = describeKey(key);
  if (type === "rsa") return [encodeTlv(0x06, fromHex("04007f00070202020102")), ...encodePublicKey(key)];
  const number = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(bits / 4, "0"));
  const prime = PRIMES[bits] ?? 0n;
  return [
    encodeTlv(0x06, fromHex("04007f00070202020203")),
    encodeTlv(0x81, number(prime)),
    encodeTlv(0x82, number(prime - 3n)),
    ...encodePublicKey(key),
    encodeTlv(0x87, Uint8Array.of(1)),
  ];
}

function verifiable(key: KeyObject, holder: string): Uint8Array {
  const body = encodeTlv(
    0x7f4e,
    encodeTlv(0x5f29, Uint8Array.of(0)),
    encodeTlv(0x42, utf8("DEDINK01")),
    encodeTlv(0x7f49, ...publicKeyFields(key)),
    encodeTlv(0x5f20, utf8(holder)),
  );
  return encodeTlv(0x7f21, body, encodeTlv(0x5f37, randomBytes(64)));
}

export const deviceCertificate = (serial: string): Uint8Array =>
  verifiable(testKey("p-256", "device"), `${serial}00000`);

/** The request is signed by the new key, and around that by the device's. */
export function request(key: KeyObject): Uint8Array {
  const inner = verifiable(key, "DENK010012300001");
  return encodeTlv(0x67, inner, encodeTlv(0x42, utf8("DENK010012300000")), encodeTlv(0x5f37, randomBytes(64)));
}

/** A key as the fields of a request ask for it: with so many bits, or on the curve with this prime. */
export function generate(fields: Uint8Array): KeyObject {
  const wanted = readTlvs(findTlv(readTlvs(fields), 0x7f49) ?? new Uint8Array());
  const bits = findTlv(wanted, 0x02);
  if (bits) return generateKeyPairSync("rsa", { modulusLength: Number.parseInt(toHex(bits), 16) }).privateKey;
  const prime = BigInt(`0x${toHex(findTlv(wanted, 0x81) ?? Uint8Array.of(0))}`);
  const [size] = Object.entries(PRIMES).find(([, known]) => known === prime) ?? [];
  if (size === undefined) throw new DataError("a curve that the model does not have");
  return generateKeyPairSync("ec", { namedCurve: `P-${size}` }).privateKey;
}
