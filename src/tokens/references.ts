import { fromHex, toHex } from "../bytes/index.ts";
import type { TokenDescription } from "../cryptoki/index.ts";
import { TokenError } from "./error.ts";

/** Key references of PIV in the order of their CKA_IDs, from 1 (SP 800-73-4 part 1 table 4b; the numbering that OpenSC and ykcs11 share). */
const REFERENCES: readonly string[] = [
  ...["9a", "9c", "9d", "9e"],
  ...Array.from({ length: 20 }, (_, index) => (0x82 + index).toString(16)),
];

type Named = Pick<TokenDescription, "model" | "manufacturerID">;

/** Whether the keys of a token have the names of PIV: by its model, also as ykcs11 and OpenSC write it. */
export function hasReferences({ model, manufacturerID }: Named): boolean {
  return /PIV|YubiKey/u.test(model) || manufacturerID === "piv_II";
}

/** @throws {TokenError} BAD_INPUT for a reference that is none. */
export function requireReference(reference: string): void {
  if (typeof reference === "string" && /^[0-9a-f]{2}$/iu.test(reference)) return;
  throw new TokenError("BAD_INPUT", `a reference is the card's own name of a key, such as 9a; "${reference}" is none`);
}

/**
 * The CKA_ID of the key with this reference.
 * @throws {TokenError} BAD_INPUT for a token whose keys have no references, and for one that PIV does not have.
 */
export function idOfReference(reference: string, token: Named): Uint8Array {
  if (!hasReferences(token))
    throw new TokenError("BAD_INPUT", "the keys of this token have no references; name them by `id`");
  const index = REFERENCES.indexOf(reference.toLowerCase());
  if (index === -1)
    throw new TokenError("BAD_INPUT", `no reference "${reference}": there are 9a, 9c, 9d, 9e, and 82 to 95`);
  return fromHex((index + 1).toString(16).padStart(2, "0"));
}

/** The reference of the key with this CKA_ID; undefined where keys have none. */
export function referenceOfId(id: Uint8Array, token: Named): string | undefined {
  return hasReferences(token) && id.length === 1 ? REFERENCES[Number.parseInt(toHex(id), 16) - 1] : undefined;
}
