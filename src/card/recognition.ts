import type { CallOptions } from "../async/index.ts";
import { SW } from "../apdu/index.ts";
import { fromHex, toHex } from "../bytes/index.ts";
import type { Pcsc, ReaderState } from "../pcsc/types.ts";
import { Card, type CardOptions } from "./card.ts";
import type { CardApplication } from "./contract.ts";
import { callSignal, translatePcscErrors, toAccessError } from "./errors.ts";

/**
 * How much effort a profile may spend to find its application: "quick" is one or two exchanges, for a card that may be
 * of another kind; "thorough" may search.
 */
export type ClaimEffort = "quick" | "thorough";

/** What a profile may be told for a claim. Default of all: nothing. */
export interface ClaimOptions extends CallOptions {
  /** Profiles that were asked in vain, so that a thorough claim after a quick one need not ask the same again. */
  readonly asked?: ReadonlySet<CardProfile>;
}

/** A kind of card application: recognises it on a card. */
export interface CardProfile {
  /** Short, and equal to {@link CardApplication.profile}: "piv". Any name; two profiles may share one. */
  readonly name: string;
  /**
   * Whether cards with this answer to reset usually carry the application; it is then asked first, and thoroughly. Only
   * a hint from the bytes: a wrong one costs exchanges. Without it, a card of a known make would cost the exchanges of
   * the profiles before its own at every insertion. A kind of card with several applications should be expected by all
   * their profiles, or by none: among those, the program's order decides.
   */
  expects?(atr: Uint8Array): boolean | Promise<boolean>;
  /**
   * Whether a thorough claim finds more than a quick one: it is made after all quick ones have failed. Default: false,
   * and the profile is asked once.
   */
  readonly searches?: boolean;
  /**
   * The application, if this card carries it; undefined if it does not. A refusal by the card is no error here.
   * @throws {CardAccessError} if the card cannot be reached.
   */
  claim(card: Card, effort: ClaimEffort, options?: ClaimOptions): Promise<CardApplication | undefined>;
  /**
   * What a card is that this profile would support in another state: a description, or for a card that can be initialised
   * an application whose tokens do that. Called only if no profile claims the card. Undefined if nothing is known.
   * @throws {CardAccessError} as `claim`.
   */
  explain?(card: Card, options?: CallOptions): Promise<string | CardApplication | undefined>;
}

/** Applications that are known by name but have no profile in this package. */
const WITHOUT_PROFILE = [
  // OpenPGP smart card application 3.4, section 4.2.1; any version and maker.
  { name: "OpenPGP", aid: fromHex("d27600012401") },
  // Generic Identity Device Specification, any version (OpenSC, card-gids.c, gids_aid).
  { name: "GIDS", aid: fromHex("a00000039742544659") },
] as const;

/**
 * Describes a card that no profile supports, if possible: one command for each known application.
 * @throws {CardAccessError} if the card cannot be reached.
 */
async function nameUnusableCard(card: Card, options?: CallOptions): Promise<string | undefined> {
  for (const { name, aid } of WITHOUT_PROFILE) {
    if (await selects(card, aid, options)) return `${name} card: not supported yet`;
  }
  return undefined;
}

/** Whether the card has an application of this name. */
export async function selects(card: Card, aid: Uint8Array, options?: CallOptions): Promise<boolean> {
  const command = { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00, data: aid, ne: 256 };
  const { sw } = await card.exclusively(({ send }) => send(command), options);
  return sw === SW.OK;
}

/** Most answers to reset that are remembered. */
const MAX_REMEMBERED = 256;

/**
 * Finds out what cards carry, in few exchanges. The profile that claimed the last card with the same answer to reset is
 * asked first, then those that expect such a card, both thoroughly; then the others quickly, and last the searching
 * ones thoroughly. Within each group the given order holds.
 */
export class CardRecognition {
  readonly #profiles: readonly CardProfile[];
  /** By answer to reset, the least recently used first. */
  readonly #claimed = new Map<string, CardProfile>();

  /** @param profiles The most common first. */
  constructor(profiles: readonly CardProfile[]) {
    this.#profiles = profiles;
  }

  /**
   * The application of the first profile that claims the card; undefined if none does.
   * @throws {CardAccessError} if the card cannot be reached; {CardError}.
   */
  async claim(card: Card, options?: CallOptions): Promise<CardApplication | undefined> {
    const signal = callSignal(options);
    const asked = new Set<CardProfile>();
    for await (const [profile, effort] of this.#order(card.atr)) {
      const application = await profile.claim(card, effort, { asked, signal });
      asked.add(profile);
      if (!application) continue;
      this.#remember(toHex(card.atr), profile);
      return application;
    }
    return undefined;
  }

  /**
   * Describes a card that no profile claims, or finds out how to initialise it, if possible.
   * @throws {CardAccessError} as {@link claim}.
   */
  async explain(card: Card, options?: CallOptions): Promise<string | CardApplication | undefined> {
    for (const profile of this.#profiles) {
      const reason = await profile.explain?.(card, options);
      if (reason !== undefined) return reason;
    }
    return nameUnusableCard(card, options);
  }

  /** Calls `expects` only when it matters. */
  async *#order(atr: Uint8Array): AsyncGenerator<readonly [CardProfile, ClaimEffort]> {
    const remembered = this.#claimed.get(toHex(atr));
    if (remembered) yield [remembered, "thorough"];
    const others: CardProfile[] = [];
    for (const profile of this.#profiles) {
      if (profile === remembered) continue;
      if ((await profile.expects?.(atr)) === true) yield [profile, "thorough"];
      else others.push(profile);
    }
    for (const profile of others) yield [profile, "quick"];
    for (const profile of others) if (profile.searches) yield [profile, "thorough"];
  }

  #remember(atr: string, profile: CardProfile): void {
    this.#claimed.delete(atr);
    this.#claimed.set(atr, profile);
    const [oldest] = this.#claimed.keys();
    if (this.#claimed.size > MAX_REMEMBERED && oldest !== undefined) this.#claimed.delete(oldest);
  }
}

/**
 * Connects to the card in a reader.
 * @throws {CardAccessError}
 */
export async function connectCard(pcsc: Pcsc, reader: string, options: CardOptions & CallOptions = {}): Promise<Card> {
  const connection = await translatePcscErrors(pcsc.connect(reader, { signal: callSignal(options) }));
  return new Card(connection, { reconnect: () => pcsc.connect(reader), ...options });
}

/**
 * The readers now and after every change ({@link Pcsc.changes}).
 * @throws {CardAccessError}
 */
export async function* followReaders(pcsc: Pcsc, options?: CallOptions): AsyncGenerator<readonly ReaderState[]> {
  try {
    yield* pcsc.changes(options);
  } catch (error) {
    throw toAccessError(error);
  }
}
