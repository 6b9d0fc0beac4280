import type { CallOptions } from "../async/index.ts";
import { CardError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { equalBytes } from "../bytes/index.ts";
import { type Attempt, type Card, type CardExchange, SelectedApplication } from "../card/index.ts";
import { type AppletAddress, addressName, selectApplet, selectObject } from "./commands.ts";

/** Sends a command to the selected applet, and returns the answer with any status word. */
export type CacExchange = CardExchange["send"];

/** The card has no such applet, or the applet has no such object. */
export class NoSuchPlaceError extends CardError {
  override readonly name = "NoSuchPlaceError";
}

/**
 * The applets of a CAC card that other programs may use too. The selected applet determines the key that signs and the
 * PIN that is verified. SELECT keeps verified PINs on these cards, so it also serves as a confirmation.
 */
export class CacSession {
  readonly card: Card;
  readonly #places = new Map<string, SelectedApplication>();
  /** The last place that was used. */
  #current: SelectedApplication | undefined;
  /** The last applet that was selected, and in which {@link Card.transaction}. */
  #applet: { readonly aid: Uint8Array; readonly transaction: number } | undefined;

  constructor(card: Card) {
    this.card = card;
  }

  /**
   * Runs `work` with `place` selected and exclusive use of the card.
   * @throws {NoSuchPlaceError} if the card does not have it.
   */
  at<T>(place: AppletAddress, work: (send: CacExchange) => Promise<T>, options?: CallOptions): Promise<T> {
    const application = this.#place(place);
    return application.runConfirmed(({ send }) => this.#unlessLost(application, () => work(send)), options);
  }

  /**
   * As {@link at}, for work that only reads. If an earlier call selected the place and the card refuses, it may have
   * lost its selection: the place is selected again, and the work runs once more.
   */
  reading<T>(place: AppletAddress, work: (send: CacExchange) => Promise<T>): Promise<T> {
    const application = this.#place(place);
    return this.card.exclusively(async (exchange) => {
      const isTrusted = application.isConfirmed;
      const attempt = async (): Promise<T> => {
        await application.confirm(exchange);
        return this.#unlessLost(application, () => work(exchange.send));
      };
      try {
        return await attempt();
      } catch (error) {
        if (!isTrusted || !mayBeLost(error)) throw error;
        return attempt();
      }
    });
  }

  /**
   * As {@link at}, without a SELECT if `place` was selected last. After a refusal the work runs again after a SELECT,
   * also if it reports by the attempt that the answer is not the place's.
   */
  optimisticallyAt<T>(
    place: AppletAddress,
    work: (send: CacExchange, attempt: Attempt) => Promise<T>,
    options?: CallOptions,
  ): Promise<T> {
    const application = this.#place(place);
    let runs = 0;
    return application.runOptimistically(async ({ send }, attempt) => {
      const isTrusted = runs++ === 0 && application.isConfirmed;
      const verifying: CacExchange = async (command) => {
        const answer = await send(command);
        if (answer.sw === SW.OK) return answer;
        // An earlier call selected it; that may no longer hold.
        if (isTrusted) this.#forget(application);
        await attempt.confirm();
        return answer;
      };
      try {
        return await work(verifying, attempt);
      } catch (error) {
        // The applet may hold the first parts of a block; a SELECT drops them (libcacard, cac.c).
        this.#forget(application);
        throw error;
      }
    }, options);
  }

  #forget(application: SelectedApplication | undefined): void {
    application?.forget();
    this.#applet = undefined;
  }

  /** After a refusal by which a card may report a lost selection, the place is selected before the next work. */
  async #unlessLost<T>(application: SelectedApplication | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (mayBeLost(error)) this.#forget(application);
      throw error;
    }
  }

  /** As {@link at}, but `place` is selected in any case: some applets remember how far they were read. */
  afresh<T>(place: AppletAddress, work: (send: CacExchange) => Promise<T>, options?: CallOptions): Promise<T> {
    return this.#place(place).runReselected(({ send }) => work(send), options);
  }

  /** Runs `work` with some applet of the card selected, whichever it is: `place`, if none is. */
  anywhere<T>(place: AppletAddress, work: (send: CacExchange) => Promise<T>, options?: CallOptions): Promise<T> {
    return this.card.exclusively(async (exchange) => {
      if (this.#current?.isConfirmed !== true) await this.#place(place).confirm(exchange);
      return this.#unlessLost(this.#current, () => work(exchange.send));
    }, options);
  }

  /** Runs several pieces of work, with one selection of their place as long as it stays the same ({@link Card.together}). */
  together<T>(work: () => Promise<T>, options?: CallOptions): Promise<T> {
    return this.card.together(work, options);
  }

  /** Makes the card forget all verified PINs. */
  reset(): Promise<void> {
    return this.card.reset();
  }

  #place(place: AppletAddress): SelectedApplication {
    const name = addressName(place);
    let application = this.#places.get(name);
    if (!application) {
      application = new SelectedApplication(this.card, {
        select: async (exchange) => {
          await this.#select(exchange, place);
          this.#current = application;
        },
        // SELECT itself costs no more, and keeps the PIN.
        probe: () => Promise.resolve(false),
      });
      this.#places.set(name, application);
    }
    return application;
  }

  async #select({ send }: CardExchange, { aid, object }: AppletAddress): Promise<void> {
    const selected = this.#applet;
    const isSelected = selected?.transaction === this.card.transaction && equalBytes(selected.aid, aid);
    if (!isSelected || !object) {
      this.#applet = undefined;
      // The file control information is not fetched: 61xx is success.
      check({ aid }, await send(selectApplet(aid), 0));
      this.#applet = { aid, transaction: this.card.transaction };
    }
    if (!object) return;
    try {
      check({ aid, object }, await send(selectObject(object), 0));
    } catch (error) {
      this.#applet = undefined;
      throw error;
    }
  }
}

/** Whether a status word may mean a lost selection: a wrong or missing PIN is the applet's own answer. */
function mayBeLost(error: unknown): boolean {
  return error instanceof StatusError && error.sw !== SW.SECURITY_STATUS_NOT_SATISFIED;
}

/** Status words for something absent; the first CAC answers "instruction not supported". */
const ABSENT: ReadonlySet<number> = new Set([
  SW.FILE_NOT_FOUND,
  SW.REFERENCED_DATA_NOT_FOUND,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.INSTRUCTION_NOT_SUPPORTED,
]);

function check(place: AppletAddress, { sw }: ResponseApdu): void {
  if (sw === SW.OK || sw >> 8 === SW.BYTES_AVAILABLE >> 8) return;
  const action = `SELECT ${addressName(place)}`;
  const cause = new StatusError(action, sw);
  if (ABSENT.has(sw)) throw new NoSuchPlaceError(`the card has no ${addressName(place)}`, { cause });
  throw cause;
}
