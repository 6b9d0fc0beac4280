import { ctr, cbc, ecb, gcm, aeskw, aeskwp } from "@noble/ciphers/aes.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { hmac } from "@noble/hashes/hmac.js";
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha224, sha256, sha384, sha512, sha512_224, sha512_256 } from "@noble/hashes/sha2.js";
import { sha3_224, sha3_256, sha3_384, sha3_512 } from "@noble/hashes/sha3.js";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import {
  AuthenticationError,
  type BlockStream,
  ecPublicKey,
  encodePublicKey,
  type HashName,
  type HostCipherOptions,
  type HostCrypto,
  type HostHash,
  type HostKey,
  type NamedCurve,
  type RsaPublicKey,
} from "../../src/crypto/index.ts";

const HASHES = {
  md5,
  sha1,
  sha224,
  sha256,
  sha384,
  sha512,
  "sha512-224": sha512_224,
  "sha512-256": sha512_256,
  "sha3-224": sha3_224,
  "sha3-256": sha3_256,
  "sha3-384": sha3_384,
  "sha3-512": sha3_512,
} as const satisfies Record<HashName, unknown>;
const CURVES = { "P-256": p256, "P-384": p384, "P-521": p521 } as const;

const missing = (what: string) => (): never => {
  throw new DataError(`this host has no ${what}`);
};

/** Cryptography for a browser: WebCrypto, and noble where WebCrypto takes no messages in parts or hashes by itself. */
export const webHost: HostCrypto = {
  createHash: (hash) => hostHash(HASHES[hash].create()),
  createHmac(hash, key) {
    const mac = hmac.create(HASHES[hash], key);
    return { update: (part) => void mac.update(part), digest: () => mac.digest() };
  },
  fillRandom: (bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>),
  isSameSecret: (a, b) => a.reduce((difference, byte, index) => difference | (byte ^ (b[index] ?? 0)), 0) === 0,
  createCipher: blocks,
  sealGcm({ key, nonce, additional, tagLength }) {
    if (tagLength !== 16) throw new DataError("this host has tags of 16 bytes only");
    const parts: Uint8Array[] = [];
    return {
      update(part) {
        parts.push(part.slice());
        return new Uint8Array();
      },
      final: () => gcm(key, nonce, additional).encrypt(concat(...parts)),
    };
  },
  openGcm({ key, nonce, additional }) {
    const parts: Uint8Array[] = [];
    return {
      update(part) {
        parts.push(part.slice());
        return new Uint8Array();
      },
      final(tag) {
        try {
          return gcm(key, nonce, additional).decrypt(concat(...parts, tag));
        } catch (cause) {
          throw new AuthenticationError("the tag is not the message's", { cause });
        }
      },
    };
  },
  encryptCcm: missing("CCM"),
  decryptCcm: missing("CCM"),
  wrapKey: (padded, key, data) => (padded ? aeskwp : aeskw)(key).encrypt(data),
  unwrapKey: (padded, key, wrapped) => (padded ? aeskwp : aeskw)(key).decrypt(wrapped),
  async pbkdf2(hash, password, salt, iterations, length) {
    const key = await crypto.subtle.importKey("raw", Uint8Array.from(password), "PBKDF2", false, ["deriveBits"]);
    const name = { sha1: "SHA-1", sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" }[hash as string];
    if (name === undefined) throw new DataError(`this host has no PBKDF2 with ${hash}`);
    const algorithm = { name: "PBKDF2", hash: name, salt: Uint8Array.from(salt), iterations };
    return new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, 8 * length));
  },
  gunzip: decompress,
  rsaPublic,
  verifyEddsa: ({ point }, message, signature) => ed25519.verify(signature, message, point),
  importPrivateKey(form) {
    if ("curve" in form) return new EcKey(form.curve, form.secret.slice());
    throw new DataError("this host imports EC keys by their numbers only");
  },
  generateKey(kind) {
    if (kind.type !== "ec") throw new DataError("this host makes EC keys only");
    return new EcKey(kind.curve, CURVES[kind.curve].utils.randomSecretKey());
  },
  isPrime: missing("test of primes"),
};

interface NobleHash {
  update(part: Uint8Array): unknown;
  digest(): Uint8Array;
  clone(): NobleHash;
}

function hostHash(hash: NobleHash): HostHash {
  return {
    update: (part) => void hash.update(part),
    digest: () => hash.digest(),
    copy: () => hostHash(hash.clone()),
  };
}

/** All at the end: enough for what cards and their tests need. */
function blocks({ direction, cipher, mode, key, iv, padding }: HostCipherOptions): BlockStream {
  if (cipher !== "aes") throw new DataError("this host has no 3DES");
  const options = { disablePadding: !padding };
  const none = new Uint8Array();
  const make = {
    ecb: () => ecb(key, options),
    cbc: () => cbc(key, iv ?? none, options),
    ctr: () => ctr(key, iv ?? none),
  };
  if (mode === "ecb" && !padding) {
    return { update: (part) => make.ecb()[direction](part), final: () => none };
  }
  let all: Uint8Array = none;
  return {
    update(part) {
      all = concat(all, part);
      return none;
    },
    final: () => make[mode]()[direction](all),
  };
}

async function decompress(bytes: Uint8Array, maxLength: number): Promise<Uint8Array> {
  const format = bytes[0] === 0x1f ? "gzip" : "deflate";
  const reader = new Blob([Uint8Array.from(bytes)]).stream().pipeThrough(new DecompressionStream(format)).getReader();
  let all: Uint8Array = new Uint8Array();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      all = concat(all, next.value as Uint8Array);
      if (all.length > maxLength) throw new RangeError("too long");
    }
  } catch (cause) {
    throw new DataError(`compressed data: damaged, or more than ${maxLength} bytes`, { cause });
  }
  return all;
}

const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

function rsaPublic({ modulus, publicExponent }: RsaPublicKey, block: Uint8Array): Uint8Array {
  const n = toNumber(modulus);
  let [result, square] = [1n, toNumber(block)];
  if (square >= n) throw new DataError("RSA: the block is not less than the modulus");
  for (let rest = toNumber(publicExponent); rest > 0n; rest >>= 1n, square = (square * square) % n) {
    if (rest & 1n) result = (result * square) % n;
  }
  return fromHex(result.toString(16).padStart(2 * modulus.length, "0"));
}

class EcKey implements HostKey {
  readonly #curve: NamedCurve;
  readonly #secret: Uint8Array;

  constructor(curve: NamedCurve, secret: Uint8Array) {
    this.#curve = curve;
    this.#secret = secret;
  }

  publicKey(): Uint8Array {
    return encodePublicKey(ecPublicKey(this.#curve, CURVES[this.#curve].getPublicKey(this.#secret, false)));
  }

  secret(): Uint8Array {
    return this.#secret.slice();
  }

  agree(peer: Uint8Array): Uint8Array {
    const length = 1 + 2 * this.#secret.length;
    return CURVES[this.#curve].getSharedSecret(this.#secret, peer.slice(-length)).slice(1);
  }

  readonly pkcs8 = missing("PKCS #8");
  readonly rsaNumbers = missing("RSA keys");
  readonly rsaRaw = missing("RSA keys");
  readonly signEddsa = missing("Ed25519 keys");
}
