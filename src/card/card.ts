import { CardChannel, supportsExtendedLength, type Transmit } from "../apdu/index.ts";
import { type CardConnection, SCARD_DISPOSITION, SCARD_PROTOCOL } from "../pcsc/index.ts";
import { CardAccessError, CardCancelledError, CardResetError, reached } from "./access-error.ts";
import type { CardFinding } from "./types.ts";

/** Wraps the transport of every exchange, for a trace. */
export type TransmitWrapper = (transmit: Transmit, reader: string) => Transmit;

/** Hears of what is found wrong on the card in `reader`: of each thing once, when it is found. */
export type FindingSink = (finding: CardFinding, reader: string) => void;

export interface CardOptions {
  readonly wrap?: TransmitWrapper;
  readonly findings?: FindingSink;
}

/**
 * A card in a reader, shared with other sessions, other applications and other programs. {@link exclusively} is the
 * only way to it: callers in this process take turns, and a PC/SC transaction keeps other programs out meanwhile.
 */
export class Card implements AsyncDisposable {
  readonly #connection: CardConnection;
  readonly #channel: CardChannel;
  readonly #findings: FindingSink | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #resets = 0;
  /** A transaction goes on over the calls ({@link hold}). */
  #held = false;

  constructor(connection: CardConnection, options: CardOptions = {}) {
    this.#connection = connection;
    this.#findings = options.findings;
    const transmit: Transmit = (command, signal) => connection.transmit(command, signal);
    const wrapped = options.wrap?.(transmit, connection.reader) ?? transmit;
    this.#channel = new CardChannel((command, signal) => reached(wrapped(command, signal)), {
      form: supportsExtendedLength(connection.atr) ? "extended" : "short",
      t0: connection.protocol === SCARD_PROTOCOL.T0,
    });
  }

  get reader(): string {
    return this.#connection.reader;
  }

  get atr(): Uint8Array {
    return this.#connection.atr;
  }

  /**
   * How often the card was reset by somebody since it was connected. What a caller knows of the card's volatile state
   * (selected application, verified PINs, security environment) holds for one value of this number.
   */
  get resets(): number {
    return this.#resets;
  }

  /** Something on the card is not as it should be: whoever asked to hear of it does. */
  report(finding: CardFinding): void {
    this.#findings?.(finding, this.reader);
  }

  /** Whether nobody else is connected to the card, as far as the resource manager tells ({@link CardConnection.alone}). */
  alone(): Promise<boolean> {
    return reached(this.#connection.alone());
  }

  /**
   * A command for the reader itself (SCardControl). What reaches the card by it belongs into {@link exclusively}.
   * @throws {CardAccessError} if the reader does not know it.
   */
  control(code: number, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return reached(this.#connection.control(code, data, signal));
  }

  /**
   * Runs `work` with the card to itself. A reset by another program is taken up first, and counted in {@link resets};
   * one that happens in the middle of `work` ends it with {@link CardResetError}.
   * @throws {CardAccessError} a CardBusyError if another program keeps the card, a CardGoneError; what `work` throws.
   */
  exclusively<T>(work: (channel: CardChannel) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#inTurn(() => (this.#held ? work(this.#channel) : this.#transaction(work, signal)), signal);
  }

  /**
   * Keeps other programs away from the card until what it gives is disposed of. Callers in this process are not kept away: they
   * take turns as before, within the one transaction.
   * @throws {CardAccessError} as {@link exclusively}.
   */
  async hold(signal?: AbortSignal): Promise<AsyncDisposable> {
    await this.#inTurn(async () => {
      await this.#begin(signal);
      this.#held = true;
    }, signal);
    return {
      [Symbol.asyncDispose]: (): Promise<void> =>
        this.#inTurn(() => {
          this.#held = false;
          // What became of the calls in between was told to their callers.
          return this.#end(true);
        }),
    };
  }

  #inTurn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    let begun = false;
    const mine = this.#turn.then(() => {
      begun = true;
      return work();
    });
    this.#turn = mine.catch(() => undefined);
    if (!signal) return mine;
    return new Promise((resolve, reject) => {
      // Only the line is left at once: of what has begun, the end is worth knowing.
      const leave = (): void => {
        if (!begun) reject(cancelled(signal));
      };
      if (signal.aborted) leave();
      signal.addEventListener("abort", leave, { once: true });
      const settled = (): void => {
        signal.removeEventListener("abort", leave);
      };
      mine.finally(settled).then(resolve, reject);
    });
  }

  /** Resets the card: every application forgets what was verified. Other programs are told by SCARD_W_RESET_CARD. */
  reset(): Promise<void> {
    return this.exclusively(async () => {
      this.#resets++;
      await reached(this.#connection.reconnect(SCARD_DISPOSITION.RESET_CARD));
    });
  }

  async #transaction<T>(work: (channel: CardChannel) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) throw cancelled(signal);
    await this.#begin(signal);
    let disturbed = false;
    try {
      return await work(this.#channel);
    } catch (error) {
      disturbed = error instanceof CardAccessError;
      throw error;
    } finally {
      await this.#end(disturbed);
    }
  }

  async #begin(signal?: AbortSignal): Promise<void> {
    try {
      await reached(this.#connection.begin(signal));
    } catch (error) {
      if (!(error instanceof CardResetError)) throw error;
      await this.#takeUp();
      await reached(this.#connection.begin(signal));
    }
  }

  /** After an error of the transport the lock may be gone with the card, and the first error is the one to tell. */
  async #end(disturbed: boolean): Promise<void> {
    try {
      await reached(this.#connection.end());
    } catch (error) {
      if (error instanceof CardResetError) {
        // pcscd refuses END while a reset is pending, and keeps the lock: reconnect, then end (winscard.c).
        await this.#takeUp();
        await this.#connection.end().catch(() => undefined);
      } else if (!disturbed) throw error;
    }
  }

  async #takeUp(): Promise<void> {
    this.#resets++;
    await reached(this.#connection.reconnect());
  }

  /** Ends the connection after the calls under way; the card is left as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn;
    await this.#connection.disconnect();
  }
}

function cancelled(signal: AbortSignal): CardCancelledError {
  return new CardCancelledError("the call was cancelled", { cause: signal.reason });
}
