/**
 * What this process knows of a card between two exchanges: which application is selected, and which PIN is verified
 * (docs/decisions/volatile-card-state.md).
 */
import { CardError, MalformedAnswerError } from "../apdu/index.ts";
import type { CallOptions } from "../async/index.ts";
import type { Card } from "./card.ts";
import type { CardExchange, HoldOptions, PinStatus } from "./contract.ts";
import { CardAccessError, CardCancelledError, PinError, PinUncertainError } from "./errors.ts";

/** How a profile selects its application, and confirms that it is selected. */
export interface Selection {
  /** Selects the application. On many cards this drops a verified PIN. */
  select(exchange: CardExchange): Promise<void>;
  /**
   * One exchange that succeeds with this application only, and keeps verified PINs.
   * @returns Whether the application is selected; false also if this card has no such exchange.
   */
  probe(exchange: CardExchange): Promise<boolean>;
}

/** Work that was sent before the application was confirmed. */
export interface Attempt {
  /** Whether the application is confirmed in this transaction, so that an answer is its own. */
  readonly confirmed: boolean;
  /**
   * Confirms the application after an answer that another one may have given. If another one is selected, the work
   * starts again with the right one selected: it must not catch the error of this method.
   */
  confirm(): Promise<void>;
  /** Starts the work again, with the application confirmed: the answer came from another application. */
  startOver(): never;
  /**
   * Gives `result` if it is right, and confirms the application by it: only a key of this application can have computed it. Otherwise
   * starts the work again, as {@link startOver}.
   */
  proved<T>(result: T, isRight: boolean): T;
}

/**
 * One application of a card that other programs may use too. Another program can select another application between two
 * transactions unnoticed, so a confirmation is valid at most for the present transaction. This is the only place for
 * that rule.
 */
export class SelectedApplication {
  readonly #card: Card;
  readonly #selection: Selection;

  constructor(card: Card, selection: Selection) {
    this.#card = card;
    this.#selection = selection;
  }

  /** Whether the application is confirmed in the present transaction. */
  get isConfirmed(): boolean {
    return this.#card.selected === this && this.#card.isSelectionConfirmed;
  }

  /** Records a confirmation, in the present transaction. */
  confirmed(): void {
    this.#card.selected = this;
    this.#card.isSelectionConfirmed = true;
  }

  /** Selects the application anew before its next work: a failed exchange may have left it in an intermediate state. */
  forget(): void {
    if (this.#card.selected === this) this.#card.selected = undefined;
  }

  /**
   * Runs `work` with the application selected beyond doubt: for what must not reach another application even once, because it
   * spends a try of a PIN, uses a key whose result cannot be checked, or writes.
   */
  runConfirmed<T>(work: (exchange: CardExchange) => Promise<T>, options?: HoldOptions): Promise<T> {
    return (options?.hold ?? this.#card).exclusively(async (exchange) => {
      await this.confirm(exchange);
      return work(exchange);
    }, options);
  }

  /** As {@link runConfirmed}, with the application selected anew even if it is selected. */
  runReselected<T>(work: (exchange: CardExchange) => Promise<T>, options?: CallOptions): Promise<T> {
    return this.#card.exclusively(async (exchange) => {
      await this.#select(exchange);
      return work(exchange);
    }, options);
  }

  /**
   * Runs `work` without asking first whether the application is still selected. `work` checks each answer that may be another
   * application's ({@link Attempt}), and may run twice.
   */
  runOptimistically<T>(
    work: (exchange: CardExchange, attempt: Attempt) => Promise<T>,
    options?: HoldOptions,
  ): Promise<T> {
    return (options?.hold ?? this.#card).exclusively(async (exchange) => {
      if (this.#card.selected !== this) await this.#select(exchange);
      try {
        return await work(exchange, new SelectionAttempt(this, exchange));
      } catch (error) {
        // A malformed answer may come from another application.
        const isDoubtful = error instanceof MalformedAnswerError && !this.isConfirmed;
        if (!(error instanceof StartOver) && !isDoubtful) throw error;
        await this.confirm(exchange);
        return work(exchange, new SelectionAttempt(this, exchange));
      }
    }, options);
  }

  /**
   * Confirms the application, or selects it if another one is selected. Only with exclusive use of the card.
   * @returns Whether it was selected before.
   */
  async confirm(exchange: CardExchange): Promise<boolean> {
    if (this.isConfirmed) return true;
    // Without a selection since the reset there is nothing to confirm.
    if (this.#card.selected === this && (await this.#selection.probe(exchange))) {
      this.confirmed();
      return true;
    }
    await this.#select(exchange);
    return false;
  }

  async #select(exchange: CardExchange): Promise<void> {
    await this.#selection.select(exchange);
    this.confirmed();
  }
}

/** One run of {@link SelectedApplication.runOptimistically}. */
class SelectionAttempt implements Attempt {
  readonly #application: SelectedApplication;
  readonly #exchange: CardExchange;

  constructor(application: SelectedApplication, exchange: CardExchange) {
    this.#application = application;
    this.#exchange = exchange;
  }

  get confirmed(): boolean {
    return this.#application.isConfirmed;
  }

  async confirm(): Promise<void> {
    if (!(await this.#application.confirm(this.#exchange))) this.startOver();
  }

  startOver(): never {
    throw new StartOver();
  }

  proved<T>(result: T, isRight: boolean): T {
    if (!isRight) this.startOver();
    this.#application.confirmed();
    return result;
  }
}

/** Ends work that another application answered; caught where the work is repeated. */
class StartOver extends CardError {
  constructor() {
    super("another program selected another application on this card");
  }
}

/** Usual minimum of the tries: fewer mean that a wrong PIN was given, on a card that does not report its maximum. */
const USUAL_TRIES = 3;

/** Counts of a {@link Card} by which it is known how long something is valid. */
export type CardCounts = Pick<Card, "resets"> & Partial<Pick<Card, "transaction" | "effects">>;

/** What a card says of a PIN without being given it. */
export type PinReport = Pick<PinStatus, "triesLeft" | "verified" | "isSet">;

/** The known state of one PIN of a card, or of another value that the card verifies. All rules for it are here. */
export class PinState {
  readonly #card: CardCounts;
  /** The card's report, and the transaction and number of {@link Card.effects} for which it is valid. */
  #report: { readonly told: PinReport; readonly transaction: number; readonly effects: number } | undefined;
  /** {@link Card.resets} when the card last reported it as verified. */
  #verifiedAt: number | undefined;
  /** Whether the card has reported a verified PIN since the last right one: only then is a negative report reliable. */
  #hasAffirmed = false;
  /** Whether an unexplained refusal has been tolerated since. */
  #wasRefused = false;
  /** The highest number of tries left that was seen. */
  #mostTries = USUAL_TRIES;

  /** @param card Without the last two counts, the card is asked for its report each time. */
  constructor(card: CardCounts) {
    this.#card = card;
  }

  /**
   * The card's report, asked for once in a transaction unless this process has sent something that may have changed it. Only within a
   * transaction.
   */
  async reported(ask: () => Promise<PinReport>): Promise<PinReport> {
    const { transaction, effects } = this.#card;
    if (transaction === undefined || effects === undefined) return ask();
    if (this.#report?.transaction === transaction && this.#report.effects === effects) return this.#report.told;
    this.#report = undefined;
    const told = await ask();
    // A card that says nothing may have failed by accident.
    const isAnswer = told.verified || told.triesLeft !== undefined || told.isSet === false;
    if (isAnswer && this.#card.effects === effects) this.#report = { told, transaction, effects };
    return told;
  }

  /** Whether the card reported it as verified, and was not reset since. */
  get isVerified(): boolean {
    return this.#verifiedAt === this.#card.resets;
  }

  /**
   * Runs `command`, which presents the PIN to the card. Until it succeeds the PIN counts as not verified, because a
   * wrong one also cancels an earlier right one. A call that was cancelled before anything was sent changes nothing.
   * @param keeps Whether an error of `command` means that the card did not check the PIN, so that an earlier right one
   *   still holds.
   */
  async present(command: () => Promise<void>, keeps: (error: unknown) => boolean = () => false): Promise<void> {
    const before = this.#verifiedAt;
    this.#verifiedAt = undefined;
    try {
      await command();
    } catch (error) {
      if (error instanceof CardCancelledError || keeps(error)) this.#verifiedAt = before;
      // The wrong PIN spent one.
      if (error instanceof PinError && error.reason === "incorrect") this.#sawTries((error.triesLeft ?? 0) + 1);
      throw error;
    }
    this.#verifiedAt = this.#card.resets;
    this.#hasAffirmed = false;
    this.#wasRefused = false;
  }

  /** As {@link present}, for a command that sets the PIN without verifying it: success does not change the state. */
  async replace(command: () => Promise<void>): Promise<void> {
    const before = this.#verifiedAt;
    this.#verifiedAt = undefined;
    try {
      await command();
    } catch (error) {
      if (error instanceof CardCancelledError) this.#verifiedAt = before;
      throw error;
    }
    this.#verifiedAt = before;
  }

  /** The card was told to forget the PIN, or a reset will do it. */
  forget(): void {
    this.#verifiedAt = undefined;
  }

  /** A use that needs the PIN succeeded. */
  served(): void {
    this.#wasRefused = false;
  }

  /**
   * The card refused something that needs this PIN, which counts as verified. A YubiKey also refuses a key without a
   * touch, and one with firmware before 4.3.2 reports a verified PIN as not verified. So a negative report is believed
   * only if the card gave a positive one since the PIN; otherwise one refusal is tolerated.
   * @param verified The card's report without a PIN; undefined if there is none.
   * @returns Whether the PIN still counts as verified; if not, the state is cleared.
   */
  outlasts(verified: boolean | undefined): boolean {
    if (verified === true) {
      this.#affirm();
      return true;
    }
    if (this.#wasRefused || (this.#hasAffirmed && verified === false)) {
      this.forget();
      return false;
    }
    this.#wasRefused = true;
    return true;
  }

  /** Whether the card's report that the PIN is not verified is reliable. */
  get hasAffirmed(): boolean {
    return this.#hasAffirmed;
  }

  #affirm(): void {
    if (!this.isVerified) return;
    this.#hasAffirmed = true;
    this.#wasRefused = false;
  }

  /** Completes the card's report by the observed counter. */
  status(told: PinReport, maxTries?: number): PinStatus {
    const { triesLeft } = told;
    if (told.verified) this.#affirm();
    this.#sawTries(triesLeft ?? 0);
    const countLow = triesLeft !== undefined && triesLeft < (maxTries ?? this.#mostTries);
    return { ...told, maxTries, countLow };
  }

  #sawTries(tries: number): void {
    this.#mostTries = Math.max(this.#mostTries, tries);
  }
}

/** Whether the card holds a PIN as verified, by its answer to the empty VERIFY; undefined if that is unclear. */
export function isToldVerified({ triesLeft, verified, isSet }: PinReport): boolean | undefined {
  return verified || (triesLeft === undefined && isSet !== false ? undefined : false);
}

/** The tries that are left, for error messages: "1 try is left", "2 tries are left". */
export function triesLeftText(triesLeft: number): string {
  return `${triesLeft === 1 ? "1 try is" : `${triesLeft} tries are`} left`;
}

/** Runs the exchange in which the card changes a PIN. */
export type ChangingExchange = (exchange: () => Promise<void>) => Promise<void>;

/**
 * Runs `work`, which changes a PIN.
 * @param card Its holds end, because their uses expect the old one ({@link Card.holdTurn}).
 * @param what The PIN that is changed, for the error.
 * @param work Sends the command by calling its argument. An earlier error has changed nothing.
 * @throws {PinUncertainError} if the command was sent, but its answer is lost or malformed.
 */
export async function changingPin(
  card: Pick<Card, "endHolds">,
  what: string,
  work: (changing: ChangingExchange) => Promise<void>,
): Promise<void> {
  const command = { isSent: false };
  try {
    await work(async (exchange) => {
      command.isSent = true;
      card.endHolds();
      await exchange();
      command.isSent = false;
    });
  } catch (error) {
    const isLost = error instanceof CardAccessError || error instanceof MalformedAnswerError;
    // A call that is cancelled during the exchange is finished in the background, like any write.
    if (!command.isSent || !isLost || error instanceof CardCancelledError) throw error;
    throw new PinUncertainError(what, error);
  }
}
