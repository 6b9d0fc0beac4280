import type * as Room from "./claim.ts";
import type { CardProfile } from "../card/index.ts";
import { announcesCac } from "./answer-to-reset.ts";

/** All that this profile knows is read when the first card is put to it: most programs meet one kind of card. */
const room = (): Promise<typeof Room> => import("./claim.ts");

/**
 * CAC cards with a capability container. Most of them are PIV cards as well: the profile that is asked first decides which the token
 * is of.
 */
export const cac: CardProfile = {
  name: "cac",
  expects: announcesCac,
  claim: async (card) => (await room()).claim(card, "listed"),
};

/** CAC cards without one, which take many exchanges to be found: asked when no profile has the card at a glance. */
export const cacUnlisted: CardProfile = {
  name: "cac",
  glance: () => Promise.resolve(undefined),
  claim: async (card) => (await room()).claim(card, "unlisted"),
};
