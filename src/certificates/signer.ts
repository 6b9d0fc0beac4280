import { digest, type EcPublicKey, encodePublicKey, type PublicKey } from "../crypto/index.ts";
import type { CryptokiFunctions } from "../cryptoki/index.ts";
import { CertificateError } from "./error.ts";

type Crypto = typeof globalThis.crypto;
type CryptoKey = Parameters<Crypto["subtle"]["exportKey"]>[1];

/** As WebCrypto names it. */
interface SignatureAlgorithm {
  readonly name: string;
  readonly hash: string;
}

/** A key as the library for certificates uses it. */
export interface CertificateSigner extends AsyncDisposable {
  readonly crypto: Crypto;
  readonly keys: { privateKey: CryptoKey; publicKey: CryptoKey };
  readonly algorithm: SignatureAlgorithm;
}

const EC_HASHES = {
  "P-256": { name: "SHA-256", hash: "sha256" },
  "P-384": { name: "SHA-384", hash: "sha384" },
  "P-521": { name: "SHA-512", hash: "sha512" },
} as const;

/**
 * How a key signs certificates and requests, as everybody verifies it: PKCS #1 v1.5 with SHA-256, ECDSA with the hash of the curve's
 * length, Ed25519.
 * @param name The key's, for messages: "9A (id 01)".
 * @throws {CertificateError} CANNOT_SIGN for X25519.
 */
export function signatureAlgorithmOf(key: PublicKey, name: string): SignatureAlgorithm {
  switch (key.type) {
    case "rsa":
      return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    case "ec":
      return { name: "ECDSA", hash: EC_HASHES[key.curve].name };
    case "edwards":
      return { name: "Ed25519", hash: "SHA-512" };
    case "montgomery":
      throw new CertificateError(
        "CANNOT_SIGN",
        `the X25519 key in ${name} agrees on secrets, and cannot sign its own request; have its certificate issued without one`,
      );
  }
}

interface TokenKey {
  readonly cryptoki: CryptokiFunctions;
  /** An open session. */
  readonly session: number;
  /** CKA_ID. */
  readonly id: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  /** Asked when the token wants it; it is wiped after use. */
  readonly pin: () => Promise<Uint8Array>;
}

/** Has a key of a token sign with C_Sign. The PIN is asked for when the token wants it. */
export async function tokenSigner({ cryptoki, session, id, algorithm, pin }: TokenKey): Promise<CertificateSigner> {
  const { TokenCrypto } = await import("../webcrypto/index.ts");
  const crypto = await TokenCrypto.open({ cryptoki, session, pin });
  try {
    const keys = await crypto.keyStorage.pair({ id, algorithm });
    return { crypto, keys, algorithm, [Symbol.asyncDispose]: () => crypto[Symbol.asyncDispose]() };
  } catch (error) {
    await crypto[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Has an EC key sign with another command than C_Sign: one whose CKA_SIGN is false, and which its card uses for signing all the same.
 * @param sign Given the digest, returns r and s, each as long as the order.
 */
export async function primitiveSigner(
  publicKey: EcPublicKey,
  sign: (digest: Uint8Array) => Promise<Uint8Array>,
): Promise<CertificateSigner> {
  const { name, hash } = EC_HASHES[publicKey.curve];
  return externalSigner(publicKey, { name: "ECDSA", hash: name }, (data) => sign(digest(hash, data)));
}

/**
 * Has anything sign: a key that is not one of WebCrypto.
 * @param sign Given the data; of ECDSA it returns r and s, each as long as the order.
 */
export async function externalSigner(
  publicKey: PublicKey,
  algorithm: SignatureAlgorithm,
  sign: (data: Uint8Array) => Promise<Uint8Array>,
): Promise<CertificateSigner> {
  const host = globalThis.crypto;
  const named = publicKey.type === "ec" ? { name: "ECDSA", namedCurve: publicKey.curve } : algorithm;
  const imported = await host.subtle.importKey("spki", encodePublicKey(publicKey).slice(), named, true, ["verify"]);
  const signed = async (_algorithm: unknown, _key: unknown, data: ArrayBuffer): Promise<ArrayBuffer> =>
    (await sign(new Uint8Array(data))).slice().buffer;
  const subtle = replaced(host.subtle, "sign", signed);
  return {
    crypto: replaced(host, "subtle", subtle),
    // The library passes the private key on, and looks at its algorithm only: the public one stands for it.
    keys: { privateKey: imported, publicKey: imported },
    algorithm,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** `whole` with another member; the host's methods are called on the host's own object. */
function replaced<T extends object>(whole: T, member: keyof T & string, by: unknown): T {
  return new Proxy(whole, {
    get: (target, name): unknown => {
      if (name === member) return by;
      const own: unknown = Reflect.get(target, name);
      return typeof own === "function" ? (own.bind(target) as unknown) : own;
    },
  });
}
