import { CardError, MalformedAnswerError } from "../apdu/index.ts";
import type { Card } from "./card.ts";
import type { CardExchange, ExclusiveAccess } from "./contract.ts";

/** How a profile selects its application, and how it proves that the application is selected. */
export interface Selection {
  /** Selects the application. On many cards this drops a verified PIN. */
  select(exchange: CardExchange): Promise<void>;
  /**
   * One exchange that succeeds with this application only, and drops no verified PIN.
   * @returns Whether the application is selected; false also if this card has nothing to ask for.
   */
  probe(exchange: CardExchange): Promise<boolean>;
}

/** Work that was sent before the application was confirmed. */
export interface Attempt {
  /** Whether the application is confirmed in this transaction, so that an answer is its own. */
  readonly confirmed: boolean;
  /**
   * Confirms the application after an answer that another one may have given. If another one is selected, the work starts over
   * with the right one selected: it must let the error of this method pass.
   */
  confirm(): Promise<void>;
  /** Starts the work over, with the application confirmed: the answer was not this application's. */
  startOver(): never;
}

/**
 * One application of a card that other programs may use as well. Another program can select another application between two
 * transactions and leave unseen, so the selection is confirmed at most for the transaction under way. The one place for this rule.
 */
export class SelectedApplication {
  readonly #card: Card;
  readonly #selection: Selection;
  /** {@link Card.resets} when the application was last selected. */
  #selectedAt: number | undefined;
  /** {@link Card.transaction} in which the application was last seen to be selected. */
  #confirmedIn: number | undefined;

  constructor(card: Card, selection: Selection) {
    this.#card = card;
    this.#selection = selection;
  }

  /** Whether the application was seen to be selected in the transaction under way. */
  get isConfirmed(): boolean {
    return this.#isLatest && this.#confirmedIn === this.#card.transaction;
  }

  /** This process selected the application since the last reset, and no other one after it. */
  get #isLatest(): boolean {
    return this.#selectedAt === this.#card.resets && this.#card.selected === this;
  }

  /** The application was seen to be selected, in the transaction under way. */
  confirmed(): void {
    this.#selectedAt = this.#card.resets;
    this.#confirmedIn = this.#card.transaction;
    this.#card.selected = this;
  }

  /** Selects the application anew before its next work: an exchange that failed may have left it in the middle of something. */
  forget(): void {
    this.#selectedAt = undefined;
    this.#confirmedIn = undefined;
  }

  /**
   * Runs `work` with the application selected beyond doubt: for what must not reach another application even once, because it
   * spends a try of a PIN, uses a key whose result cannot be checked, or writes.
   * @param access A hold of the card, for work within it.
   */
  runConfirmed<T>(
    work: (exchange: CardExchange) => Promise<T>,
    signal?: AbortSignal,
    access: ExclusiveAccess = this.#card,
  ): Promise<T> {
    return access.exclusively(async (exchange) => {
      await this.confirm(exchange);
      return work(exchange);
    }, signal);
  }

  /** As {@link runConfirmed}, with the application selected anew even if it is selected. */
  runReselected<T>(work: (exchange: CardExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#card.exclusively(async (exchange) => {
      await this.#select(exchange);
      return work(exchange);
    }, signal);
  }

  /**
   * Runs `work` without asking first whether the application is still selected. `work` checks each answer that may be another
   * application's ({@link Attempt}), and may run twice.
   * @param access A hold of the card, for work within it.
   */
  runOptimistically<T>(
    work: (exchange: CardExchange, attempt: Attempt) => Promise<T>,
    signal?: AbortSignal,
    access: ExclusiveAccess = this.#card,
  ): Promise<T> {
    return access.exclusively(async (exchange) => {
      if (!this.#isLatest) await this.#select(exchange);
      try {
        return await work(exchange, new SelectionAttempt(this, exchange));
      } catch (error) {
        // What does not parse may be another application's answer.
        const isDoubtful = error instanceof MalformedAnswerError && !this.isConfirmed;
        if (!(error instanceof StartOver) && !isDoubtful) throw error;
        await this.confirm(exchange);
        return work(exchange, new SelectionAttempt(this, exchange));
      }
    }, signal);
  }

  /**
   * Confirms the application, or selects it if another one is selected. Only with the card to itself.
   * @returns Whether it was selected before.
   */
  async confirm(exchange: CardExchange): Promise<boolean> {
    if (this.isConfirmed || (await this.#isSelected(exchange))) return true;
    await this.#select(exchange);
    return false;
  }

  /** Without a selection since the reset there is nothing to confirm. */
  async #isSelected(exchange: CardExchange): Promise<boolean> {
    if (!this.#isLatest) return false;
    if (!(await this.#selection.probe(exchange))) return false;
    this.confirmed();
    return true;
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
}

/** Ends work that another application answered; caught where it runs again. */
class StartOver extends CardError {
  constructor() {
    super("another program selected another application on this card");
  }
}
