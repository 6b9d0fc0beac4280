import { DataError } from "../bytes/index.ts";
import { isUri, parseUri } from "../cryptoki/index.ts";
import { TokenError } from "./error.ts";
import type { TokenInfo } from "./pin.ts";

/** Which token is wanted: all that is given must be true of it. */
export interface TokenDescriptionQuery {
  readonly label?: string;
  readonly serialNumber?: string;
  readonly model?: string;
  readonly manufacturerID?: string;
  /** The name of the reader, or a part of it. */
  readonly reader?: string;
  readonly slot?: number;
}

/** A PKCS #11 URI, or a description. */
export type TokenQuery = string | TokenDescriptionQuery;

const NAMES: ReadonlySet<string> = new Set(["label", "serialNumber", "model", "manufacturerID", "reader", "slot"]);

/** What of a description was given. @throws {TokenError} BAD_INPUT for names that a description does not have. */
export function readDescription(query: TokenDescriptionQuery): readonly (readonly [string, unknown])[] {
  const given: unknown = query;
  if (typeof given !== "object" || given === null) {
    throw new TokenError("BAD_INPUT", "a token is named by a PKCS #11 URI (pkcs11:...) or a description");
  }
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  const unknown = entries.find(([name]) => !NAMES.has(name));
  if (unknown) throw new TokenError("BAD_INPUT", `a token has no ${unknown[0]}; there are ${[...NAMES].join(", ")}`);
  return entries;
}

/** Whether a token fits what {@link readDescription} gave. */
export function fits(info: TokenInfo, wanted: readonly (readonly [string, unknown])[]): boolean {
  return wanted.every(([name, value]) =>
    name === "reader" ? info.reader.includes(String(value)) : Reflect.get(info, name) === value,
  );
}

/** The PKCS #11 URI of a token. @throws {TokenError} BAD_INPUT for other text, and for a URI that holds a PIN. */
export function readTokenUri(text: string): ReturnType<typeof parseUri> {
  if (!isUri(text))
    throw new TokenError("BAD_INPUT", "a token is named by a PKCS #11 URI (pkcs11:...) or a description");
  try {
    const uri = parseUri(text);
    if (uri.pinValue === undefined) return uri;
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", cause.message, { cause });
  }
  throw new TokenError("BAD_INPUT", "a URI with pin-value is not taken: give a PIN source");
}
