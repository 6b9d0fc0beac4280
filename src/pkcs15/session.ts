import { type CardChannel, type CommandApdu, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import type { Card } from "../card/index.ts";
import { SELECT_ANSWER, SELECT_BY, select, type SelectAnswer } from "./commands.ts";
import { type FileControl, readFileControl } from "./file-control.ts";
import type { PublicFileStore } from "./public-cache.ts";
import { type FilePlace, masterFilePlace, parentOf, placeName } from "./place.ts";

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

  /** @param store Where copies of public files are kept, if anywhere. */
  constructor(card: Card, store?: PublicFileStore) {
    this.card = card;
    this.store = store;
  }
}

/** What the card has in hand. Nothing of it is known after a reset, or once others may have been at work. */
interface CardState {
  /** The DF whose files may be selected by their identifiers. */
  directory: string | undefined;
  /** The file that READ BINARY reads, and what the card told of it. */
  file: { readonly name: string; readonly control: FileControl } | undefined;
  /** The security environment that was set, in words of the one who set it. */
  environment: string | undefined;
}

/** The card during one turn at it. */
export interface CardTurn {
  send(command: CommandApdu): Promise<ResponseApdu>;
  /**
   * Makes `place` the current file.
   * @returns What the card told of it.
   * @throws {StatusError} 6A82 and others, if there is no such file.
   */
  select(place: FilePlace): Promise<FileControl>;
  /** A file was made, or is gone: which one is current now, cards tell nobody. @returns `place`. */
  changed(place: FilePlace): FilePlace;
  /** Makes `place` the current DF, unless it is. */
  enter(place: FilePlace): Promise<void>;
  /** The security environment that holds, as {@link hold} was told; undefined if none is known to. */
  readonly environment: string | undefined;
  hold(environment: string | undefined): void;
}

/** Refusals that mean the form of the command, not the file: table 6 of ISO/IEC 7816-4, and what cards make of it. */
const REFUSES_FORM: ReadonlySet<number> = new Set([
  SW.WRONG_LENGTH,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.INCORRECT_P1_P2,
  SW.LC_INCONSISTENT_WITH_P1_P2,
  SW.WRONG_P1_P2,
  SW.INSTRUCTION_NOT_SUPPORTED,
  SW.WRONG_DATA,
]);

/** SELECT succeeded; a file that is deactivated or has bad control information is selected all the same. */
const selected = ({ sw }: ResponseApdu): boolean => sw === SW.OK || sw >> 8 === 0x62;

/**
 * The application of ISO/IEC 7816-15 on a card that others may use as well. Knows what the card has selected and set, for as
 * long as nothing speaks against it.
 */
export class Pkcs15Session {
  readonly #card: Card;
  #address: ApplicationAddress;
  /** A file of the application that SELECT finds if the application is the one that answers. */
  readonly #witness: FilePlace;
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

function unknownState(): CardState {
  return { directory: undefined, file: undefined, environment: undefined };
}

/** SELECT by name; some cards give nothing back, and want to be asked so. */
export async function selectByName(channel: CardChannel, aid: Uint8Array, signal?: AbortSignal): Promise<ResponseApdu> {
  const answer = await channel.send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.FCI), signal);
  if (!REFUSES_FORM.has(answer.sw)) return answer;
  return channel.send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.NOTHING), signal);
}

interface TurnWays {
  readonly send: (command: CommandApdu) => Promise<ResponseApdu>;
  readonly state: () => CardState;
  readonly answers: () => readonly SelectAnswer[];
  readonly prefer: (answer: SelectAnswer) => void;
  readonly byPath: () => boolean;
  readonly neverByPath: () => void;
  readonly enterApplication: () => Promise<void>;
}

class Turn implements CardTurn {
  readonly #ways: TurnWays;

  constructor(ways: TurnWays) {
    this.#ways = ways;
  }

  get environment(): string | undefined {
    return this.#ways.state().environment;
  }

  hold(environment: string | undefined): void {
    this.#ways.state().environment = environment;
  }

  send(command: CommandApdu): Promise<ResponseApdu> {
    return this.#ways.send(command);
  }

  async select(place: FilePlace): Promise<FileControl> {
    const current = this.#ways.state().file;
    if (current?.name === placeName(place)) return current.control;
    const answer = await this.#find(place);
    if (!selected(answer)) throw new StatusError(`SELECT ${placeName(place)}`, answer.sw);
    const control = readFileControl(answer.data);
    const state = this.#ways.state();
    const isDirectory = control.structure === "df";
    state.file = isDirectory ? undefined : { name: placeName(place), control };
    state.directory = placeName(isDirectory ? place : parentOf(place));
    return control;
  }

  changed(place: FilePlace): FilePlace {
    const state = this.#ways.state();
    state.file = undefined;
    state.environment = undefined;
    // Where the DF has no path, its name alone leads back, and would drop a verified PIN: cards stay in it.
    if (place.from === "master-file") state.directory = undefined;
    return place;
  }

  async enter(place: FilePlace): Promise<void> {
    if (this.#ways.state().directory === placeName(place)) return;
    const answer = await this.#find(place);
    if (!selected(answer)) throw new StatusError(`SELECT ${placeName(place)}`, answer.sw);
    this.#ways.state().directory = placeName(place);
    this.#ways.state().file = undefined;
  }

  async #find(place: FilePlace): Promise<ResponseApdu> {
    const state = this.#ways.state();
    const wasIn = state.directory;
    state.file = undefined;
    state.directory = undefined;
    // What is selected decides, on some cards, what a security environment means.
    state.environment = undefined;
    if (place.from === "application") {
      if (wasIn !== placeName(parentOf(place)) || place.path.length === 0) await this.#ways.enterApplication();
      return this.#descend(SELECT_BY.PATH_FROM_DF, place, wasIn === placeName(parentOf(place)));
    }
    if (place.path.length === 0) return this.#ask(SELECT_BY.FILE_ID, masterFile());
    return this.#descend(SELECT_BY.PATH_FROM_MF, place, wasIn === placeName(parentOf(place)));
  }

  /** The whole path at once, or file after file on cards that do not take one. */
  async #descend(by: number, place: FilePlace, fromParent: boolean): Promise<ResponseApdu> {
    const { path } = place;
    if (fromParent && (by === SELECT_BY.PATH_FROM_DF || !this.#ways.byPath())) {
      return this.#ask(SELECT_BY.FILE_ID, path.subarray(-2));
    }
    if (this.#ways.byPath() && path.length > 0) {
      const answer = await this.#ask(by, path);
      if (selected(answer) || !REFUSES_FORM.has(answer.sw)) return answer;
      this.#ways.neverByPath();
    }
    const ids =
      path.length === 0 ? [] : Array.from({ length: path.length / 2 }, (_, at) => path.subarray(2 * at, 2 * at + 2));
    let answer: ResponseApdu = { data: new Uint8Array(), sw: SW.OK };
    for (const id of by === SELECT_BY.PATH_FROM_MF ? [masterFile(), ...ids] : ids) {
      answer = await this.#ask(SELECT_BY.FILE_ID, id);
      if (!selected(answer)) return answer;
    }
    return answer;
  }

  /** One SELECT, in the first form that the card takes; which one that is, is remembered. */
  async #ask(by: number, name: Uint8Array): Promise<ResponseApdu> {
    let first: ResponseApdu | undefined;
    for (const form of this.#ways.answers()) {
      const answer = await this.send(select(by, name, form));
      if (selected(answer)) {
        this.#ways.prefer(form);
        return answer;
      }
      if (!REFUSES_FORM.has(answer.sw)) return answer;
      first ??= answer;
    }
    return first ?? { data: new Uint8Array(), sw: SW.FILE_NOT_FOUND };
  }
}

const masterFile = (): Uint8Array => Uint8Array.of(0x3f, 0x00);

/** Where PKCS #15 v1.1 section 5.4 puts the application where nothing else tells. */
export const USUAL_DF = masterFilePlace(0x5015);
