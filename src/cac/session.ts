import { type CardChannel, CardError, type CommandApdu, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { equalBytes } from "../bytes/index.ts";
import type { Card } from "../card/index.ts";
import { selectApplet, selectObject } from "./commands.ts";
import { type Place, placeName } from "./place.ts";

/**
 * Milliseconds within which no program is taken to connect, select another applet, and leave again unseen: the resource manager tells
 * who is connected now, and not who was.
 */
const COME_AND_GO = 2_000;

/** Sends a command to the applet that is selected, and gives the answer, whatever its status word. */
export type CacExchange = (command: CommandApdu) => Promise<ResponseApdu>;

/** The card has no such applet, or the applet no such object. */
export class NoSuchPlaceError extends CardError {
  override readonly name = "NoSuchPlaceError";
}

/**
 * The applets of a CAC card that others may use as well. What is selected counts as selected while nobody else can have selected
 * another: whose key signs and whose PIN is verified hangs on it. SELECT drops no verified PIN on these cards.
 */
export class CacSession {
  readonly #card: Card;
  /** What is selected, if that is known. */
  #selected: Place | undefined;
  /** {@link Card.resets} for which it holds. */
  #selectedAt = -1;
  #lastTurn = -Infinity;

  constructor(card: Card) {
    this.#card = card;
  }

  /** What was verified at one value of this is forgotten at another. */
  get resets(): number {
    return this.#card.resets;
  }

  /**
   * Runs `work` with `place` selected and the card to itself.
   * @throws {NoSuchPlaceError} if the card does not have it.
   */
  at<T>(place: Place, work: (send: CacExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#turn(async (channel) => {
      await this.#select(channel, place, signal);
      return work((command) => channel.send(command, signal));
    }, signal);
  }

  /** Whether the card has `place`, and lets it be selected. */
  async has(place: Place): Promise<boolean> {
    try {
      await this.at(place, () => Promise.resolve());
      return true;
    } catch (error) {
      if (error instanceof NoSuchPlaceError || error instanceof StatusError) return false;
      throw error;
    }
  }

  /** As {@link at}, but `place` is selected in any case: some applets remember how far they were read. */
  afresh<T>(place: Place, work: (send: CacExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#turn(async (channel) => {
      this.#selected = undefined;
      await this.#select(channel, place, signal);
      return work((command) => channel.send(command, signal));
    }, signal);
  }

  /** Runs `work` with some applet of the card selected, whichever it is: `place`, if none is. */
  anywhere<T>(place: Place, work: (send: CacExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#turn(async (channel) => {
      if (!this.#selected) await this.#select(channel, place, signal);
      return work((command) => channel.send(command, signal));
    }, signal);
  }

  /** Forgets, on the card, all that was verified. */
  reset(): Promise<void> {
    return this.#card.reset();
  }

  #turn<T>(work: (channel: CardChannel) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#card.exclusively(async (channel) => {
      if (!(await this.#isUndisturbed())) this.#selected = undefined;
      try {
        return await work(channel);
      } finally {
        this.#lastTurn = Date.now();
      }
    }, signal);
  }

  async #isUndisturbed(): Promise<boolean> {
    return (
      this.#selectedAt === this.#card.resets && Date.now() - this.#lastTurn < COME_AND_GO && (await this.#card.alone())
    );
  }

  async #select(channel: CardChannel, place: Place, signal?: AbortSignal): Promise<void> {
    const { aid, object } = place;
    if (!this.#selected || !equalBytes(this.#selected.aid, aid)) {
      this.#selected = undefined;
      // Nothing that the applet tells of itself is fetched: 61xx is success.
      check(place, await channel.send(selectApplet(aid), signal, 0));
      this.#selected = { aid };
      this.#selectedAt = this.#card.resets;
    }
    if (!object || (this.#selected.object && equalBytes(this.#selected.object, object))) return;
    this.#selected = { aid };
    check(place, await channel.send(selectObject(object), signal, 0));
    this.#selected = place;
  }
}

/** How cards say that something is not there; the first CAC knows no better word than an unknown instruction. */
const ABSENT: ReadonlySet<number> = new Set([
  SW.FILE_NOT_FOUND,
  SW.REFERENCED_DATA_NOT_FOUND,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.INSTRUCTION_NOT_SUPPORTED,
]);

function check(place: Place, { sw }: ResponseApdu): void {
  if (sw === SW.OK || sw >> 8 === SW.BYTES_AVAILABLE >> 8) return;
  const action = `SELECT ${placeName(place)}`;
  const cause = new StatusError(action, sw);
  if (ABSENT.has(sw)) throw new NoSuchPlaceError(`the card has no ${placeName(place)}`, { cause });
  throw cause;
}
