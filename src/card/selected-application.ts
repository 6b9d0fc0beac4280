import type { CallOptions } from "../async/index.ts";
import { CardError, MalformedAnswerError } from "../apdu/index.ts";
import type { Card } from "./card.ts";
import type { CardExchange, HoldOptions } from "./contract.ts";

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
  /** {@link Card.transaction} of the last confirmation. */
  #confirmedIn: number | undefined;

  constructor(card: Card, selection: Selection) {
    this.#card = card;
    this.#selection = selection;
  }

  /** Whether the application is confirmed in the present transaction. */
  get isConfirmed(): boolean {
    return this.#card.selected === this && this.#confirmedIn === this.#card.transaction;
  }

  /** Records a confirmation, in the present transaction. */
  confirmed(): void {
    this.#confirmedIn = this.#card.transaction;
    this.#card.selected = this;
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
