import type { Command } from "commander";
import { fromHex, toHex } from "../../bytes/index.ts";
import { UsageError } from "../output/failures.ts";
import { hexArgument } from "./files.ts";
import type { Token } from "./token.ts";

/** Options that name a key's place on a card. */
export interface KeyPlaceOptions {
  readonly reference?: string;
  readonly id?: string;
}

export function keyPlaceOptions(command: Command, what: string): Command {
  return command
    .option("--reference <name>", `a PIV card's own name of ${what}: 9a, 9c, 9d, 9e, or 82 to 95`)
    .option("--id <hex>", `the CKA_ID of ${what}; on a PIV card also its own name`);
}

/** Key references of PIV in the order of their CKA_IDs, from 1 (SP 800-73-4 part 1 table 4b; the numbering that OpenSC and ykcs11 share). */
const REFERENCES: readonly string[] = [
  "9a",
  "9c",
  "9d",
  "9e",
  ...Array.from({ length: 20 }, (_, index) => (0x82 + index).toString(16)),
];

/** Whether the keys of a token have the names of PIV, by its model, also as ykcs11 and OpenSC write it. */
const hasPivNames = ({ model, manufacturerID }: Pick<Token, "model" | "manufacturerID">): boolean =>
  /PIV|YubiKey/u.test(model) || manufacturerID === "piv_II";

/** The card's own name of the key with a CKA_ID; undefined on cards whose keys have none. */
export function referenceOf(token: Pick<Token, "model" | "manufacturerID">, id: Uint8Array): string | undefined {
  return hasPivNames(token) && id.length === 1 ? REFERENCES[(id[0] ?? 0) - 1] : undefined;
}

/**
 * The CKA_ID that --reference or --id names. CKA_IDs on a PIV card end at 18 (hexadecimal), so 82 and more are its own names there.
 * @throws {UsageError} for a reference that is none, or on a card whose keys have no such names; for two names of different keys.
 */
export function placeOf(token: Token, { reference, id }: KeyPlaceOptions): Uint8Array | undefined {
  const isPiv = hasPivNames(token);
  const ofReference = reference === undefined ? undefined : idOf(reference, isPiv);
  const named = isPiv && id !== undefined && REFERENCES.includes(id.toLowerCase()) ? idOf(id, isPiv) : undefined;
  const ofId = named ?? (id === undefined ? undefined : hexArgument(id, "--id"));
  if (ofReference && ofId && toHex(ofReference) !== toHex(ofId)) {
    throw new UsageError(`--reference ${reference ?? ""} and --id ${id ?? ""} name different keys; leave out one`);
  }
  return ofReference ?? ofId;
}

/** As {@link placeOf}, for a command that wants one. @throws {UsageError} if neither option is given. */
export function requiredPlace(token: Token, options: KeyPlaceOptions): Uint8Array {
  const id = placeOf(token, options);
  if (id) return id;
  throw new UsageError(
    hasPivNames(token) ? "say which key: --reference 9a, 9c, 9d, 9e, or 82 to 95" : "say which key: --id",
  );
}

/** @throws {UsageError} for --label on a PIV card. */
export function refuseLabelOnPiv(token: Token, label: string | undefined): void {
  if (label !== undefined && hasPivNames(token))
    throw new UsageError("--label: a PIV card has no place for one; leave it out");
}

/** The CKA_ID of a key reference. */
function idOf(reference: string, isPiv: boolean): Uint8Array {
  if (!isPiv) throw new UsageError(`--reference ${reference}: only PIV cards have names for their keys; use --id`);
  const index = REFERENCES.indexOf(reference.toLowerCase());
  if (index === -1) throw new UsageError(`--reference ${reference}: a PIV card has 9a, 9c, 9d, 9e, and 82 to 95`);
  return fromHex((index + 1).toString(16).padStart(2, "0"));
}

/** A key in words: "9A (id 01)", "id 45". */
export function placeName(token: Token, id: Uint8Array): string {
  const reference = referenceOf(token, id);
  return reference === undefined ? `id ${toHex(id)}` : `${reference.toUpperCase()} (id ${toHex(id)})`;
}
