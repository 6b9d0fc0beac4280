import { concatSecret, DataError, fromHex, wipe } from "../../bytes/index.ts";
import { curveInfo, type NamedCurve } from "../codec/elliptic-curve.ts";
import { inverse, modulo, power, toBytes, toNumber } from "../codec/modular.ts";
import { encodePublicKey, parsePublicKey, type PublicKey, rsaPublicKey } from "../codec/public-key.ts";
import { hostCrypto } from "./current.ts";
import { randomBytes } from "./digests.ts";
import type { HashName } from "../codec/hashes.ts";
import type { HostKey, HostSigner, RsaPrivateNumbers } from "./host-crypto.ts";
import { checkedPoint, signEcdsa } from "./verify.ts";

/** The primes may be left out: they follow from the others. */
type SomeRsaNumbers = Pick<RsaPrivateNumbers, "modulus" | "publicExponent" | "privateExponent"> &
  Partial<RsaPrivateNumbers>;

/** The longest key that the host computes with: the time grows with the third power, and everybody waits. */
const MAX_MODULUS_BITS = 4096;

/**
 * All numbers of a key, of 4096 bits at most. The primes may be left out: they follow from the others.
 * @throws {DataError} if the numbers are not those of one key.
 */
function completeRsaNumbers(numbers: SomeRsaNumbers): RsaPrivateNumbers {
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
  const part = (value: bigint): Uint8Array => toBytes(value, Math.ceil(value.toString(16).length / 2));
  return {
    modulus,
    publicExponent,
    privateExponent: part(d),
    prime1: part(p),
    prime2: part(q),
    exponent1: part(modulo(d, p - 1n)),
    exponent2: part(modulo(d, q - 1n)),
    coefficient: part(inverse(modulo(q, p), p)),
  };
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

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

/** What the host computes with a private key, as cards do: the paddings around it are made elsewhere. */
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
  #key: HostKey | undefined;

  constructor(key: HostKey) {
    this.#key = key;
    this.publicKey = parsePublicKey(key.publicKey());
    if (this.publicKey.type === "rsa" && this.publicKey.pss !== undefined) {
      throw new DataError("private key: no PKCS #8 for RSASSA-PSS alone; give the key as rsaEncryption");
    }
  }

  /** PKCS #8 PrivateKeyInfo, DER, not encrypted (RFC 5958). @throws {DataError} if it is none of a type that is known here. */
  static fromPkcs8(der: Uint8Array): HostPrivateKey {
    return new HostPrivateKey(hostCrypto().importPrivateKey({ pkcs8: der }));
  }

  static fromRsaNumbers(numbers: SomeRsaNumbers): HostPrivateKey {
    const rsa = completeRsaNumbers(numbers);
    try {
      return new HostPrivateKey(hostCrypto().importPrivateKey({ rsa }));
    } finally {
      wipe(rsa.privateExponent, rsa.prime1, rsa.prime2, rsa.exponent1, rsa.exponent2, rsa.coefficient);
    }
  }

  /** @param secret Most significant byte first, at most as long as the order. */
  static fromEcSecret(curve: NamedCurve, secret: Uint8Array): HostPrivateKey {
    const { bytes } = curveInfo(curve);
    if (secret.length > bytes) throw new DataError(`EC private key: ${secret.length} bytes, ${bytes} at most`);
    const padded = new Uint8Array(bytes);
    padded.set(secret, bytes - secret.length);
    try {
      return new HostPrivateKey(hostCrypto().importPrivateKey({ curve, secret: padded }));
    } finally {
      wipe(padded);
    }
  }

  /** The 32 bytes of RFC 8032 (Ed25519) or RFC 7748 (X25519). */
  static fromSeed(curve: "Ed25519" | "X25519", seed: Uint8Array): HostPrivateKey {
    if (seed.length !== 32) throw new DataError(`${curve} private key: ${seed.length} bytes instead of 32`);
    const der = concatSecret(SEED_PREFIX[curve], seed);
    try {
      return HostPrivateKey.fromPkcs8(der);
    } finally {
      wipe(der);
    }
  }

  get primitives(): readonly HostPrimitive[] {
    return PRIMITIVES[this.publicKey.type];
  }

  /** PKCS #8 PrivateKeyInfo, DER; the caller's to wipe. */
  toPkcs8(): Uint8Array {
    return this.#required().pkcs8();
  }

  /** @throws {DataError} for a key that is not RSA. */
  rsaNumbers(): RsaPrivateNumbers {
    return this.#required().rsaNumbers();
  }

  /** The secret number of an EC key, or the seed of an Edwards or Montgomery key; the caller's to wipe. */
  secret(): Uint8Array {
    return this.#required().secret();
  }

  /**
   * @param input rsa-raw: a block as long as the modulus. ecdsa: a digest, as truncateDigest leaves it. ecdh: the other public
   *   key's point. eddsa: the message.
   * @throws {DataError} for input that the key does not take, a primitive that it has not, and after {@link wipe}.
   */
  async compute(primitive: HostPrimitive, input: Uint8Array): Promise<Uint8Array> {
    const key = this.#required();
    if (!this.primitives.includes(primitive)) throw new DataError(`a key of this type does not support ${primitive}`);
    try {
      switch (primitive) {
        case "rsa-raw":
          return await key.rsaRaw(input);
        case "ecdsa":
          return await this.#ecdsa(input);
        case "ecdh":
          return await key.agree(encodePublicKey(withPoint(this.publicKey, input)));
        case "eddsa":
          return await key.signEddsa(input);
      }
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError(`${primitive}: the host's cryptography refuses it`, { cause });
    }
  }

  /** ECDSA over a message in parts, which the host hashes; undefined for other keys, and if the host signs digests only. */
  ecdsaSigner(hash: HashName): HostSigner | undefined {
    return this.publicKey.type === "ec" ? this.#required().createEcdsaSigner?.(hash) : undefined;
  }

  async #ecdsa(hashed: Uint8Array): Promise<Uint8Array> {
    const { publicKey } = this;
    if (publicKey.type !== "ec") throw new DataError("not an EC key");
    const secret = this.secret();
    try {
      return await signEcdsa(publicKey.curve, secret, hashed);
    } finally {
      wipe(secret);
    }
  }

  /** The key is let go of. Node overwrites it when it is collected. */
  wipe(): void {
    this.#key = undefined;
  }

  #required(): HostKey {
    if (!this.#key) throw new DataError("the key was destroyed");
    return this.#key;
  }
}

function withPoint(own: PublicKey, point: Uint8Array): PublicKey {
  if (own.type === "ec")
    return { type: "ec", curve: own.curve, point: checkedPoint({ type: "ec", curve: own.curve, point }) };
  if (own.type === "montgomery") return { type: "montgomery", curve: own.curve, point };
  throw new DataError("the key cannot agree on secrets");
}

/** PKCS #8 up to the seed (RFC 8410 section 7). */
const SEED_PREFIX = {
  Ed25519: fromHex("302e020100300506032b657004220420"),
  X25519: fromHex("302e020100300506032b656e04220420"),
} as const;

/**
 * Makes an RSA key, off the main thread.
 * @param publicExponent Odd, 3 to 2^32 - 1.
 * @throws {DataError} for numbers that no key can have.
 */
export async function generateRsaKey(modulusBits: number, publicExponent: number): Promise<HostPrivateKey> {
  try {
    return new HostPrivateKey(await hostCrypto().generateKey({ type: "rsa", modulusBits, publicExponent }));
  } catch (cause) {
    throw new DataError(`cannot generate an RSA key of ${modulusBits} bits with exponent ${publicExponent}`, { cause });
  }
}

export async function generateEcKey(curve: NamedCurve): Promise<HostPrivateKey> {
  return new HostPrivateKey(await hostCrypto().generateKey({ type: "ec", curve }));
}

export async function generateCurve25519Key(curve: "Ed25519" | "X25519"): Promise<HostPrivateKey> {
  return new HostPrivateKey(await hostCrypto().generateKey({ type: "25519", curve }));
}
