import { CardError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { equalBytes } from "../bytes/index.ts";
import { type Attempt, type Card, type CardExchange, SelectedApplication } from "../card/index.ts";
import { type AppletAddress, addressName, selectApplet, selectObject } from "./commands.ts";

/** Sends a command to the applet that is selected, and gives the answer, whatever its status word. */
export type CacExchange = CardExchange["send"];

/** The card has no such applet, or the applet no such object. */
export class NoSuchPlaceError extends CardError {
  override readonly name = "NoSuchPlaceError";
}

/**
 * The applets of a CAC card that other programs may use as well. Which one is selected decides whose key signs and whose PIN is
 * verified. SELECT drops no verified PIN on these cards, so it serves to confirm as well.
 */
export class CacSession {
  readonly card: Card;
  readonly #places = new Map<string, SelectedApplication>();
  /** The place that was used last. */
  #current: SelectedApplication | undefined;
  /** The applet that was selected last, and {@link Card.transaction} in which. */
  #applet: { readonly aid: Uint8Array; readonly transaction: number } | undefined;

  constructor(card: Card) {
    this.card = card;
  }

  /**
   * Runs `work` with `place` selected and the card to itself.
   * @throws {NoSuchPlaceError} if the card does not have it.
   */
  at<T>(place: AppletAddress, work: (send: CacExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const application = this.#place(place);
    return application.runConfirmed(({ send }) => this.#unlessLost(application, () => work(send)), signal);
  }

  /**
   * As {@link at}, for work that only reads. If the place was selected by an earlier call and the card refuses, the card may have lost
   * its selection: the place is selected anew, and the work runs once more.
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
   * As {@link at}, without a SELECT if `place` was selected last. After a refusal the work runs again, with `place` selected
   * beyond doubt, and so it does if it says by the attempt that the answer is not the place's.
   */
  optimisticallyAt<T>(
    place: AppletAddress,
    work: (send: CacExchange, attempt: Attempt) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const application = this.#place(place);
    let runs = 0;
    return application.runOptimistically(async ({ send }, attempt) => {
      const isTrusted = runs++ === 0 && application.isConfirmed;
      const verifying: CacExchange = async (command) => {
        const answer = await send(command);
        if (answer.sw === SW.OK) return answer;
        // Selected by an earlier call, and perhaps no more.
        if (isTrusted) this.#forget(application);
        await attempt.confirm();
        return answer;
      };
      try {
        return await work(verifying, attempt);
      } catch (error) {
        // The applet may hold the first parts of a block; it drops them when it is selected (libcacard, cac.c).
        this.#forget(application);
        throw error;
      }
    }, signal);
  }

  #forget(application: SelectedApplication | undefined): void {
    application?.forget();
    this.#applet = undefined;
  }

  /** After a refusal that a card gives which has lost its selection, the place is selected anew before its next work. */
  async #unlessLost<T>(application: SelectedApplication | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (mayBeLost(error)) this.#forget(application);
      throw error;
    }
  }

  /** As {@link at}, but `place` is selected in any case: some applets remember how far they were read. */
  afresh<T>(place: AppletAddress, work: (send: CacExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#place(place).runReselected(({ send }) => work(send), signal);
  }

  /** Runs `work` with some applet of the card selected, whichever it is: `place`, if none is. */
  anywhere<T>(place: AppletAddress, work: (send: CacExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.card.exclusively(async (exchange) => {
      if (this.#current?.isConfirmed !== true) await this.#place(place).confirm(exchange);
      return this.#unlessLost(this.#current, () => work(exchange.send));
    }, signal);
  }

  /** Makes the card forget all that was verified. */
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
        // SELECT itself costs no more and drops nothing.
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
      // What the applet tells of itself is not fetched: 61xx is success.
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

/** Whether a card that has lost its selection may have said so: a PIN that is wrong, or wanted, is the applet's own answer. */
function mayBeLost(error: unknown): boolean {
  return error instanceof StatusError && error.sw !== SW.SECURITY_STATUS_NOT_SATISFIED;
}

/** How cards say that something is not there; the first CAC knows no better word than an unknown instruction. */
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
