import type { CallOptions } from "../../async/index.ts";
import { CardError, isExecutionError, type ResponseApdu, StatusError } from "../../apdu/index.ts";
import { type Card, type CardExchange, type HoldOptions, SelectedApplication } from "../../card/index.ts";
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

/** How to reach the application on its card. */
export interface ApplicationAddress {
  /** The name for SELECT; undefined if the files are reachable without one. */
  readonly aid: Uint8Array | undefined;
  /** Its DF; from: "application" with an empty path if only the name leads there. */
  readonly df: FilePath;
}

/** The cached volatile state of a card, for all sessions with its applications. */
export class CardStateCache {
  readonly card: Card;
  readonly store: PublicFileStore | undefined;
  /** Whether the card has files, if known. */
  selectsFiles = true;
  #state: CardState = unknownState();
  /** The {@link Card.transaction} and {@link Card.resets} for which the state is valid. */
  #transaction = 0;
  #resets = 0;
  /** The last security environment, perhaps of an earlier transaction. */
  #environment: string | undefined;

  /** @param store For copies of public files, if any. */
  constructor(card: Card, store?: PublicFileStore) {
    this.card = card;
    this.store = store;
  }

  /** The volatile state in the present transaction. */
  get state(): CardState {
    if (this.#transaction !== this.card.transaction) {
      this.#environment = this.#resets === this.card.resets ? this.#state.environment : undefined;
      this.reset();
    }
    return this.#state;
  }

  /**
   * The security environment that the card has unless another program set one since; a caller that relies on it checks
   * the result with the public key.
   */
  get lastEnvironment(): string | undefined {
    return this.state.environment ?? this.#environment;
  }

  /** Forgets the card's state. */
  reset(): void {
    this.#state = unknownState();
    this.#transaction = this.card.transaction;
    this.#resets = this.card.resets;
  }

  /** Reports whether an environment of an earlier transaction was right. */
  checked(environment: string | undefined): void {
    this.#environment = undefined;
    this.state.environment = environment;
  }
}

/** One use of a private key in a {@link Pkcs15Session}. */
export interface KeyWork {
  /** The security environment that it needs; undefined if the commands name the key. */
  readonly environment: string | undefined;
  /** @throws {LoginRequiredError} if the key's PIN is not verified. */
  readonly requireLogin: () => void;
  /** The file that must be current; absent if the key's DF is enough. Selecting it confirms the application as well. */
  readonly file?: FilePath | undefined;
  /** Makes the key's DF or file current and sets the environment. */
  readonly prepare: (turn: CardSession) => Promise<void>;
  readonly compute: (turn: CardSession) => Promise<Uint8Array>;
  /** Replaces an error of the two within the same transaction: it may ask the card for the cause. */
  readonly explain: (turn: CardSession, error: unknown) => Promise<unknown>;
  /** Whether a result is the key's; undefined if that is unknown without an exchange. */
  readonly isRight: (result: Uint8Array) => Promise<boolean | undefined>;
  /** Whether {@link isRight} can check the result. */
  readonly checkable: boolean;
  /**
   * Checks a result of the confirmed application.
   * @throws {WrongResultError} for an RSA result that does not match the public key.
   */
  readonly checked: (result: Uint8Array) => Uint8Array;
}

/** The application of ISO/IEC 7816-15 on a card that other programs may use too. */
export class Pkcs15Session {
  readonly #card: Card;
  #address: ApplicationAddress;
  /** A file that SELECT finds only in this application. */
  #probeFile: FilePath;
  /** A file that is selected next anyway, which confirms the application instead. */
  #nextFile: FilePath | undefined;
  readonly #cache: CardStateCache;
  readonly #application: SelectedApplication;
  /** The forms of SELECT that the card supports, the preferred one first. */
  #answers: readonly SelectAnswer[] = Object.values(SELECT_ANSWER);
  #byPath = true;

  /** @param selectedNow Whether the application was just selected. */
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
   * Runs `work`, which only reads, with exclusive use of the card. If another program may have selected another
   * application, and the card refuses, the application is confirmed or selected and `work` runs once more.
   */
  read<T>(work: (turn: CardSession) => Promise<T>, options?: CallOptions): Promise<T> {
    return this.#application.runOptimistically(async (exchange, attempt) => {
      // If only its name leads to the files, their DF must be the current one.
      if (this.#address.df.from === "application") await attempt.confirm();
      try {
        return await work(this.#turn(exchange));
      } catch (error) {
        if (error instanceof StatusError) await attempt.confirm();
        throw error;
      }
    }, options);
  }

  /**
   * Runs `work`, which must not reach another application even once: it could spend a try of a PIN there, or write. The
   * application is confirmed first, by a SELECT that drops no verified PIN.
   */
  run<T>(work: (turn: CardSession) => Promise<T>, options?: HoldOptions): Promise<T> {
    return this.#application.runConfirmed((exchange) => work(this.#turn(exchange)), options);
  }

  /**
   * Uses a private key. A result that the public key can check is computed with the environment that was set last; if it is not
   * right, or refused, the application is confirmed, the environment set, and the result computed once more.
   */
  useKey(work: KeyWork, options?: HoldOptions): Promise<Uint8Array> {
    return this.#application.runOptimistically(async (exchange, attempt) => {
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
    }, options);
  }

  /** Sets the application's DF, if only its name was known: its files contain the path. */
  locate(df: FilePath): void {
    if (this.#address.df.from !== "application" || df.from !== "master-file") return;
    const { state } = this.#cache;
    if (state.directory === pathName(this.#address.df)) state.directory = pathName(df);
    this.#address = { ...this.#address, df };
    // By its path it is found without the application's name, whose selection drops a verified PIN on many cards.
    if (this.#probeFile.from === "application") this.#probeFile = childOf(df, this.#probeFile.path);
  }

  /**
   * Call it if the data did not parse: perhaps another file is selected than assumed. The next read selects its file
   * again.
   */
  doubt(): void {
    this.#cache.state.file = undefined;
  }

  /** Makes the card forget all verified PINs. */
  reset(): Promise<void> {
    return this.#card.reset();
  }

  async #probe(exchange: CardExchange): Promise<boolean> {
    this.#begun();
    const next = this.#nextFile;
    this.#nextFile = undefined;
    // Without a path only the application's name would lead to it.
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

  /** After a SELECT by name only the DF is known to be current; after reads nothing changes. */
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
      // As a probe would: only this application has the file at this path.
      found: (place) => {
        if (place.from === "master-file" && pathName(place) === pathName(this.#probeFile))
          this.#application.confirmed();
      },
    });
  }
}

/** SELECT by name; some cards return nothing, and must be asked for no answer. */
export async function selectByName(send: CardExchange["send"], aid: Uint8Array): Promise<ResponseApdu> {
  const answer = await send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.FCI));
  if (!REFUSES_FORM.has(answer.sw)) return answer;
  return send(select(SELECT_BY.DF_NAME, aid, SELECT_ANSWER.NOTHING));
}

/** Where PKCS #15 v1.1 section 5.4 puts the application by default. */
export const USUAL_DF = masterFilePath(0x5015);
