import { concat, DataError, equalBytes, toHex, utf8 } from "../bytes/index.ts";
import { digest, ecPublicKey, encodePublicKey, parsePublicKey, type PublicKey } from "../crypto/index.ts";
import { decodeBech32, encodeBech32 } from "./bech32.ts";

/** The name of the plugin: age looks for the program age-plugin-cryptoki. */
const RECIPIENT = "age1cryptoki";
const IDENTITY = "age-plugin-cryptoki-";

/** The first byte of recipients and identities. */
const TYPES = { p256: 1, x25519: 2, rsa: 3 } as const;
export type AgeKeyType = keyof typeof TYPES;

/** Public key for which files are encrypted. An identity holds the same: the private key is on a card. */
export interface AgeKey {
  readonly type: AgeKeyType;
  readonly publicKey: PublicKey;
  /** The public key in a recipient: a compressed point, 32 bytes of X25519, or the SubjectPublicKeyInfo of an RSA key. */
  readonly encoded: Uint8Array;
  /** The first four bytes of its SHA-256, base64: finds the stanza for a key. */
  readonly tag: string;
}

/** @throws {DataError} for a key that is neither on P-256, nor X25519, nor RSA. */
export function ageKey(publicKey: PublicKey): AgeKey {
  const [type, encoded] = encodingOf(publicKey);
  return { type, publicKey, encoded, tag: base64(digest("sha256", encoded).subarray(0, 4)) };
}

function encodingOf(key: PublicKey): readonly [AgeKeyType, Uint8Array] {
  if (key.type === "rsa") return ["rsa", encodePublicKey(key)];
  if (key.type === "montgomery") return ["x25519", key.point];
  if (key.type === "ec" && key.curve === "P-256") return ["p256", compressed(key.point)];
  throw new DataError("age encrypts for keys on P-256, X25519 keys and RSA keys only");
}

/** A point with the sign of y instead of y (SEC 1 section 2.3.3). */
export function compressed(point: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(0x02 | ((point.at(-1) ?? 0) & 1)), point.subarray(1, (1 + point.length) / 2));
}

/** A point of P-256 without its y. @throws {DataError} if it is none. */
export function decompressed(bytes: Uint8Array): PublicKey {
  if (bytes.length !== 33) throw new DataError(`a compressed point of ${bytes.length} bytes instead of 33`);
  // The parser of SubjectPublicKeyInfo knows compressed points; the length of the bit string is one byte here.
  const prefix = encodePublicKey(ecPublicKey("P-256", concat(Uint8Array.of(4), new Uint8Array(64)))).subarray(2, 23);
  const body = concat(prefix, Uint8Array.of(0x03, 1 + bytes.length, 0), bytes);
  return parsePublicKey(concat(Uint8Array.of(0x30, body.length), body));
}

const payload = ({ type, encoded }: AgeKey): Uint8Array => concat(Uint8Array.of(TYPES[type]), encoded);

export const encodeRecipient = (key: AgeKey): string => encodeBech32(RECIPIENT, payload(key));

export const encodeIdentity = (key: AgeKey): string => encodeBech32(IDENTITY, payload(key)).toUpperCase();

/** @throws {DataError} */
export const decodeRecipient = (text: string): AgeKey => decodePayload(decodeBech32(RECIPIENT, text));

/** @throws {DataError} */
export const decodeIdentity = (text: string): AgeKey => decodePayload(decodeBech32(IDENTITY, text));

function decodePayload(bytes: Uint8Array): AgeKey {
  const [type] = bytes;
  const encoded = bytes.subarray(1);
  const key = ageKey(decodeKey(type, encoded));
  if (!equalBytes(key.encoded, encoded)) throw new DataError("a key that is written in another way than here");
  return key;
}

function decodeKey(type: number | undefined, encoded: Uint8Array): PublicKey {
  switch (type) {
    case TYPES.p256:
      return decompressed(encoded);
    case TYPES.x25519:
      if (encoded.length !== 32) throw new DataError(`an X25519 key of ${encoded.length} bytes instead of 32`);
      return { type: "montgomery", curve: "X25519", point: encoded };
    case TYPES.rsa:
      return parsePublicKey(encoded);
    default:
      throw new DataError(`type ${toHex(Uint8Array.of(type ?? 0))} of key, which a later version may know`);
  }
}

/** Base64 without padding, as age writes it. */
export const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replaceAll("=", "");

/** @throws {DataError} for text that {@link base64} does not write. */
export function fromBase64(text: string): Uint8Array {
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    if (base64(bytes) === text) return bytes;
  } catch {
    // Below.
  }
  throw new DataError(`not base64 as age writes it: ${toHex(utf8(text.slice(0, 8)))}`);
}
