import { createPrivateKey, type KeyObject } from "node:crypto";
import { DataError, wipe } from "../bytes/index.ts";
import { inverse, modulo, toBytes, toNumber } from "./modular.ts";
import { rsaPublicKey } from "./public-key.ts";
import { randomBytes } from "./random.ts";

/** The numbers of an RSA private key (RFC 8017 section 3.2), most significant byte first. */
export interface RsaPrivateNumbers {
  readonly modulus: Uint8Array;
  readonly publicExponent: Uint8Array;
  readonly privateExponent: Uint8Array;
  readonly prime1: Uint8Array;
  readonly prime2: Uint8Array;
  readonly exponent1: Uint8Array;
  readonly exponent2: Uint8Array;
  readonly coefficient: Uint8Array;
}

/** The longest key that the host computes with: the time grows with the third power, and everybody waits. */
const MAX_MODULUS_BITS = 4096;

/**
 * A key for Node of its numbers, of 4096 bits at most. The primes may be left out: they follow from the others.
 * @throws {DataError} if the numbers are not those of one key.
 */
export function importRsaPrivateKey(
  numbers: Pick<RsaPrivateNumbers, "modulus" | "publicExponent" | "privateExponent"> & Partial<RsaPrivateNumbers>,
): KeyObject {
  const { modulus, publicExponent, modulusBits } = rsaPublicKey(numbers.modulus, numbers.publicExponent);
  if (modulusBits > MAX_MODULUS_BITS) {
    throw new DataError(`RSA private key: ${modulusBits} bits, ${MAX_MODULUS_BITS} at most`);
  }
  const [n, e, d] = [toNumber(modulus), toNumber(publicExponent), toNumber(numbers.privateExponent)];
  const [p, q] =
    numbers.prime1?.length && numbers.prime2?.length
      ? [toNumber(numbers.prime1), toNumber(numbers.prime2)]
      : primesOf(n, e, d);
  // Node checks less than it uses: CRT with wrong numbers would give away the primes (Boneh, DeMillo, Lipton 1997).
  if (p * q !== n || p < 3n || q < 3n || modulo(e * d - 1n, p - 1n) !== 0n || modulo(e * d - 1n, q - 1n) !== 0n) {
    throw new DataError("RSA private key: the numbers do not belong together");
  }
  const part = (value: bigint): string => {
    const bytes = toBytes(value, Math.ceil(value.toString(16).length / 2));
    const text = Buffer.from(bytes).toString("base64url");
    wipe(bytes);
    return text;
  };
  try {
    return createPrivateKey({
      format: "jwk",
      key: {
        kty: "RSA",
        n: part(n),
        e: part(e),
        d: part(d),
        p: part(p),
        q: part(q),
        dp: part(modulo(d, p - 1n)),
        dq: part(modulo(d, q - 1n)),
        qi: part(inverse(modulo(q, p), p)),
      },
    });
  } catch (cause) {
    throw new DataError("RSA private key: refused, not a valid key", { cause });
  }
}

/**
 * The primes of a modulus, from both exponents (SP 800-56B appendix C.1): a square root of 1 other than 1 and -1. Every other
 * random number leads to one. Numbers of which one does not lead to 1 belong to no key, and take no second try.
 * @throws {DataError} if they do not lead there.
 */
function primesOf(n: bigint, e: bigint, d: bigint): readonly [bigint, bigint] {
  const multiple = d * e - 1n;
  const wrong = (): DataError => new DataError("RSA private key: not the exponent of this modulus");
  if (d < 3n || d >= n || multiple % 2n !== 0n) throw wrong();
  let odd = multiple;
  let twos = 0;
  for (; odd % 2n === 0n; odd /= 2n) twos++;
  for (let tries = 0; tries < 100; tries++) {
    let x = power(toNumber(randomBytes(16)) + 2n, odd, n);
    for (let step = 0; step < twos && x !== 1n && x !== n - 1n; step++) {
      const square = (x * x) % n;
      if (square === 1n) {
        const p = greatestCommonDivisor(x - 1n, n);
        return [p, n / p];
      }
      x = square;
    }
    if (x !== 1n && x !== n - 1n) throw wrong();
  }
  throw wrong();
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let [square, rest] = [base, exponent]; rest > 0n; rest >>= 1n, square = (square * square) % modulus) {
    if (rest & 1n) result = (result * square) % modulus;
  }
  return result;
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}
