import { type Card, type CardApplication, type CardProfile, PinPadReader } from "../card/index.ts";
import { announcesCac } from "./answer-to-reset.ts";
import { findListed, findUnlisted } from "./find.ts";
import { CacSession } from "./session.ts";
import { CacToken } from "./token.ts";
import type { Variant } from "./variant.ts";

const profile = (find: (session: CacSession) => Promise<Variant | undefined>): CardProfile => ({
  name: "cac",
  async claim(card: Card): Promise<CardApplication | undefined> {
    const session = new CacSession(card);
    const variant = await find(session);
    if (!variant) return undefined;
    return { profile: "cac", tokens: [new CacToken(session, variant, await PinPadReader.find(card))] };
  },
});

/**
 * CAC cards with a capability container. Most of them are PIV cards as well: the profile that is asked first decides which the token
 * is of.
 */
export const cac: CardProfile = { ...profile(findListed), expects: announcesCac };

/** CAC cards without one, which take many exchanges to be found: asked when no profile has the card at a glance. */
export const cacUnlisted: CardProfile = { ...profile(findUnlisted), glance: () => Promise.resolve(undefined) };
