import { DataError, fromBase64Url, toBase64Url, toHex } from "../bytes/index.ts";
import type { KeyPrimitive, KeyUsage } from "../card/index.ts";
import { digest, keyTypeOf, parsePublicKey } from "../crypto/index.ts";
import { FarmError } from "./error.ts";

/** A key as a worker announces it. */
export interface FarmKey {
  /** SHA-256 of {@link publicKey}, hexadecimal. */
  readonly fingerprint: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** X.509, DER; undefined if the card holds none. */
  readonly certificate: Uint8Array | undefined;
  readonly label: string;
  /** CKA_ID on the card. */
  readonly id: Uint8Array;
  readonly usage: KeyUsage;
  readonly primitives: readonly KeyPrimitive[];
}

/** The name of a key in a farm. */
export const fingerprintOf = (publicKey: Uint8Array): string => toHex(digest("sha256", publicKey));

/** The keys of a worker, as JSON. */
export function encodeKeys(keys: readonly FarmKey[]): string {
  return JSON.stringify(
    keys.map(({ publicKey, certificate, id, label, usage, primitives }) => ({
      publicKey: toBase64Url(publicKey),
      ...(certificate && { certificate: toBase64Url(certificate) }),
      id: toBase64Url(id),
      label,
      usage,
      primitives,
    })),
  );
}

/**
 * Reads what a worker announces. The fingerprint is computed here, so that no worker can announce another key under it.
 * @throws {FarmError} BAD_INPUT.
 */
export function decodeKeys(text: string): readonly FarmKey[] {
  try {
    const list = JSON.parse(text) as unknown;
    if (!Array.isArray(list)) throw new DataError("not a list");
    return list.map((one: unknown) => decodeKey(one as Readonly<Record<string, unknown>>));
  } catch (cause) {
    throw new FarmError("BAD_INPUT", "a worker's list of keys is malformed", { cause });
  }
}

function decodeKey(one: Readonly<Record<string, unknown>>): FarmKey {
  const publicKey = fromBase64Url(String(one["publicKey"]));
  keyTypeOf(publicKey);
  const usage = one["usage"] as Partial<KeyUsage> | undefined;
  const { certificate, primitives } = one;
  return {
    fingerprint: fingerprintOf(publicKey),
    publicKey,
    certificate: typeof certificate === "string" ? fromBase64Url(certificate) : undefined,
    label: String(one["label"]),
    id: fromBase64Url(String(one["id"])),
    usage: { sign: usage?.sign === true, decrypt: usage?.decrypt === true, derive: usage?.derive === true },
    primitives: Array.isArray(primitives) ? primitives.map((name) => String(name) as KeyPrimitive) : [],
  };
}

/** Bytes of the modulus of an RSA key. */
export function modulusLength(publicKey: Uint8Array): number | undefined {
  const key = parsePublicKey(publicKey);
  return key.type === "rsa" ? key.modulus.length : undefined;
}
