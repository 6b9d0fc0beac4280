import { equalBytes } from "../../bytes/index.ts";
import { UnsupportedError } from "../../card/index.ts";
import type { Pkcs15Application } from "../application.ts";
import type { FileControl } from "../files/file-control.ts";
import { type FilePlace, ownFile } from "../files/place.ts";
import { privateRules } from "./private-rules.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import type { CardTurn } from "../files/turn.ts";

/**
 * Access rules that keep a new file from who has not given the PIN: those of a private file of the same PIN, where there is one; else
 * those of a public file, with reading left to the PIN.
 * @param open Selects the public file.
 * @throws {UnsupportedError} where neither is known: then nothing is written that anybody could read.
 */
export async function privateModel(
  turn: CardTurn,
  application: Pkcs15Application,
  open: () => Promise<FileControl>,
  pin: PinEntry | undefined,
): Promise<FileControl> {
  const sibling = await privateSibling(application, pin);
  if (sibling) return turn.select(sibling);
  const model = await open();
  const security = pin && rulesFor(application, model.security, pin);
  if (security) return { ...model, security };
  throw new UnsupportedError("the card has no private object whose access rules a new one could take");
}

function rulesFor(
  { dialect, pins }: Pkcs15Application,
  security: FileControl["security"],
  { reference }: PinEntry,
): FileControl["security"] | undefined {
  return dialect.privateRules?.(security, reference) ?? privateRules(security, reference, pins.users.length === 1);
}

async function privateSibling(
  { contents, session, pins }: Pkcs15Application,
  pin: PinEntry | undefined,
): Promise<FilePlace | undefined> {
  for (const kind of ["data", "certificates"] as const) {
    for (const item of await contents.directory(kind)) {
      const { private: hidden, authId } = item.entry.head;
      if (hidden && isGuardedBy(authId, pin, pins.users.length)) {
        const place = ownFile(session.applicationDf, item.entry);
        if (place) return place;
      }
    }
  }
  return undefined;
}

/**
 * Whether a private object is of the same PIN.
 * @param users How many PINs there are: of one, all private objects are. Another PIN's rules would shut the owner of a new object out, and let somebody else in.
 */
export function isGuardedBy(authId: Uint8Array | undefined, pin: PinEntry | undefined, users: number): boolean {
  if (!authId || !pin?.authId) return users <= 1;
  return equalBytes(authId, pin.authId);
}
