import { createCipheriv, createDecipheriv } from "node:crypto";
import { concat, DataError } from "../bytes/index.ts";

/** The integrity check values of RFC 3394 section 2.2.3 and RFC 5649 section 3. */
const IV = { plain: Buffer.alloc(8, 0xa6), padded: Buffer.from("a65959a6", "hex") } as const;

/** plain: AES Key Wrap, of whole 8 bytes, 16 at least (RFC 3394). padded: of any length but 0 (RFC 5649). */
export type KeyWrap = keyof typeof IV;

/** @throws {DataError} for a wrapping key that is no AES key, or data of a length that cannot be wrapped. */
export function wrapKey(form: KeyWrap, key: Uint8Array, data: Uint8Array, iv: Uint8Array = IV[form]): Uint8Array {
  if (data.length === 0 || (form === "plain" && (data.length < 16 || data.length % 8 !== 0))) {
    throw new DataError(`key wrap: ${data.length} bytes cannot be wrapped so`);
  }
  return refusing(() => {
    const cipher = createCipheriv(nameOf(form, key), key, iv);
    return concat(cipher.update(data), cipher.final());
  });
}

/** @throws {DataError} if it was wrapped with another key, or changed on the way. */
export function unwrapKey(form: KeyWrap, key: Uint8Array, wrapped: Uint8Array, iv: Uint8Array = IV[form]): Uint8Array {
  const shortest = form === "plain" ? 24 : 16;
  if (wrapped.length < shortest || wrapped.length % 8 !== 0) {
    throw new DataError(`key wrap: ${wrapped.length} bytes are no wrapped key`);
  }
  return refusing(() => {
    const decipher = createDecipheriv(nameOf(form, key), key, iv);
    return concat(decipher.update(wrapped), decipher.final());
  });
}

function nameOf(form: KeyWrap, key: Uint8Array): string {
  if (![16, 24, 32].includes(key.length)) throw new DataError(`aes key: ${key.length} bytes`);
  return `id-aes${key.length * 8}-wrap${form === "padded" ? "-pad" : ""}`;
}

function refusing(work: () => Uint8Array): Uint8Array {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError("key wrap: not wrapped with this key, or changed since", { cause });
  }
}
