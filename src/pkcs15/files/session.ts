import { CardError, isExecutionError, type ResponseApdu, StatusError } from "../../apdu/index.ts";
import { type Card, type CardExchange, type ExclusiveAccess, SelectedApplication } from "../../card/index.ts";
import { SELECT_ANSWER, SELECT_BY, select, type SelectAnswer } from "./commands.ts";
import type { PublicFileStore } from "./public-cache.ts";
import { childOf, type FilePath, masterFilePath, pathName } from "./paths.ts";
import {
  type CardState,
  type CardSession,
  REFUSES_FORM,
  selected,
  SelectingCardSession,
  unknownState,
} from "./card-session.ts";

/** How the application is reached on its card. */
export interface ApplicationAddress {
  /** What SELECT by name takes; undefined where the files are simply there. */
  readonly aid: Uint8Array | undefined;
  /** Its DF; from: "application" with an empty path where only the name leads there. */
  readonly df: FilePath;
}

/** What is known of a card's volatile state, for all sessions with its applications. */
export class CardStateCache {
  readonly card: Card;
  readonly store: PublicFileStore | undefined;
  /** Whether the card has files, as far as anybody has asked. */
  selectsFiles = true;
  #state: CardState = unknownState();
  /** {@link Card.transaction} and {@link Card.resets} for which the state holds. */
  #transaction = 0;
  #resets = 0;
  /** The security environment that was set last, perhaps in an earlier transaction. */
  #environment: string | undefined;

  /** @param store Where copies of public files are kept, if anywhere. */
  constructor(card: Card, store?: PublicFileStore) {
    this.card = card;
    this.store = store;
  }

  /** What the card has selected and set in the transaction under way. */
  get state(): CardState {
    if (this.#transaction !== this.card.transaction) {
      this.#environment = this.#resets === this.card.resets ? this.#state.environment : undefined;
      this.reset();
    }
    return this.#state;
  }

  /**
   * The security environment that the card has if no other program set one since; a caller that relies on it checks the result with the
   * public key.
   */
  get lastEnvironment(): string | undefined {
    return this.state.environment ?? this.#environment;
  }

  /** Nothing is known of the card's state any more. */
  reset(): void {
    this.#state = unknownState();
    this.#transaction = this.card.transaction;
    this.#resets = this.card.resets;
  }

  /** An environment of an earlier transaction proved right, or did not. */
  checked(environment: string | undefined): void {
    this.#environment = undefined;
    this.state.environment = environment;
  }
}

/** One use of a private key in a {@link Pkcs15Session}. */
export interface KeyWork {
  /** The security environment that it needs; undefined if the commands name the key. */
  readonly environment: string | undefined;
  /** @throws {LoginRequiredError} if the PIN that the key wants is not verified. */
  readonly requireLogin: () => void;
  /** The file that must be current; left out if the key's DF will do. Selecting it confirms the application as well. */
  readonly file?: FilePath | undefined;
  /** Makes the key's DF or file current and sets the environment. */
  readonly prepare: (turn: CardSession) => Promise<void>;
  readonly compute: (turn: CardSession) => Promise<Uint8Array>;
  /** What to throw in place of an error of the two, within the same turn: the card may be asked what its refusal means. */
  readonly explain: (turn: CardSession, error: unknown) => Promise<unknown>;
  /** Whether a result is the key's; undefined if that cannot be told without an exchange. */
  readonly isRight: (result: Uint8Array) => Promise<boolean | undefined>;
  /** The result can be checked by {@link isRight}. */
  readonly checkable: boolean;
  /** A result of the confirmed application. @throws {WrongResultError} for an RSA result that the public key disproves. */
  readonly checked: (result: Uint8Array) => Uint8Array;
}

/** The application of ISO/IEC 7816-15 on a card that other programs may use as well. */
export class Pkcs15Session {
  readonly #card: Card;
  #address: ApplicationAddress;
  /** A file that SELECT finds only if the application is the one that answers. */
  #probeFile: FilePath;
  /** A file that is selected next anyway: it confirms the application instead. */
  #nextFile: FilePath | undefined;
  readonly #cache: CardStateCache;
  readonly #application: SelectedApplication;
  /** The forms of SELECT that the card takes, the one to be tried first in front. */
  #answers: readonly SelectAnswer[] = Object.values(SELECT_ANSWER);
  #byPath = true;

  /** @param selectedNow The application was selected a moment ago. */
  constructor(cache: CardStateCache, address: ApplicationAddress, probeFile: FilePath, selectedNow: boolean) {
    this.#cache = cache;
    this.#card = cache.card;
    this.#address = address;
    this.#probeFile = probeFile;
    this.#application = new SelectedApplication(cache.card, {
      select: (exchange) => this.#selectByAddress(exchange),
      probe: (exchange) => this.#probe(exchange),
    });
    if (selectedNow) {
      this.#application.confirmed();
      this.#begun();
    }
  }

  get card(): Card {
    return this.#card;
  }

  get applicationDf(): FilePath {
    return this.#address.df;
  }

  /**
   * Runs `work`, which only reads, with the card to itself. If another program may have selected another application, and the
   * card refuses what `work` asks, the application is confirmed or selected and `work` runs once more.
   */
  read<T>(work: (turn: CardSession) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#application.runOptimistically(async (exchange, attempt) => {
      // Where only its name leads to the files, the DF that they are in must be the current one.
      if (this.#address.df.from === "application") await attempt.confirm();
      try {
        return await work(this.#turn(exchange));
      } catch (error) {
        if (error instanceof StatusError) await attempt.confirm();
        throw error;
      }
    }, signal);
  }

  /**
   * Runs `work`, which must not reach another application even once: it could spend a try of a PIN there, or write. The
   * application is confirmed first, by a SELECT that drops no verified PIN.
   * @param access A hold of the card, for work within it.
   */
  run<T>(work: (turn: CardSession) => Promise<T>, signal?: AbortSignal, access?: ExclusiveAccess): Promise<T> {
    return this.#application.runConfirmed((exchange) => work(this.#turn(exchange)), signal, access);
  }

  /**
   * Uses a private key. A result that the public key can check is computed with the environment that was set last; if it is not
   * right, or refused, the application is confirmed, the environment set, and the result computed once more.
   * @param access A hold of the card, for work within it.
   */
  useKey(work: KeyWork, signal?: AbortSignal, access?: ExclusiveAccess): Promise<Uint8Array> {
    return this.#application.runOptimistically(
      async (exchange, attempt) => {
        const turn = this.#turn(exchange);
        work.requireLogin();
        if (!attempt.confirmed && work.checkable && work.environment === this.#cache.lastEnvironment) {
          const result = await work.compute(turn).catch((error: unknown) => {
            if (error instanceof CardError) return undefined;
            throw error;
          });
          const isRight = result !== undefined && (await work.isRight(result)) === true;
          this.#cache.checked(isRight ? work.environment : undefined);
          return isRight ? result : attempt.startOver();
        }
        this.#nextFile = work.file;
        await attempt.confirm();
        let result: Uint8Array;
        try {
          await work.prepare(turn);
          result = await work.compute(turn);
        } catch (error) {
          throw await work.explain(turn, error);
        }
        return work.checked(result);
      },
      signal,
      access,
    );
  }

  /** Takes note of where the application's DF is, if only its name was known: its files say. */
  locate(df: FilePath): void {
    if (this.#address.df.from !== "application" || df.from !== "master-file") return;
    const { state } = this.#cache;
    if (state.directory === pathName(this.#address.df)) state.directory = pathName(df);
    this.#address = { ...this.#address, df };
    // By its path it is seen without the application's name, whose selection drops a verified PIN on many cards.
    if (this.#probeFile.from === "application") this.#probeFile = childOf(df, this.#probeFile.path);
  }

  /** What was read makes no sense: perhaps another file is selected than the card said. The next reading selects its file anew. */
  doubt(): void {
    this.#cache.state.file = undefined;
  }

  /** Makes the card forget all that was verified. */
  reset(): Promise<void> {
    return this.#card.reset();
  }

  async #probe(exchange: CardExchange): Promise<boolean> {
    this.#begun();
    const next = this.#nextFile;
    this.#nextFile = undefined;
    // What has no path would be reached by the application's name.
    if (next?.from === "master-file" && (await this.#isThere(exchange, next))) return true;
    return this.#isThere(exchange, this.#probeFile);
  }

  async #isThere(exchange: CardExchange, file: FilePath): Promise<boolean> {
    try {
      await this.#turn(exchange).select(file);
      return true;
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      if (isExecutionError(error.sw)) throw error;
      return false;
    }
  }

  async #selectByAddress({ send }: CardExchange): Promise<void> {
    const { aid } = this.#address;
    if (aid) {
      const answer = await selectByName(send, aid);
      if (!selected(answer)) throw new StatusError("SELECT of the PKCS #15 application", answer.sw);
    }
    this.#begun();
  }

  /** Nothing is known of the files but the DF that is current after a SELECT by name, or after nothing but reads. */
  #begun(): void {
    this.#cache.reset();
    if (this.#address.df.from === "application") this.#cache.state.directory = pathName(this.#address.df);
  }

  #turn(exchange: CardExchange): CardSession {
    return new SelectingCardSession({
      send: exchange.send,
      state: () => this.#cache.state,
      answers: () => this.#answers,
      prefer: (answer) => {
        this.#answers = [answer, ...this.#answers.filter((other) => other !== answer)];
      },
      byPath: () => this.#byPath,
      neverByPath: () => {
        this.#byPath = false;
      },
      enterApplication: async () => {
        await this.#selectByAddress(exchange);
        this.#application.confirmed();
      },
    });
  }
}

/** SELECT by name; some cards give nothing back, and want to be asked so. */
export async function selectByName(send: CardExchange["send"], aid: Uint8Array): Promise<ResponseApdu> {
  const answer = await send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.FCI));
  if (!REFUSES_FORM.has(answer.sw)) return answer;
  return send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.NOTHING));
}

/** Where PKCS #15 v1.1 section 5.4 puts the application where nothing else tells. */
export const USUAL_DF = masterFilePath(0x5015);
