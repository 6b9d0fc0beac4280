import { toHex } from "../bytes/index.ts";
import type { Card } from "./card.ts";
import type { CardProfile } from "./profile.ts";
import type { CardApplication } from "./types.ts";
import { nameUnusableCard } from "./unusable-card.ts";

/** Answers to reset that are remembered: more kinds of cards than anybody has, and no more however many a program makes up. */
const MAX_REMEMBERED = 256;

/** A question to a profile. */
type Question = (card: Card) => Promise<CardApplication | undefined>;

/**
 * Finds out what cards carry, in few exchanges: the profile that claimed the last card with the same answer to reset is asked first, then
 * those that expect such a card, then the others, each group in the order that was given; and the others only for a glance, until none
 * has the card.
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
    for await (const [profile, ask] of this.#questions(card.atr)) {
      const application = await ask(card);
      if (!application) continue;
      this.#remember(toHex(card.atr), profile);
      return application;
    }
    return undefined;
  }

  /**
   * What a card is that no profile claims, in words, if that can be told.
   * @throws {CardAccessError} as {@link claim}.
   */
  async explain(card: Card): Promise<string | undefined> {
    for (const profile of this.#profiles) {
      const reason = await profile.explain?.(card);
      if (reason !== undefined) return reason;
    }
    return nameUnusableCard(card);
  }

  /** A profile is not asked for its opinion of an answer to reset before it may matter. */
  async *#questions(atr: Uint8Array): AsyncGenerator<readonly [CardProfile, Question]> {
    const remembered = this.#claimed.get(toHex(atr));
    if (remembered) yield [remembered, (card) => remembered.claim(card)];
    const others: CardProfile[] = [];
    for (const profile of this.#profiles) {
      if (profile === remembered) continue;
      if ((await profile.expects?.(atr)) === true) yield [profile, (card) => profile.claim(card)];
      else others.push(profile);
    }
    for (const profile of others) yield [profile, (card) => profile.glance?.(card) ?? profile.claim(card)];
    for (const profile of others) if (profile.glance) yield [profile, (card) => profile.claim(card)];
  }

  #remember(atr: string, profile: CardProfile): void {
    this.#claimed.delete(atr);
    this.#claimed.set(atr, profile);
    const [oldest] = this.#claimed.keys();
    if (this.#claimed.size > MAX_REMEMBERED && oldest !== undefined) this.#claimed.delete(oldest);
  }
}
