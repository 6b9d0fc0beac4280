import { equalBytes } from "../bytes/index.ts";
import { FormatError } from "./error.ts";
import { buffer } from "./pki.ts";

/** What every failure says that could tell something of a key or a plaintext. */
export const notDecrypted = (cause?: unknown): FormatError =>
  new FormatError("NOT_DECRYPTED", "the message is not for this key, or it was altered", { cause });

/** Takes AES key wrap off a key (RFC 3394). @throws {FormatError} NOT_DECRYPTED. */
export async function unwrapAes(wrapped: Uint8Array, kek: Uint8Array): Promise<Uint8Array> {
  const { subtle } = globalThis.crypto;
  try {
    const key = await subtle.importKey("raw", buffer(kek), "AES-KW", false, ["unwrapKey"]);
    // WebCrypto unwraps keys of a known use only; an HMAC key may have any length.
    const use = { name: "HMAC", hash: "SHA-256" };
    const unwrapped = await subtle.unwrapKey("raw", buffer(wrapped), key, "AES-KW", use, true, ["sign"]);
    return new Uint8Array(await subtle.exportKey("raw", unwrapped));
  } catch (cause) {
    throw notDecrypted(cause);
  }
}

/** @throws {FormatError} NOT_DECRYPTED. */
export async function decryptCbc(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array> {
  const { subtle } = globalThis.crypto;
  try {
    const imported = await subtle.importKey("raw", buffer(key), "AES-CBC", false, ["decrypt"]);
    return new Uint8Array(await subtle.decrypt({ name: "AES-CBC", iv: buffer(iv) }, imported, buffer(ciphertext)));
  } catch (cause) {
    throw notDecrypted(cause);
  }
}

/** @param ciphertext With its tag of 16 bytes at the end. @throws {FormatError} NOT_DECRYPTED. */
export async function decryptGcm(
  key: Uint8Array,
  iv: Uint8Array,
  ciphertext: Uint8Array,
  aad: Uint8Array,
): Promise<Uint8Array> {
  const { subtle } = globalThis.crypto;
  try {
    const imported = await subtle.importKey("raw", buffer(key), "AES-GCM", false, ["decrypt"]);
    const algorithm = { name: "AES-GCM", iv: buffer(iv), additionalData: buffer(aad) };
    return new Uint8Array(await subtle.decrypt(algorithm, imported, buffer(ciphertext)));
  } catch (cause) {
    throw notDecrypted(cause);
  }
}

/** Whether the first bytes of an HMAC are `expected`. */
export async function hasMac(key: Uint8Array, hash: string, data: Uint8Array, expected: Uint8Array): Promise<boolean> {
  const { subtle } = globalThis.crypto;
  const imported = await subtle.importKey("raw", buffer(key), { name: "HMAC", hash }, false, ["sign"]);
  const mac = new Uint8Array(await subtle.sign("HMAC", imported, buffer(data)));
  return equalBytes(mac.subarray(0, expected.length), expected);
}
