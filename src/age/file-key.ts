import { createCipheriv, createDecipheriv } from "node:crypto";
import type { CallOptions } from "../async/index.ts";
import { concat, concatSecret, copySecret, DataError, utf8, wipe } from "../bytes/index.ts";
import { generateCurve25519Key, generateEcKey, hkdfExpand, hkdfExtract, type PublicKey } from "../crypto/index.ts";
import { PublicKey as TokenPublicKey } from "../tokens/parts.ts";
import { type AgeKey, type AgeKeyType, base64, compressed, decompressed, fromBase64 } from "./recipient.ts";
import type { Stanza } from "./stanza.ts";

/** Bytes of the key of a file, and of the tag that ChaCha20-Poly1305 adds. */
const FILE_KEY = 16;
const TAG = 16;
const NONCE = new Uint8Array(12);
const CIPHER = "chacha20-poly1305";

/** Names of stanzas; also HKDF's info and OAEP's label, so that nothing else can be taken for a file key. */
const STANZAS: Readonly<Record<AgeKeyType, string>> = {
  p256: "cryptoki-p256",
  x25519: "cryptoki-x25519",
  rsa: "cryptoki-rsa",
};

/** What a key of a card does for {@link unwrapFileKey}. */
export interface UnwrappingKey {
  deriveSecret(peer: TokenPublicKey, options?: CallOptions): Promise<Uint8Array>;
  decrypt(
    box: Uint8Array,
    options?: { readonly hash: "SHA-256"; readonly label: Uint8Array } & CallOptions,
  ): Promise<Uint8Array>;
}

/** Encrypts the key of a file for the holder of `recipient`. */
export async function wrapFileKey(recipient: AgeKey, fileKey: Uint8Array): Promise<Stanza> {
  if (fileKey.length !== FILE_KEY) throw new DataError(`a file key of ${fileKey.length} bytes instead of ${FILE_KEY}`);
  const name = STANZAS[recipient.type];
  if (recipient.type === "rsa") {
    const key = TokenPublicKey.of(recipient.publicKey);
    const body = await key.encrypt(fileKey, { hash: "SHA-256", label: utf8(name) });
    return { args: [name, recipient.tag], body };
  }
  const { ephemeral, secret } = await agree(recipient.publicKey);
  const key = wrappingKey(name, ephemeral, recipient, secret);
  try {
    const cipher = createCipheriv(CIPHER, key, NONCE, { authTagLength: TAG });
    const body = concat(cipher.update(fileKey), cipher.final(), cipher.getAuthTag());
    return { args: [name, recipient.tag, base64(ephemeral)], body };
  } finally {
    wipe(key);
  }
}

async function agree(peer: PublicKey): Promise<{ readonly ephemeral: Uint8Array; readonly secret: Uint8Array }> {
  if (peer.type === "rsa") throw new DataError("an RSA key agrees on nothing");
  const own = peer.type === "ec" ? await generateEcKey(peer.curve) : await generateCurve25519Key("X25519");
  const { publicKey } = own;
  try {
    if (publicKey.type === "rsa") throw new DataError("an RSA key agrees on nothing");
    const ephemeral = publicKey.type === "ec" ? compressed(publicKey.point) : publicKey.point;
    return { ephemeral, secret: await own.compute("ecdh", peer.point) };
  } finally {
    own.wipe();
  }
}

/** Wipes the secret. */
function wrappingKey(name: string, ephemeral: Uint8Array, { encoded }: AgeKey, secret: Uint8Array): Uint8Array {
  const extracted = hkdfExtract("sha256", concat(ephemeral, encoded), secret);
  wipe(secret);
  const key = hkdfExpand("sha256", extracted, utf8(name), 32);
  wipe(extracted);
  return key;
}

/** Whether a stanza is for this key; tags of different keys may be equal. */
export function isFor(key: AgeKey, { args: [name, tag] }: Stanza): boolean {
  return name === STANZAS[key.type] && tag === key.tag;
}

/**
 * Decrypts the key of a file.
 * @returns 16 bytes; the caller wipes them. Undefined if the stanza is for another key with the same tag.
 * @throws {DataError} for a malformed stanza; what the key throws.
 */
export async function unwrapFileKey(
  identity: AgeKey,
  key: UnwrappingKey,
  stanza: Stanza,
  { signal }: CallOptions = {},
): Promise<Uint8Array | undefined> {
  const name = STANZAS[identity.type];
  const [, , ...rest] = stanza.args;
  if (identity.type === "rsa") {
    if (rest.length > 0) throw new DataError(`${name}: too many arguments`);
    const fileKey = await key.decrypt(stanza.body, { hash: "SHA-256", label: utf8(name), signal });
    if (fileKey.length === FILE_KEY) return fileKey;
    wipe(fileKey);
    throw new DataError(`${name}: a file key of ${fileKey.length} bytes instead of ${FILE_KEY}`);
  }
  if (rest.length !== 1) throw new DataError(`${name}: one ephemeral key is wanted`);
  if (stanza.body.length !== FILE_KEY + TAG) throw new DataError(`${name}: a body of ${stanza.body.length} bytes`);
  const ephemeral = fromBase64(rest[0] ?? "");
  const secret = await key.deriveSecret(TokenPublicKey.of(ephemeralKey(identity.type, ephemeral)), { signal });
  const wrapping = wrappingKey(name, ephemeral, identity, copySecret(secret));
  wipe(secret);
  try {
    const cipher = createDecipheriv(CIPHER, wrapping, NONCE, { authTagLength: TAG });
    cipher.setAuthTag(stanza.body.subarray(FILE_KEY));
    const plain = cipher.update(stanza.body.subarray(0, FILE_KEY));
    try {
      return concatSecret(plain, cipher.final());
    } catch {
      return undefined;
    } finally {
      wipe(plain);
    }
  } finally {
    wipe(wrapping);
  }
}

function ephemeralKey(type: AgeKeyType, bytes: Uint8Array): PublicKey {
  if (type === "p256") return decompressed(bytes);
  if (bytes.length !== 32) throw new DataError(`an ephemeral key of ${bytes.length} bytes instead of 32`);
  return { type: "montgomery", curve: "X25519", point: bytes };
}
