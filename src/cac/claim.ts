import { type Card, type CardApplication, PinPadReader } from "../card/index.ts";
import { findListed, findUnlisted } from "./find.ts";
import { CacSession } from "./session.ts";
import { CacToken } from "./token.ts";

const FIND = { listed: findListed, unlisted: findUnlisted } as const;

/** The application of a card whose capability container lists its applets, or of one without; undefined if it is neither. */
export async function claim(card: Card, kind: keyof typeof FIND): Promise<CardApplication | undefined> {
  const session = new CacSession(card);
  const variant = await FIND[kind](session);
  if (!variant) return undefined;
  return { profile: "cac", tokens: [new CacToken(session, variant, await PinPadReader.find(card))] };
}
