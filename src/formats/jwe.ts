import type * as jose from "jose";
import type { CallOptions } from "../async/index.ts";
import { concat, fromBase64Url, fromUtf8, utf8, wipe } from "../bytes/index.ts";
import { digest } from "../crypto/index.ts";
import { type Encryption, PublicKey, TokenError } from "../tokens/index.ts";
import type { DecryptingKey } from "./decrypting-key.ts";
import { FormatError, parsing } from "./error.ts";
import { decryptCbc, decryptGcm, hasMac, notDecrypted, unwrapAes } from "./key-unwrapping.ts";
import { loadLibrary } from "./library.ts";

/** Hashes of RSA-OAEP by the algorithms' names (RFC 7518 section 4.3). */
const OAEP: Readonly<Record<string, NonNullable<Encryption["hash"]>>> = {
  "RSA-OAEP": "SHA-1",
  "RSA-OAEP-256": "SHA-256",
  "RSA-OAEP-384": "SHA-384",
  "RSA-OAEP-512": "SHA-512",
};

/** Bytes of the key that wraps the content's (RFC 7518 section 4.6). Zero: the secret itself gives that. */
const ECDH: Readonly<Record<string, number>> = {
  "ECDH-ES": 0,
  "ECDH-ES+A128KW": 16,
  "ECDH-ES+A192KW": 24,
  "ECDH-ES+A256KW": 32,
};

interface ContentRow {
  /** Bytes of the key. */
  readonly length: number;
  /** Of the HMAC, where the content has one of its own (RFC 7518 section 5.2). */
  readonly hash?: string;
}

const CONTENT: Readonly<Record<string, ContentRow>> = {
  A128GCM: { length: 16 },
  A192GCM: { length: 24 },
  A256GCM: { length: 32 },
  "A128CBC-HS256": { length: 32, hash: "SHA-256" },
  "A192CBC-HS384": { length: 48, hash: "SHA-384" },
  "A256CBC-HS512": { length: 64, hash: "SHA-512" },
};

interface Header {
  readonly alg?: unknown;
  readonly enc?: unknown;
  readonly epk?: jose.JWK;
  readonly apu?: unknown;
  readonly apv?: unknown;
}

/**
 * Decrypts a JWE of the compact form (RFC 7516 section 7.1): RSA-OAEP, or ECDH-ES with a key on a P curve or X25519.
 * @returns The plaintext; the caller wipes it.
 * @throws {FormatError} NOT_DECRYPTED; MALFORMED, also for an algorithm that is not taken, such as RSA1_5.
 * @throws {TokenError} KEY_CANNOT for a key of another type; what the key throws.
 */
export async function decryptJwe(key: DecryptingKey, jwe: string, options: CallOptions = {}): Promise<Uint8Array> {
  const { header, row, encoded, wrapped, iv, ciphertext, tag } = parsing("the JWE", () => readJwe(jwe));
  const contentKey = await contentKeyOf(key, header, row, wrapped, options);
  const aad = utf8(encoded);
  try {
    if (contentKey.length !== row.length) throw notDecrypted();
    if (row.hash === undefined) return await decryptGcm(contentKey, iv, concat(ciphertext, tag), aad);
    const half = row.length / 2;
    if (tag.length !== half) throw notDecrypted();
    const bits = new Uint8Array(8);
    new DataView(bits.buffer).setUint32(4, aad.length * 8);
    const authenticated = concat(aad, iv, ciphertext, bits);
    if (!(await hasMac(contentKey.subarray(0, half), row.hash, authenticated, tag))) throw notDecrypted();
    return await decryptCbc(contentKey.subarray(half), iv, ciphertext);
  } finally {
    wipe(contentKey);
  }
}

function readJwe(jwe: string): {
  readonly header: Header;
  readonly row: ContentRow;
  readonly encoded: string;
  readonly wrapped: Uint8Array;
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
} {
  const [encoded = "", ...rest] = jwe.trim().split(".");
  if (rest.length !== 4) throw new Error("it does not have five parts");
  const header = JSON.parse(fromUtf8(fromBase64Url(encoded))) as Header;
  for (const name of ["crit", "zip"]) {
    if (name in header) throw new Error(`"${name}" in its header is not taken`);
  }
  const row = typeof header.enc === "string" && Object.hasOwn(CONTENT, header.enc) ? CONTENT[header.enc] : undefined;
  if (!row) throw new Error(`its content has an encryption that is not taken: ${String(header.enc)}`);
  const [wrapped, iv, ciphertext, tag] = rest.map(fromBase64Url) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  if (row.hash === undefined && (tag.length !== 16 || iv.length !== 12)) throw new Error("its tag or IV is too short");
  return { header, row, encoded, wrapped, iv, ciphertext, tag };
}

async function contentKeyOf(
  key: DecryptingKey,
  header: Header,
  row: ContentRow,
  wrapped: Uint8Array,
  options: CallOptions,
): Promise<Uint8Array> {
  const alg = String(header.alg);
  const { algorithm } = await key.publicKey(options);
  if (Object.hasOwn(OAEP, alg)) {
    if (algorithm.type !== "rsa") throw new TokenError("KEY_CANNOT", `the message is for an RSA key (${alg})`);
    const hash = OAEP[alg];
    return key.decrypt(wrapped, { padding: "oaep", ...(hash && { hash }), ...options });
  }
  const length = Object.hasOwn(ECDH, alg) ? ECDH[alg] : undefined;
  if (length === undefined) throw new FormatError("MALFORMED", `the JWE has an algorithm that is not taken: ${alg}`);
  if (algorithm.type !== "ec" && algorithm.type !== "x25519") {
    throw new TokenError("KEY_CANNOT", `the message is for a key that agrees on secrets (${alg})`);
  }
  const peer = await publicKeyOf(header.epk);
  const secret = await key.deriveSecret(peer, options);
  const derived = concatKdf(secret, length === 0 ? String(header.enc) : alg, length || row.length, header);
  wipe(secret);
  if (length === 0) return derived;
  return unwrapAes(wrapped, derived).finally(() => {
    wipe(derived);
  });
}

/** The sender's key, which was made for this message. */
async function publicKeyOf(jwk: jose.JWK | undefined): Promise<PublicKey> {
  const { subtle } = globalThis.crypto;
  try {
    const { kty, crv = "", x = "", y } = jwk ?? {};
    const algorithm = kty === "OKP" ? { name: crv } : { name: "ECDH", namedCurve: crv };
    const imported = await subtle.importKey(
      "jwk",
      { kty: kty ?? "", crv, x, ...(y !== undefined && { y }) },
      algorithm,
      true,
      [],
    );
    return new PublicKey(new Uint8Array(await subtle.exportKey("spki", imported)));
  } catch (cause) {
    throw new FormatError("MALFORMED", "the JWE has no key of its sender", { cause });
  }
}

/** Concat KDF with SHA-256 (RFC 7518 section 4.6.2, NIST SP 800-56A section 5.8.1). @param length In bytes. */
function concatKdf(secret: Uint8Array, algorithm: string, length: number, { apu, apv }: Header): Uint8Array {
  const number = (value: number): Uint8Array => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return bytes;
  };
  const field = (bytes: Uint8Array): Uint8Array => concat(number(bytes.length), bytes);
  const party = (value: unknown): Uint8Array =>
    field(typeof value === "string" ? fromBase64Url(value) : new Uint8Array());
  const info = concat(field(utf8(algorithm)), party(apu), party(apv), number(length * 8));
  const rounds: Uint8Array[] = [];
  for (let counter = 1; rounds.length * 32 < length; counter++) {
    rounds.push(digest("sha256", concat(number(counter), secret, info)));
  }
  return concat(...rounds).slice(0, length);
}

export interface JweOptions {
  /** Default: A256GCM. */
  readonly enc?: string;
  /** Default: RSA-OAEP-256 for RSA keys, ECDH-ES for keys on a curve. */
  readonly alg?: string;
}

/**
 * Encrypts for the holder of a private key with jose, in the compact form.
 * @throws {TokenError} KEY_CANNOT for Ed25519.
 * @throws {FormatError} LIBRARY_MISSING.
 */
export async function encryptJwe(
  publicKey: PublicKey,
  plaintext: Uint8Array,
  options: JweOptions = {},
): Promise<string> {
  const { type } = publicKey.algorithm;
  if (type === "ed25519") throw new TokenError("KEY_CANNOT", "an Ed25519 key signs; nothing is encrypted for it");
  const { enc = "A256GCM", alg = type === "rsa" ? "RSA-OAEP-256" : "ECDH-ES" } = options;
  const { CompactEncrypt } = await loadLibrary("JOSE", ["jose"], () => import("jose"));
  return new CompactEncrypt(plaintext).setProtectedHeader({ alg, enc }).encrypt({ ...publicKey.toJwk(), alg });
}
