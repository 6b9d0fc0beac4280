import { concatSecret, copySecret, DataError, wipe } from "../../bytes/index.ts";
import { hostCrypto } from "./current.ts";

/** The integrity check values of RFC 3394 section 2.2.3 and RFC 5649 section 3. */
const IV = {
  plain: Uint8Array.of(0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6),
  padded: Uint8Array.of(0xa6, 0x59, 0x59, 0xa6),
} as const;
const SEMIBLOCK = 8;

/**
 * plain: AES Key Wrap, of a multiple of 8 bytes, at least 16 (RFC 3394). padded: of any length but 0 (RFC 5649). pkcs7:
 * plain, after padding to a multiple of 8 bytes as in CBC_PAD.
 */
export type KeyWrap = keyof typeof IV | "pkcs7";

/** @throws {DataError} for a wrapping key that is no AES key, or data of a length that cannot be wrapped. */
export function wrapKey(form: KeyWrap, key: Uint8Array, data: Uint8Array, iv = defaultIv(form)): Uint8Array {
  if (form === "pkcs7") {
    const whole = padded(data);
    try {
      return wrapKey("plain", key, whole, iv);
    } finally {
      wipe(whole);
    }
  }
  if (data.length === 0 || (form === "plain" && (data.length < 16 || data.length % SEMIBLOCK !== 0))) {
    throw new DataError(`key wrap: ${data.length} bytes cannot be wrapped in this mode`);
  }
  return hostCrypto().wrapKey(form === "padded", checkedKey(key), data, iv);
}

/** @throws {DataError} if it was wrapped with another key, or changed since. */
export function unwrapKey(form: KeyWrap, key: Uint8Array, wrapped: Uint8Array, iv = defaultIv(form)): Uint8Array {
  if (form === "pkcs7") {
    const whole = unwrapKey("plain", key, wrapped, iv);
    try {
      return withoutPadding(whole);
    } finally {
      wipe(whole);
    }
  }
  const shortest = form === "plain" ? 24 : 16;
  if (wrapped.length < shortest || wrapped.length % SEMIBLOCK !== 0) {
    throw new DataError(`key wrap: ${wrapped.length} bytes cannot be a wrapped key`);
  }
  return hostCrypto().unwrapKey(form === "padded", checkedKey(key), wrapped, iv);
}

const defaultIv = (form: KeyWrap): Uint8Array => IV[form === "pkcs7" ? "plain" : form];

/** PKCS #7 (RFC 5652 section 6.3): as many bytes as are missing, each of them that number. */
function padded(data: Uint8Array): Uint8Array {
  const missing = SEMIBLOCK - (data.length % SEMIBLOCK);
  return concatSecret(data, new Uint8Array(missing).fill(missing));
}

/** The wrapped data are authentic, so an error in their padding reveals nothing. */
function withoutPadding(whole: Uint8Array): Uint8Array {
  const count = whole.at(-1) ?? 0;
  if (count < 1 || count > SEMIBLOCK || whole.subarray(-count).some((byte) => byte !== count)) {
    throw new DataError("key wrap: wrong padding");
  }
  return copySecret(whole.subarray(0, whole.length - count));
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (![16, 24, 32].includes(key.length)) throw new DataError(`aes key: ${key.length} bytes`);
  return key;
}
