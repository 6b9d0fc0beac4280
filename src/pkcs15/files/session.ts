import { type CardChannel, type ResponseApdu, StatusError } from "../../apdu/index.ts";
import type { Card } from "../../card/index.ts";
import { SELECT_ANSWER, SELECT_BY, select, type SelectAnswer } from "./commands.ts";
import type { PublicFileStore } from "./public-cache.ts";
import { childOf, type FilePlace, masterFilePlace, placeName } from "./place.ts";
import { type CardState, type CardTurn, REFUSES_FORM, selected, Turn, type TurnWays, unknownState } from "./turn.ts";

/**
 * Milliseconds within which no program is taken to connect, select another application or key, and leave again unseen: the
 * resource manager tells who is connected now, and not who was.
 */
const COME_AND_GO = 2_000;

/** How the application is reached on its card. */
export interface ApplicationAddress {
  /** What SELECT by name takes; undefined where the files are simply there. */
  readonly aid: Uint8Array | undefined;
  /** Its DF; from: "application" with an empty path where only the name leads there. */
  readonly df: FilePlace;
}

/** What is known of a card's volatile state, for all sessions with its applications: of which one, since when. */
export class CardHand {
  readonly card: Card;
  readonly store: PublicFileStore | undefined;
  state: CardState = unknownState();
  /** Whose application is selected. */
  holder: Pkcs15Session | undefined;
  /** {@link Card.resets} for which it holds. */
  resets = 0;
  lastTurn = -Infinity;
  /** Whether the card has files, as far as anybody has asked. */
  selectsFiles = true;

  /** @param store Where copies of public files are kept, if anywhere. */
  constructor(card: Card, store?: PublicFileStore) {
    this.card = card;
    this.store = store;
  }
}

/**
 * The application of ISO/IEC 7816-15 on a card that others may use as well. Knows what the card has selected and set, for as
 * long as nothing speaks against it.
 */
export class Pkcs15Session {
  readonly #card: Card;
  #address: ApplicationAddress;
  /** A file of the application that SELECT finds if the application is the one that answers. */
  #witness: FilePlace;
  readonly #hand: CardHand;
  /** The forms of SELECT that the card takes, the one to be tried first in front. */
  #answers: readonly SelectAnswer[] = Object.values(SELECT_ANSWER);
  #byPath = true;

  /** @param selectedNow The application was selected a moment ago. */
  constructor(hand: CardHand, address: ApplicationAddress, witness: FilePlace, selectedNow: boolean) {
    this.#hand = hand;
    this.#card = hand.card;
    this.#address = address;
    this.#witness = witness;
    if (selectedNow) this.#begun();
  }

  /** What was verified at one value of this is forgotten at another. */
  get resets(): number {
    return this.#card.resets;
  }

  get card(): Card {
    return this.#card;
  }

  get applicationDf(): FilePlace {
    return this.#address.df;
  }

  /**
   * Runs `work`, which only reads, with the card to itself. If another program may have selected another application, and the
   * card refuses what `work` asks, the application is looked for and `work` runs once more.
   */
  read<T>(work: (turn: CardTurn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#exclusively(async (channel, turn, certain) => {
      // Where only its name leads to the files, the DF that they are in must be the current one.
      if (!certain && this.#address.df.from === "application") await this.#confirm(channel, turn, signal);
      try {
        return await work(turn);
      } catch (error) {
        if (certain || !(error instanceof StatusError)) throw error;
        if (await this.#confirm(channel, turn, signal)) throw error;
        return await work(turn);
      }
    }, signal);
  }

  /**
   * Runs `work`, which must not reach another application even once: it could spend a try of a PIN there, use another key, or
   * write. If somebody else may have been at the card, the application is seen to answer first, by a SELECT that drops no
   * verified PIN.
   */
  run<T>(work: (turn: CardTurn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#exclusively(async (channel, turn, certain) => {
      if (!certain) await this.#confirm(channel, turn, signal);
      return work(turn);
    }, signal);
  }

  #exclusively<T>(
    work: (channel: CardChannel, turn: CardTurn, certain: boolean) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    return this.#card.exclusively(async (channel) => {
      const turn = new Turn(this.#ways(channel, signal));
      const held = this.#hand.holder === this && this.#hand.resets === this.#card.resets;
      if (!held) await this.#selectApplication(channel, signal);
      const certain = !held || (await this.#isUndisturbed());
      if (!certain) this.#hand.state = unknownState();
      try {
        return await work(channel, turn, certain);
      } finally {
        this.#hand.lastTurn = Date.now();
      }
    }, signal);
  }

  /** Takes note of where the application's DF is, if only its name was known: its files say. */
  locate(df: FilePlace): void {
    if (this.#address.df.from !== "application" || df.from !== "master-file") return;
    const { state } = this.#hand;
    if (state.directory === placeName(this.#address.df)) state.directory = placeName(df);
    this.#address = { ...this.#address, df };
    // By its path it is seen without the application's name, whose selection drops a verified PIN on many cards.
    if (this.#witness.from === "application") this.#witness = childOf(df, this.#witness.path);
  }

  /** Forgets, on the card, all that was verified. */
  reset(): Promise<void> {
    return this.#card.reset();
  }

  async #isUndisturbed(): Promise<boolean> {
    return Date.now() - this.#hand.lastTurn < COME_AND_GO && (await this.#card.alone());
  }

  /** @returns Whether the application was the one that answers; if it was not, it is now. */
  async #confirm(channel: CardChannel, turn: CardTurn, signal?: AbortSignal): Promise<boolean> {
    this.#hand.state = unknownState();
    // If nobody selected another application, its DF still is the current one.
    if (this.#address.df.from === "application") this.#hand.state.directory = placeName(this.#address.df);
    try {
      await turn.select(this.#witness);
      return true;
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      await this.#selectApplication(channel, signal);
      return false;
    }
  }

  async #selectApplication(channel: CardChannel, signal?: AbortSignal): Promise<void> {
    const { aid } = this.#address;
    if (aid) {
      const answer = await selectByName(channel, aid, signal);
      if (!selected(answer)) throw new StatusError("SELECT of the PKCS #15 application", answer.sw);
    }
    this.#begun();
  }

  #begun(): void {
    this.#hand.holder = this;
    this.#hand.resets = this.#card.resets;
    this.#hand.lastTurn = Date.now();
    this.#hand.state = unknownState();
    if (this.#address.df.from === "application") this.#hand.state.directory = placeName(this.#address.df);
  }

  #ways(channel: CardChannel, signal?: AbortSignal): TurnWays {
    return {
      send: (command) => channel.send(command, signal),
      state: () => this.#hand.state,
      answers: () => this.#answers,
      prefer: (answer) => {
        this.#answers = [answer, ...this.#answers.filter((other) => other !== answer)];
      },
      byPath: () => this.#byPath,
      neverByPath: () => {
        this.#byPath = false;
      },
      enterApplication: async () => {
        await this.#selectApplication(channel, signal);
      },
    };
  }
}

/** SELECT by name; some cards give nothing back, and want to be asked so. */
export async function selectByName(channel: CardChannel, aid: Uint8Array, signal?: AbortSignal): Promise<ResponseApdu> {
  const answer = await channel.send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.FCI), signal);
  if (!REFUSES_FORM.has(answer.sw)) return answer;
  return channel.send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.NOTHING), signal);
}

/** Where PKCS #15 v1.1 section 5.4 puts the application where nothing else tells. */
export const USUAL_DF = masterFilePlace(0x5015);
