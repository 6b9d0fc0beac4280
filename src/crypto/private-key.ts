import {
  constants,
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  sign,
} from "node:crypto";
import { promisify } from "node:util";
import { inThreadPool } from "../async/index.ts";
import { DataError, wipe } from "../bytes/index.ts";
import { plain } from "./ciphers.ts";
import { randomBytes } from "./digests.ts";
import { curveInfo, inverse, modulo, type NamedCurve, toBytes, toNumber } from "./elliptic-curve.ts";
import { importPublicKey, parsePublicKey, type PublicKey, rsaPublicKey } from "./public-key.ts";
import { signEcdsa } from "./verify.ts";

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

/** The longest key that the host supports: the time grows with the third power, and blocks the process. */
const MAX_MODULUS_BITS = 4096;

/**
 * Makes a Node key of its numbers, at most 4096 bits. The primes may be left out: they are computed from the others.
 * @throws {DataError} if the numbers do not belong to one key.
 */
function importRsaPrivateKey(
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
  // Node checks less than it uses: CRT with wrong numbers would reveal the primes (Boneh, DeMillo, Lipton 1997).
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
 * Computes the primes of a modulus from both exponents (SP 800-56B appendix C.1): a square root of 1 other than 1 and
 * -1. Every other random number leads to one. If one number does not lead to 1, the exponents belong to no key, and
 * there is no second attempt.
 * @throws {DataError} in that case.
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

/** The host's operations with a private key, the same as a card's; paddings are added elsewhere. */
export type HostPrimitive = "rsa-raw" | "ecdsa" | "ecdh" | "eddsa";

const PRIMITIVES: Readonly<Record<PublicKey["type"], readonly HostPrimitive[]>> = {
  rsa: ["rsa-raw"],
  ec: ["ecdsa", "ecdh"],
  edwards: ["eddsa"],
  montgomery: ["ecdh"],
};

/** A private key in this process. */
export class HostPrivateKey {
  readonly publicKey: PublicKey;
  #key: KeyObject | undefined;

  constructor(key: KeyObject) {
    this.#key = key;
    this.publicKey = parsePublicKey(plain(createPublicKey(key).export({ format: "der", type: "spki" })));
    if (this.publicKey.type === "rsa" && this.publicKey.pss !== undefined) {
      throw new DataError("private key: no PKCS #8 for RSASSA-PSS alone; give the key as rsaEncryption");
    }
  }

  /**
   * Parses a PKCS #8 PrivateKeyInfo, DER, not encrypted (RFC 5958).
   * @throws {DataError} if it is malformed or of an unsupported type.
   */
  static fromPkcs8(der: Uint8Array): HostPrivateKey {
    const copy = Buffer.from(der);
    try {
      return new HostPrivateKey(createPrivateKey({ key: copy, format: "der", type: "pkcs8" }));
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError("private key: not PKCS #8, or of an unsupported type", { cause });
    } finally {
      wipe(copy);
    }
  }

  static fromRsaNumbers(numbers: Parameters<typeof importRsaPrivateKey>[0]): HostPrivateKey {
    return new HostPrivateKey(importRsaPrivateKey(numbers));
  }

  /** @param secret Most significant byte first, at most as long as the order. */
  static fromEcSecret(curve: NamedCurve, secret: Uint8Array): HostPrivateKey {
    return new HostPrivateKey(importEcSecret(curve, secret));
  }

  /** The 32 bytes of RFC 8032 (Ed25519) or RFC 7748 (X25519). */
  static fromSeed(curve: "Ed25519" | "X25519", seed: Uint8Array): HostPrivateKey {
    if (seed.length !== 32) throw new DataError(`${curve} private key: ${seed.length} bytes instead of 32`);
    const der = Buffer.concat([SEED_PREFIX[curve], seed]);
    try {
      return new HostPrivateKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
    } finally {
      wipe(der);
    }
  }

  get primitives(): readonly HostPrimitive[] {
    return PRIMITIVES[this.publicKey.type];
  }

  /** PKCS #8 PrivateKeyInfo, DER; the caller wipes it. */
  toPkcs8(): Uint8Array {
    return plain(this.#required().export({ format: "der", type: "pkcs8" }));
  }

  /** @throws {DataError} for a key that is not RSA. */
  rsaNumbers(): RsaPrivateNumbers {
    const { n, e, d, p, q, dp, dq, qi } = this.#required().export({ format: "jwk" });
    const part = (text: string | undefined): Uint8Array => {
      if (text === undefined) throw new DataError("not an RSA private key");
      return new Uint8Array(Buffer.from(text, "base64url"));
    };
    return {
      modulus: part(n),
      publicExponent: part(e),
      privateExponent: part(d),
      prime1: part(p),
      prime2: part(q),
      exponent1: part(dp),
      exponent2: part(dq),
      coefficient: part(qi),
    };
  }

  /** The secret number of an EC key, or the seed of an Edwards or Montgomery key; the caller wipes it. */
  secret(): Uint8Array {
    const { d } = this.#required().export({ format: "jwk" });
    if (d === undefined) throw new DataError("not a key with a secret number");
    return new Uint8Array(Buffer.from(d, "base64url"));
  }

  /**
   * @param input rsa-raw: a block as long as the modulus. ecdsa: a digest, from truncateDigest. ecdh: the other public
   *   key's point. eddsa: the message.
   * @throws {DataError} for input that does not fit the key, a primitive that the key does not support, and after
   *   {@link wipe}.
   */
  compute(primitive: HostPrimitive, input: Uint8Array): Uint8Array {
    const key = this.#required();
    const { publicKey } = this;
    if (!this.primitives.includes(primitive)) throw new DataError(`a key of this type does not support ${primitive}`);
    try {
      switch (primitive) {
        case "rsa-raw":
          return plain(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, input));
        case "ecdsa":
          return this.#ecdsa(input);
        case "ecdh":
          return plain(diffieHellman({ privateKey: key, publicKey: importPublicKey(withPoint(publicKey, input)) }));
        case "eddsa":
          return plain(sign(null, input, key));
      }
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError(`${primitive}: refused by OpenSSL`, { cause });
    }
  }

  #ecdsa(hashed: Uint8Array): Uint8Array {
    const { publicKey } = this;
    if (publicKey.type !== "ec") throw new DataError("not an EC key");
    const secret = this.secret();
    try {
      return signEcdsa(publicKey.curve, secret, hashed);
    } finally {
      wipe(secret);
    }
  }

  /** Drops the key. Node overwrites it once it has no more references. */
  wipe(): void {
    this.#key = undefined;
  }

  #required(): KeyObject {
    if (!this.#key) throw new DataError("the key was destroyed");
    return this.#key;
  }
}

function withPoint(own: PublicKey, point: Uint8Array): PublicKey {
  if (own.type === "ec") return { type: "ec", curve: own.curve, point };
  if (own.type === "montgomery") return { type: "montgomery", curve: own.curve, point };
  throw new DataError("the key cannot agree on secrets");
}

/** PKCS #8 up to the seed (RFC 8410 section 7). */
const SEED_PREFIX = {
  Ed25519: Buffer.from("302e020100300506032b657004220420", "hex"),
  X25519: Buffer.from("302e020100300506032b656e04220420", "hex"),
} as const;

function importEcSecret(curve: NamedCurve, secret: Uint8Array): KeyObject {
  const { bytes, openssl } = curveInfo(curve);
  if (secret.length > bytes) throw new DataError(`EC private key: ${secret.length} bytes, ${bytes} at most`);
  const padded = Buffer.concat([Buffer.alloc(bytes - secret.length), secret]);
  try {
    const ecdh = createECDH(openssl);
    ecdh.setPrivateKey(padded);
    const point = ecdh.getPublicKey();
    return createPrivateKey({
      format: "jwk",
      key: {
        kty: "EC",
        crv: curve,
        d: padded.toString("base64url"),
        x: point.subarray(1, 1 + bytes).toString("base64url"),
        y: point.subarray(1 + bytes).toString("base64url"),
      },
    });
  } catch (cause) {
    throw new DataError("EC private key: not from 1 to the order of the curve", { cause });
  } finally {
    wipe(padded);
  }
}

const generate = promisify(generateKeyPair);

/**
 * Generates an RSA key, off the main thread.
 * @param publicExponent Odd, 3 to 2^32 - 1.
 * @throws {DataError} for invalid numbers.
 */
export async function generateRsaKey(modulusBits: number, publicExponent: number): Promise<HostPrivateKey> {
  try {
    const { privateKey } = await inThreadPool(generate("rsa", { modulusLength: modulusBits, publicExponent }));
    return new HostPrivateKey(privateKey);
  } catch (cause) {
    throw new DataError(`cannot generate an RSA key of ${modulusBits} bits with exponent ${publicExponent}`, { cause });
  }
}

export async function generateEcKey(curve: NamedCurve): Promise<HostPrivateKey> {
  const { privateKey } = await generate("ec", { namedCurve: curveInfo(curve).openssl });
  return new HostPrivateKey(privateKey);
}

export async function generateCurve25519Key(curve: "Ed25519" | "X25519"): Promise<HostPrivateKey> {
  const { privateKey } = curve === "Ed25519" ? await generate("ed25519") : await generate("x25519");
  return new HostPrivateKey(privateKey);
}
