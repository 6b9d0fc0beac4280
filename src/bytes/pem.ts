import { DataError } from "./bytes.ts";

/** Base64 with padding (RFC 4648 section 4). */
function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** Base64 for URLs and file names, without padding (RFC 4648 section 5). */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Encodes DER as a block of PEM (RFC 7468), in lines of 64 characters, with a final line end. */
export function encodePem(label: string, der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/gu) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/**
 * The content of the first block of PEM with this label; undefined if the text has none.
 * @param label Capital letters, digits and spaces.
 * @throws {DataError} for a block that is not base64.
 */
export function decodePem(label: string, text: string): Uint8Array | undefined {
  const block = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----`, "u").exec(text);
  const body = block?.[1]?.replaceAll(/\s/gu, "");
  if (!body) return undefined;
  try {
    return Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw new DataError(`${label}: the block of PEM is not base64`, { cause });
  }
}

/** Reads {@link toBase64Url}. @throws {DataError} for text that is not such base64. */
export function fromBase64Url(text: string): Uint8Array {
  if (!/^[A-Za-z0-9_-]*$/u.test(text)) throw new DataError("not base64url");
  try {
    const standard = text.replaceAll("-", "+").replaceAll("_", "/");
    return Uint8Array.from(atob(standard), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw new DataError("not base64url", { cause });
  }
}
