import { toHex } from "../bytes/index.ts";
import type { Card } from "./card.ts";
import type { CardProfile } from "./profile.ts";
import type { CardApplication } from "./types.ts";

/** Answers to reset that are remembered: more kinds of cards than anybody has, and no more however many a program makes up. */
const MAX_REMEMBERED = 256;

/**
 * Finds out what cards carry, in few exchanges: the profile that claimed the last card with the same answer to reset is asked first, then
 * those that expect such a card, then the others, each group in the order that was given.
 */
export class CardRecognition {
  readonly #profiles: readonly CardProfile[];
  /** By answer to reset, the one that was not asked for the longest time in front. */
  readonly #claimed = new Map<string, CardProfile>();

  /** @param profiles The most common first. */
  constructor(profiles: readonly CardProfile[]) {
    this.#profiles = profiles;
  }

  /**
   * The application of the first profile that claims the card; undefined if none does.
   * @throws {CardAccessError} if the card cannot be reached; {CardError}.
   */
  async claim(card: Card): Promise<CardApplication | undefined> {
    for (const profile of await this.#inOrder(card.atr)) {
      const application = await profile.claim(card);
      if (!application) continue;
      this.#remember(toHex(card.atr), profile);
      return application;
    }
    return undefined;
  }

  async #inOrder(atr: Uint8Array): Promise<readonly CardProfile[]> {
    const remembered = this.#claimed.get(toHex(atr));
    const ranked = await Promise.all(
      this.#profiles.map(async (profile) => {
        if (profile === remembered) return { profile, rank: 0 };
        return { profile, rank: (await profile.expects?.(atr)) === true ? 1 : 2 };
      }),
    );
    return ranked.sort((one, other) => one.rank - other.rank).map(({ profile }) => profile);
  }

  #remember(atr: string, profile: CardProfile): void {
    this.#claimed.delete(atr);
    this.#claimed.set(atr, profile);
    const [oldest] = this.#claimed.keys();
    if (this.#claimed.size > MAX_REMEMBERED && oldest !== undefined) this.#claimed.delete(oldest);
  }
}
