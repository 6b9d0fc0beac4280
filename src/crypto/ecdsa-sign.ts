import { createECDH } from "node:crypto";
import { concat, DataError } from "../bytes/index.ts";
import { curveInfo, type NamedCurve } from "./curve.ts";
import { CURVE_NUMBERS, inverse, modulo, toBytes, toNumber } from "./modular.ts";

/**
 * ECDSA over a digest (FIPS 186-5 section 6.4.1), which Node has no call for: it hashes first. The points
 * are OpenSSL's: a fresh key pair gives k and kG. What is left is one line modulo the order; its inversion is blinded by a random
 * factor, because BigInt does not compute in constant time.
 * @param secret The private key, most significant byte first.
 * @param hashed As truncateDigest leaves it: to cut once more what was cut already would sign another number on P-521.
 * @returns r || s, each as long as the order.
 * @throws {DataError} for a digest longer than the order.
 */
export function signEcdsa(curve: NamedCurve, secret: Uint8Array, hashed: Uint8Array): Uint8Array {
  const { bytes } = curveInfo(curve);
  const { n } = CURVE_NUMBERS[curve];
  if (hashed.length > bytes) throw new DataError(`ECDSA: a digest of ${hashed.length} bytes, ${bytes} at most`);
  const d = toNumber(secret);
  const e = toNumber(hashed);
  for (;;) {
    const k = ephemeral(curve);
    const { secret: blind } = ephemeral(curve);
    const r = modulo(k.x, n);
    const s = modulo(inverse(modulo(k.secret * blind, n), n) * modulo(blind * e + modulo(blind * r, n) * d, n), n);
    if (r !== 0n && s !== 0n) return concat(toBytes(r, bytes), toBytes(s, bytes));
  }
}

/** A number from 1 to n - 1, and the x coordinate of its multiple of the base point. */
function ephemeral(curve: NamedCurve): { readonly secret: bigint; readonly x: bigint } {
  const { bytes, openssl } = curveInfo(curve);
  const ecdh = createECDH(openssl);
  const point = ecdh.generateKeys();
  const secret = ecdh.getPrivateKey();
  const numbers = { secret: toNumber(secret), x: toNumber(point.subarray(1, 1 + bytes)) };
  secret.fill(0);
  return numbers;
}
