import { createECDH } from "node:crypto";
import { concat, fromHex, toHex } from "../../bytes/index.ts";
import { encodeTlv } from "../../apdu/index.ts";
import { type EcKeyInfo, fieldLength } from "./key-type.ts";

/** Orders of the base points (FIPS 186-4 appendix D.1.2). */
const ORDER = {
  prime256v1: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  secp384r1: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  secp521r1:
    0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
} as const;

/**
 * ECDSA over a hash made elsewhere (FIPS 186-4 section 6.4): what the card command asks for, and what node:crypto has
 * no call for, as it always hashes first. The point arithmetic is OpenSSL's (a fresh ephemeral key gives k and kG); what
 * is left is one line modulo the order. That line is blinded but, with BigInt, not constant in time, which is why this
 * stays in a virtual card, whose keys lie open to its own process anyway.
 * @param secret The private scalar, big endian.
 * @param hash At most as long as the order.
 * @returns The DER signature, SEQUENCE { r, s }.
 */
export function signHash(info: EcKeyInfo, secret: Uint8Array, hash: Uint8Array): Uint8Array {
  const { curve } = info;
  const n = ORDER[curve];
  const length = fieldLength(info);
  const d = toNumber(secret);
  const z = toNumber(hash);
  for (;;) {
    const k = randomScalar(curve, length);
    const blind = randomScalar(curve, length);
    const r = k.x % n;
    const s = (inverse((k.secret * blind.secret) % n, n) * ((blind.secret * z + ((blind.secret * r) % n) * d) % n)) % n;
    if (r !== 0n && s !== 0n) return encodeTlv(0x30, derInteger(r), derInteger(s));
  }
}

/** A scalar from 1 to n - 1, and the x coordinate of its point. */
function randomScalar(curve: EcKeyInfo["curve"], length: number): { secret: bigint; x: bigint } {
  const ecdh = createECDH(curve);
  const point = ecdh.generateKeys();
  return { secret: toNumber(ecdh.getPrivateKey()), x: toNumber(point.subarray(1, 1 + length)) };
}

/** 1 / value modulo n, by the extended Euclidean algorithm; value and n have no common factor. */
function inverse(value: bigint, n: bigint): bigint {
  let [r0, r1, t0, t1] = [n, value, 0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1, t0, t1] = [r1, r0 - quotient * r1, t1, t0 - quotient * t1];
  }
  return t0 < 0n ? t0 + n : t0;
}

function derInteger(value: bigint): Uint8Array {
  const digits = value.toString(16);
  const bytes = fromHex(digits.padStart(digits.length + (digits.length % 2), "0"));
  return encodeTlv(0x02, (bytes[0] ?? 0) & 0x80 ? concat(Uint8Array.of(0), bytes) : bytes);
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x0${toHex(bytes)}`);
}
