import type * as x509 from "@peculiar/x509";
import type { Extension, Name } from "@peculiar/x509";
import { copySecret, toHex } from "../bytes/index.ts";
import {
  digest,
  digestInfo,
  encodePkcs1Signature,
  encodePublicKey,
  type HashName,
  type PublicKey,
  randomBytes,
} from "../crypto/index.ts";
import type { KeyPrimitive } from "../card/index.ts";

/** A key on a card that signs: its public half, and the card's own operation. */
export interface CardSigningKey {
  readonly publicKey: PublicKey;
  readonly primitives: readonly KeyPrimitive[];
  readonly use: (primitive: KeyPrimitive, input: Uint8Array) => Promise<Uint8Array>;
}

/** What a certificate or request says besides its key. */
export interface CertificateContents {
  readonly name: Name;
  readonly extensions: readonly Extension[];
}

type X509 = typeof x509;

async function loadX509(): Promise<X509> {
  // @peculiar/x509 finds its parts by decorators, and needs this first.
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

const DAY = 86_400_000;

/** A certificate request (PKCS #10) that the card's key signs, DER. */
export async function makeRequest(key: CardSigningKey, { name, extensions }: CertificateContents): Promise<Uint8Array> {
  const library = await loadX509();
  const { crypto, keys, algorithm } = await signerOf(key);
  const request = await library.Pkcs10CertificateRequestGenerator.create(
    { name, keys, extensions: [...extensions], signingAlgorithm: algorithm },
    crypto,
  );
  return new Uint8Array(request.rawData);
}

/** A certificate that the card's key signs itself, DER, valid from `now`. */
export async function makeSelfSigned(
  key: CardSigningKey,
  { name, extensions }: CertificateContents,
  now: Date,
  days: number,
): Promise<Uint8Array> {
  const library = await loadX509();
  const { crypto, keys, algorithm } = await signerOf(key);
  const notBefore = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const serial = randomBytes(16);
  // Positive, and of its full length.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const certificate = await library.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: toHex(serial),
      name,
      notBefore,
      notAfter: new Date(notBefore.getTime() + days * DAY),
      keys,
      signingAlgorithm: algorithm,
      extensions: [new library.BasicConstraintsExtension(false), ...extensions],
    },
    crypto,
  );
  return new Uint8Array(certificate.rawData);
}

/** Whether a request is signed by the key in it, and its SubjectPublicKeyInfo. @throws an error of the library for one that does not parse. */
export async function readRequest(der: Uint8Array): Promise<{ readonly spki: Uint8Array; readonly isSigned: boolean }> {
  const { Pkcs10CertificateRequest } = await loadX509();
  const request = new Pkcs10CertificateRequest(copySecret(der));
  return { spki: new Uint8Array(request.publicKey.rawData), isSigned: await request.verify(globalThis.crypto) };
}

/** How a type of key signs: the algorithm in WebCrypto's words, and the hash. */
interface Scheme {
  readonly algorithm: { readonly name: string; readonly hash: string; readonly namedCurve?: string };
  readonly hash: HashName;
}

const EC_HASHES = {
  "P-256": { hash: "sha256", name: "SHA-256" },
  "P-384": { hash: "sha384", name: "SHA-384" },
  "P-521": { hash: "sha512", name: "SHA-512" },
} as const;

function schemeOf(key: PublicKey): Scheme {
  switch (key.type) {
    case "rsa":
      return { algorithm: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, hash: "sha256" };
    case "ec": {
      const { hash, name } = EC_HASHES[key.curve];
      return { algorithm: { name: "ECDSA", hash: name, namedCurve: key.curve }, hash };
    }
    case "edwards":
    case "montgomery":
      return { algorithm: { name: "Ed25519", hash: "SHA-512" }, hash: "sha512" };
  }
}

type HostWebCrypto = typeof globalThis.crypto;
type HostCryptoKey = Awaited<ReturnType<HostWebCrypto["subtle"]["importKey"]>>;

interface Signer {
  readonly crypto: HostWebCrypto;
  readonly keys: { readonly publicKey: HostCryptoKey; readonly privateKey: HostCryptoKey };
  readonly algorithm: Scheme["algorithm"];
}

/** The host's WebCrypto, whose signatures the card makes: the library asks it for nothing else of the private key. */
async function signerOf(key: CardSigningKey): Promise<Signer> {
  const { algorithm, hash } = schemeOf(key.publicKey);
  const host = globalThis.crypto;
  const spki = copySecret(encodePublicKey(key.publicKey));
  const publicKey = await host.subtle.importKey("spki", spki, algorithm, true, ["verify"]);
  const sign = async (_algorithm: unknown, _key: unknown, data: ArrayBuffer): Promise<ArrayBuffer> =>
    copySecret(await signWith(key, hash, new Uint8Array(data))).buffer;
  const subtle = replaced(host.subtle, "sign", sign);
  // The private key is only handed on to sign().
  return { crypto: replaced(host, "subtle", subtle), keys: { publicKey, privateKey: publicKey }, algorithm };
}

async function signWith(
  { publicKey, primitives, use }: CardSigningKey,
  hash: HashName,
  data: Uint8Array,
): Promise<Uint8Array> {
  switch (publicKey.type) {
    case "rsa": {
      const info = digestInfo(hash, digest(hash, data));
      if (!primitives.includes("rsa-raw")) return use("rsa-pkcs1", info);
      return use("rsa-raw", encodePkcs1Signature(info, publicKey.modulus.length));
    }
    case "ec":
      return use("ecdsa", digest(hash, data));
    case "edwards":
    case "montgomery":
      return use("eddsa", data);
  }
}

/** `whole` with another member; the host's methods are called on the host's own object. */
function replaced<T extends object>(whole: T, member: keyof T, by: unknown): T {
  return new Proxy(whole, {
    get(target, name): unknown {
      if (name === member) return by;
      const own: unknown = Reflect.get(target, name);
      return typeof own === "function" ? (own.bind(target) as unknown) : own;
    },
  });
}
