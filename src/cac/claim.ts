import { type Card, type CardApplication, PinPadReader } from "../card/index.ts";
import { findListed, findUnlisted } from "./find.ts";
import { CacSession } from "./session.ts";
import { CacToken } from "./token.ts";

/** Cards on which the container was looked for. */
const asked = new WeakSet<Card>();

/**
 * The application of a card whose capability container lists its applets, or of one without; undefined if it is neither. One with
 * a container never counts as one without: it would show other objects there, and another serial number.
 */
export async function claim(card: Card, kind: "listed" | "unlisted"): Promise<CardApplication | undefined> {
  const session = new CacSession(card);
  const variant =
    (kind === "listed" || !asked.has(card) ? await findListed(session) : undefined) ??
    (kind === "unlisted" ? await findUnlisted(session) : undefined);
  asked.add(card);
  if (!variant) return undefined;
  return { profile: "cac", tokens: [new CacToken(session, variant, await PinPadReader.find(card))] };
}
