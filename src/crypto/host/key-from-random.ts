import { DataError, wipe } from "../../bytes/index.ts";
import { curveInfo, type NamedCurve } from "../codec/elliptic-curve.ts";
import { inverse, toBytes, toNumber } from "../codec/modular.ts";
import { hostCrypto } from "./current.ts";
import { HostPrivateKey } from "./private-key.ts";

// Keys from random bytes of an engine: the host, which makes keys otherwise, takes its own and no others.

/** Gives as many random bytes as it is asked for; the caller's to wipe. */
export type RandomSource = (length: number) => Promise<Uint8Array>;

/** Many more than a good source ever needs; a source that always gives the same must not be asked for ever. */
const EC_TRIES = 64;
const PRIME_TRIES_PER_BIT = 10;

/** An EC key by rejection sampling (FIPS 186-5 section A.2.2). @throws {DataError} if the source gives no number below the order. */
export async function ecKeyFromRandom(curve: NamedCurve, random: RandomSource): Promise<HostPrivateKey> {
  const { bits } = curveInfo(curve);
  const length = Math.ceil(bits / 8);
  for (let tries = 0; tries < EC_TRIES; tries++) {
    const secret = await random(length);
    secret[0] = (secret[0] ?? 0) & (0xff >> (8 * length - bits));
    try {
      return HostPrivateKey.fromEcSecret(curve, secret);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    } finally {
      wipe(secret);
    }
  }
  throw new DataError(`the random numbers make no key on ${curve}`);
}

/** Any 32 bytes are a key (RFC 8032 section 5.1.5, RFC 7748 section 5). */
export async function curve25519KeyFromRandom(
  curve: "Ed25519" | "X25519",
  random: RandomSource,
): Promise<HostPrivateKey> {
  const seed = await random(32);
  try {
    return HostPrivateKey.fromSeed(curve, seed);
  } finally {
    wipe(seed);
  }
}

/**
 * An RSA key of two probable primes (FIPS 186-5 section A.1.3).
 * @param modulusBits Even. @param publicExponent Odd, from 3.
 * @throws {DataError} if the source gives no primes.
 */
export async function rsaKeyFromRandom(
  modulusBits: number,
  publicExponent: number,
  random: RandomSource,
): Promise<HostPrivateKey> {
  const exponent = BigInt(publicExponent);
  const half = modulusBits / 2;
  const p = await prime(half, exponent, random);
  const q = await prime(half, exponent, random, p);
  const d = inverse(exponent, (p - 1n) * (q - 1n));
  const length = modulusBits / 8;
  const numbers = {
    modulus: toBytes(p * q, length),
    publicExponent: toBytes(exponent, Math.ceil(exponent.toString(16).length / 2)),
    privateExponent: toBytes(d, length),
    prime1: toBytes(p, Math.ceil(half / 8)),
    prime2: toBytes(q, Math.ceil(half / 8)),
  };
  try {
    return HostPrivateKey.fromRsaNumbers(numbers);
  } finally {
    wipe(numbers.privateExponent, numbers.prime1, numbers.prime2);
  }
}

/** A prime with its two highest bits set, so that the product of two has twice as many; far enough from `other`. */
async function prime(bits: number, exponent: bigint, random: RandomSource, other?: bigint): Promise<bigint> {
  const length = Math.ceil(bits / 8);
  const mask = (1n << BigInt(bits)) - 1n;
  const fixed = (0b11n << BigInt(bits - 2)) | 1n;
  const distance = 1n << BigInt(bits - 100);
  for (let tries = 0; tries < PRIME_TRIES_PER_BIT * bits; tries++) {
    const bytes = await random(length);
    const candidate = (toNumber(bytes) & mask) | fixed;
    wipe(bytes);
    const near = other !== undefined && candidate - other < distance && other - candidate < distance;
    if (near || !isCoprime(candidate - 1n, exponent)) continue;
    if (await hostCrypto().isPrime(candidate)) return candidate;
  }
  throw new DataError("the random numbers make no primes");
}

function isCoprime(a: bigint, b: bigint): boolean {
  while (b !== 0n) [a, b] = [b, a % b];
  return a === 1n;
}

/** Whether a number is prime, but for a chance of less than 2^-64. */
export async function isPrime(candidate: bigint): Promise<boolean> {
  return hostCrypto().isPrime(candidate);
}
