import { concat, DataError, fromHex, toHex } from "../../bytes/index.ts";
import { isPrime, randomBytes } from "../../crypto/index.ts";

/** Bytes of the password that is shared, and of the prime. */
const SHARED_PASSWORD_LENGTH = 8;
const LEAST_THRESHOLD = 2;
const MOST_SHARES = 255;

/** What one custodian keeps of a password: a point of a polynomial. Values are hexadecimal. */
export interface PasswordShare {
  /** The same for all custodians, and no secret. */
  readonly prime: string;
  /** 1 and more. */
  readonly id: number;
  readonly value: string;
}

/**
 * Splits a password of 8 bytes, whose first bit is 0, by Shamir's scheme, as sc-hsm-tool does (sc-hsm-tool.c, createShares).
 * @param threshold How many shares give the password.
 * @throws {DataError} for a threshold below 2 or above the number of shares, and for more than 255 shares.
 */
export async function splitPassword(
  password: Uint8Array,
  threshold: number,
  total: number,
): Promise<readonly PasswordShare[]> {
  if (!Number.isInteger(threshold) || !Number.isInteger(total) || threshold < LEAST_THRESHOLD || total > MOST_SHARES) {
    throw new DataError(`password shares: ${threshold} of ${total}; at least 2, of at most 255`);
  }
  if (threshold > total) throw new DataError(`password shares: ${threshold} of ${total} can never be presented`);
  const secret = toNumber(password);
  const prime = await primeAbove(secret);
  const coefficients = [secret, ...Array.from({ length: threshold - 1 }, () => toNumber(randomBytes(16)) % prime)];
  return Array.from({ length: total }, (_, index) => {
    const x = BigInt(index + 1);
    const y = coefficients.reduceRight((sum, coefficient) => (sum * x + coefficient) % prime, 0n);
    return { prime: encode(prime), id: index + 1, value: encode(y) };
  });
}

/**
 * The password of `shares`. Too few, or wrong ones, give another password: the share file tells.
 * @throws {DataError} for shares of different passwords, repeated ones, and malformed ones.
 */
export function joinPassword(shares: readonly PasswordShare[]): Uint8Array {
  const [first] = shares;
  if (!first || shares.length < LEAST_THRESHOLD) throw new DataError("password shares: at least 2 are needed");
  const prime = decode(first.prime, "the prime");
  const points = shares.map(({ id, prime: its, value }) => {
    if (decode(its, "the prime") !== prime) throw new DataError(`password share ${id}: of another password`);
    if (!Number.isInteger(id) || id < 1 || id > MOST_SHARES) throw new DataError(`password share: number ${id}`);
    return { x: BigInt(id), y: decode(value, `share ${id}`) };
  });
  if (new Set(points.map(({ x }) => x)).size < points.length)
    throw new DataError("password shares: one is there twice");
  let secret = 0n;
  for (const { x, y } of points) {
    let numerator = 1n;
    let denominator = 1n;
    for (const { x: other } of points) {
      if (other === x) continue;
      numerator = (numerator * other) % prime;
      denominator = (denominator * (((other - x) % prime) + prime)) % prime;
    }
    secret = (secret + y * numerator * inverse(denominator, prime)) % prime;
  }
  // Without leading zeros, as OpenSSL writes numbers.
  const digits = secret.toString(16);
  return fromHex(digits.padStart(digits.length + (digits.length % 2), "0"));
}

async function primeAbove(secret: bigint): Promise<bigint> {
  for (;;) {
    const candidate = toNumber(randomBytes(SHARED_PASSWORD_LENGTH)) | (3n << 62n) | 1n;
    if (candidate > secret && (await isPrime(candidate))) return candidate;
  }
}

/** By Fermat's little theorem; `value` is no multiple of the prime. */
function inverse(value: bigint, prime: bigint): bigint {
  let result = 1n;
  let base = value % prime;
  for (let exponent = prime - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % prime;
    base = (base * base) % prime;
  }
  return result;
}

const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x0${toHex(bytes)}`);

/** As sc-hsm-tool prints it: pairs of digits with colons. */
function encode(number: bigint): string {
  const digits = number.toString(16);
  const even = digits.padStart(digits.length + (digits.length % 2), "0");
  return (even.match(/../gu) ?? []).join(":");
}

function decode(text: string, what: string): bigint {
  const digits = text.replaceAll(":", "").trim();
  if (!/^[0-9a-f]{1,32}$/iu.test(digits)) throw new DataError(`password shares: ${what} is no hexadecimal number`);
  return BigInt(`0x${digits}`);
}

/** A new password for {@link splitPassword}. The caller wipes it. */
export function newSharedPassword(): Uint8Array {
  const password = randomBytes(SHARED_PASSWORD_LENGTH);
  // Below every prime of 64 bits, and of full length without leading zeros.
  password[0] = ((password[0] ?? 0) & 0x3f) | 0x40;
  return concat(password);
}
