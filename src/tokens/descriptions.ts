import { DataError, fromHex } from "../bytes/index.ts";
import { isUri, parseUri } from "../cryptoki/index.ts";
import { TokenError } from "./error.ts";

/** @throws {TokenError} BAD_INPUT for a description that is none: callers in JavaScript have no types. */
export function requireDescription(query: object, what: string, texts: readonly string[]): void {
  const given: unknown = query;
  if (typeof given !== "object" || given === null) {
    throw new TokenError("BAD_INPUT", `${what} is named by a PKCS #11 URI (pkcs11:...) or a description`);
  }
  for (const name of texts) {
    const value: unknown = Reflect.get(given, name);
    if (value === undefined || typeof value === "string") continue;
    throw new TokenError("BAD_INPUT", `${name} of a description is text, not ${typeof value}`);
  }
}

/** CKA_ID as a caller gives it. @throws {TokenError} BAD_INPUT for text that is not hexadecimal. */
export function readId(id: string | Uint8Array | undefined): Uint8Array | undefined {
  if (id === undefined || id instanceof Uint8Array) return id;
  if (typeof id !== "string")
    throw new TokenError("BAD_INPUT", `an id is CKA_ID as hexadecimal text or a Uint8Array, not ${typeof id}`);
  try {
    return fromHex(id);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", `an id is CKA_ID in hexadecimal; "${id}" is not`, { cause });
  }
}

/**
 * What a PKCS #11 URI says of an object.
 * @throws {TokenError} BAD_INPUT for text that is no URI, and one that holds a PIN.
 */
export function readObjectUri(
  text: string,
  what: string,
): { readonly id: Uint8Array | undefined; readonly label: string | undefined } {
  if (!isUri(text))
    throw new TokenError("BAD_INPUT", `${what} is named by a PKCS #11 URI (pkcs11:...) or a description`);
  try {
    const { id, object, pinValue } = parseUri(text);
    if (pinValue !== undefined)
      throw new TokenError("BAD_INPUT", "a URI with pin-value is not taken: give a PIN source");
    return { id, label: object };
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", cause.message, { cause });
  }
}
