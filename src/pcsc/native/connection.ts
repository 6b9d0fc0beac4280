import { setMaxListeners } from "node:events";
import {
  type CallOptions,
  Deadline,
  LONGEST_TIMER,
  pause,
  SerialQueue,
  signalOf,
  throwIfAborted,
  untilAborted,
} from "../../async/index.ts";
import { copySecret, wipe } from "../../bytes/index.ts";
import { PcscError, unnoticedReset } from "../error.ts";
import type { CardLock } from "../memory/slot.ts";
import { Fairness } from "../pcscd/fairness.ts";
import {
  type CardConnection,
  type Disposition,
  type ExchangeOptions,
  type Initialization,
  SCARD_DISPOSITION,
  SCARD_PROTOCOL,
  SCARD_SHARE,
  type ShareMode,
} from "../types.ts";
import {
  answerTime,
  badOptions,
  cancelled,
  CLOSE_WITHIN,
  isSharingViolation,
  noAnswer,
  patiently,
  pauseBetweenTries,
  type WaitLimits,
} from "../waiting.ts";
import { type Handle, MAX_PAYLOAD, memory, type Winscard } from "./winscard.ts";

export interface NativeConnectionOptions extends Required<WaitLimits> {
  readonly name: string;
  readonly share: ShareMode;
  readonly protocols: number;
}

const ATTR_ATR_STRING = 0x00090303;
/** Milliseconds until the service notices a removal: pcscd polls every 400 ms. */
const NOTICE_REMOVAL = 1_000;
const LOOK_EVERY = 50;
/** Milliseconds that powering a card may take. */
const POWER_UP = 2_000;
/** Milliseconds after the patience in which a call may still say by itself that the card is taken. */
const GRACE = 500;
/** Bytes of the status word, with which every response APDU ends. */
const STATUS_WORD = 2;
/** The header of a command APDU (ISO/IEC 7816-3 12.1). */
const SHORTEST_COMMAND = 4;

/** A card through the system's library. `openNative` lists its limits. */
export class NativeConnection implements CardConnection {
  readonly #winscard: Winscard;
  readonly #options: NativeConnectionOptions;
  readonly #lock: CardLock;
  readonly #calls = new SerialQueue(cancelled);
  readonly #closing = new AbortController();
  readonly #fairness = new Fairness();
  /** Memory for answers: one call at a time. */
  readonly #room = memory(MAX_PAYLOAD);
  #context: Handle | undefined;
  #card: Handle | undefined;
  #protocol: number = SCARD_PROTOCOL.UNDEFINED;
  #atr: Uint8Array = new Uint8Array();
  #ended: Promise<void> | undefined;

  /** @param lock Keeps the other connections of this process away: the library of some systems lets them wait in a thread. */
  constructor(winscard: Winscard, lock: CardLock, options: NativeConnectionOptions) {
    this.#winscard = winscard;
    this.#lock = lock;
    this.#options = options;
    // Every pending call adds a listener; there may be many.
    setMaxListeners(0, this.#closing.signal);
  }

  get reader(): string {
    return this.#options.name;
  }

  get atr(): Uint8Array {
    return this.#atr;
  }

  get protocol(): number {
    return this.#protocol;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Call this first. If it fails, call {@link abandon}. */
  open(signal?: AbortSignal): Promise<void> {
    // pcscd lets a program that connects wait for the end of another one's transaction.
    return this.#notForEver(Math.max(this.#options.patience, POWER_UP), signal, (limited) =>
      this.#inTurn(() => this.#whenFree(() => this.#connect(), limited), { signal: limited }),
    );
  }

  transmit(command: Uint8Array, options: ExchangeOptions = {}): Promise<Uint8Array> {
    const shortest = this.#protocol === SCARD_PROTOCOL.RAW ? 1 : SHORTEST_COMMAND;
    if (command.length < shortest || command.length > MAX_PAYLOAD) {
      const detail = `a command has ${shortest} to ${MAX_PAYLOAD} bytes, this one ${command.length}`;
      return Promise.reject(this.#closedError() ?? new PcscError("SCARD_E_INVALID_PARAMETER", detail));
    }
    const exchange = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const answer = await this.#winscard.transmit(this.#open(), this.#protocol, bytes, this.#room);
      // Some drivers report success when the card is removed during the command.
      if (answer.length < STATUS_WORD) throw new PcscError("SCARD_E_NOT_TRANSACTED", "the card gave no status word");
      return answer;
    };
    return this.#exchange(command, options, (bytes) =>
      this.#whenFree(() => this.#patiently(() => exchange(bytes), options.signal), options.signal),
    );
  }

  control(code: number, data: Uint8Array, options: ExchangeOptions = {}): Promise<Uint8Array> {
    if (data.length > MAX_PAYLOAD) {
      const detail = `a control command has up to ${MAX_PAYLOAD} bytes, this one ${data.length}`;
      return Promise.reject(new PcscError("SCARD_E_INVALID_PARAMETER", detail));
    }
    return this.#exchange(data, options, (bytes) => {
      this.#requireFree();
      return this.#winscard.control(this.#open(), code, bytes, this.#room);
    });
  }

  /** An exchange with a copy of the bytes, which the caller may wipe. One without an answer ends the connection. */
  #exchange(
    source: Uint8Array,
    options: ExchangeOptions,
    work: (bytes: Uint8Array) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const bytes = copySecret(source);
    let begun = false;
    const timeout = answerTime(this.#options, options);
    const exchange = async (): Promise<Uint8Array> => {
      begun = true;
      const call = work(bytes).then((answer) => {
        const copy = copySecret(answer);
        wipe(answer);
        return copy;
      });
      try {
        return await call;
      } catch (error) {
        throw await this.#explain(error);
      } finally {
        wipe(bytes);
      }
    };
    const inTime = (): Promise<Uint8Array> => {
      const running = exchange();
      void new Deadline(timeout)
        .race(running, () => noAnswer(timeout))
        .catch((error: unknown) => {
          if (error instanceof PcscError && error.is("SCARD_E_TIMEOUT")) void this.abandon(error);
        });
      return running;
    };
    return this.#inTurn(inTime, options).finally(() => {
      // A call that has begun may go on behind its caller, and needs the bytes.
      if (!begun) wipe(bytes);
    });
  }

  begin(options: CallOptions = {}): Promise<void> {
    const signal = signalOf(options, badOptions);
    // Windows and macOS let a program wait for the end of another one's transaction.
    return this.#notForEver(this.#options.patience + GRACE, signal, (limited) =>
      this.#inTurn(() => this.#begin(limited), { signal: limited }),
    );
  }

  end(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    return this.#inTurn(() => this.#end(disposition));
  }

  reconnect(initialization: Initialization = 0): Promise<void> {
    return this.#inTurn(() =>
      this.#whenFree(() =>
        this.#patiently(async () => {
          const { share, protocols } = this.#options;
          this.#protocol = await this.#winscard.reconnect(this.#open(), share, protocols, initialization);
          await this.#readAtr();
        }),
      ),
    );
  }

  alone(): Promise<boolean> {
    // The library does not report how many programs share the card.
    return this.#inTurn(() => Promise.resolve(false));
  }

  attribute(id: number): Promise<Uint8Array> {
    return this.#inTurn(() => {
      this.#requireFree();
      return this.#winscard.attribute(this.#open(), id);
    });
  }

  async disconnect(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    if (this.closed) return this.#ended;
    const leaves = disposition === SCARD_DISPOSITION.LEAVE_CARD;
    const leave = async (): Promise<void> => {
      if (!leaves) {
        await this.#whenFree(() => this.#patiently(() => this.#winscard.disconnect(this.#open(), disposition)));
        this.#card = undefined;
      }
    };
    const late = (): PcscError => new PcscError("SCARD_E_CANCELLED");
    const limit = leaves ? CLOSE_WITHIN : Math.max(CLOSE_WITHIN, this.#options.patience);
    const idle = new Deadline(CLOSE_WITHIN).race(
      this.#inTurn(() => Promise.resolve()),
      late,
    );
    try {
      await idle;
      await new Deadline(limit).race(this.#inTurn(leave), late);
    } catch (error) {
      if (isSharingViolation(error)) throw error;
    } finally {
      await new Deadline(CLOSE_WITHIN).race(this.abandon(), late).catch(() => undefined);
    }
  }

  /**
   * Ends the connection at once. The card is released when the pending call is over, and reset after a transaction, as pcscd does for a
   * program that dies.
   * @param reason The error of the pending calls.
   */
  abandon(reason = new PcscError("SCARD_E_CANCELLED", "the connection was closed meanwhile")): Promise<void> {
    this.#closing.abort(reason);
    this.#ended ??= this.#calls.run(async () => {
      const disposition = this.#lock.heldBy(this) ? SCARD_DISPOSITION.RESET_CARD : SCARD_DISPOSITION.LEAVE_CARD;
      if (this.#card !== undefined) await this.#winscard.disconnect(this.#card, disposition).catch(() => undefined);
      if (this.#context !== undefined) await this.#winscard.release(this.#context).catch(() => undefined);
      this.#card = this.#context = undefined;
      this.#lock.release(this);
    });
    return this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  async #connect(): Promise<void> {
    const { name, share, protocols } = this.#options;
    this.#context ??= await this.#winscard.establish();
    const context = this.#context;
    const { card, protocol } = await this.#patiently(() => this.#winscard.connect(context, name, share, protocols));
    this.#card = card;
    this.#protocol = share === SCARD_SHARE.DIRECT ? SCARD_PROTOCOL.UNDEFINED : protocol;
    await this.#readAtr();
  }

  async #readAtr(): Promise<void> {
    const none = (): Uint8Array => new Uint8Array();
    // A direct connection may have no card.
    const read = this.#winscard.atr(this.#open());
    this.#atr = await (this.#options.share === SCARD_SHARE.DIRECT ? read.catch(none) : read);
  }

  /**
   * Begins a transaction, waiting for other programs. pcscd takes 100 ms to refuse it, so while another program holds the card, the
   * reader is asked for an attribute instead, which is refused at once.
   */
  async #begin(signal?: AbortSignal): Promise<void> {
    const deadline = new Deadline(this.#options.patience);
    await this.#whenFree(() => {
      this.#lock.take(this);
    }, signal);
    try {
      const gap = this.#lock.depth > 1 ? 0 : this.#fairness.gapBefore(performance.now());
      if (gap > 0) await pause(gap, this.#signals(signal), cancelled);
      await this.#beginWithin(deadline, signal);
    } catch (error) {
      this.#giveLock();
      throw await this.#explain(error);
    }
    if (!signal?.aborted) return;
    await this.#end(SCARD_DISPOSITION.LEAVE_CARD);
    throw cancelled(signal.reason);
  }

  async #beginWithin(deadline: Deadline, signal?: AbortSignal): Promise<void> {
    for (;;) {
      throwIfAborted(this.#signals(signal), cancelled);
      try {
        await this.#winscard.begin(this.#open());
        return;
      } catch (error) {
        if (!isSharingViolation(error) || deadline.passed) throw error;
        this.#fairness.waited(performance.now());
        await this.#waitUntilFree(deadline, signal);
      }
    }
  }

  async #waitUntilFree(deadline: Deadline, signal?: AbortSignal): Promise<void> {
    while (!deadline.passed) {
      await pauseBetweenTries(this.#signals(signal));
      try {
        await this.#winscard.attribute(this.#open(), ATTR_ATR_STRING);
        return;
      } catch (error) {
        // The next attempt reports any other error.
        if (!isSharingViolation(error)) return;
      }
    }
  }

  async #end(disposition: Disposition): Promise<void> {
    try {
      await this.#winscard.end(this.#open(), disposition);
    } catch (error) {
      // After a reset or a removal there is no transaction.
      if (error instanceof PcscError && error.is("SCARD_W_RESET_CARD", "SCARD_W_REMOVED_CARD")) this.#giveLock();
      throw error;
    }
    this.#fairness.ended(performance.now());
    this.#giveLock();
  }

  #giveLock(): void {
    if (this.#lock.heldBy(this)) this.#lock.give(this);
  }

  /** Finds out the state of the card after a failed exchange, if the service's own error says less. */
  async #explain(error: unknown): Promise<unknown> {
    const explained = unnoticedReset(error, this.#protocol);
    if (explained !== error || !(error instanceof PcscError)) return explained;
    const broken = error.is("SCARD_E_NOT_TRANSACTED", "SCARD_F_COMM_ERROR");
    const gone = error.is("SCARD_E_NO_SMARTCARD") || (broken && (await this.#isGone()));
    return gone ? new PcscError("SCARD_W_REMOVED_CARD", undefined, { cause: error }) : error;
  }

  /** Whether the card is gone, as soon as the service notices. */
  async #isGone(): Promise<boolean> {
    for (let waited = 0; waited < NOTICE_REMOVAL && !this.closed; waited += LOOK_EVERY) {
      try {
        await this.#winscard.atr(this.#open());
      } catch (error) {
        return error instanceof PcscError && error.is("SCARD_W_REMOVED_CARD", "SCARD_E_NO_SMARTCARD");
      }
      await pause(LOOK_EVERY);
    }
    return false;
  }

  async #inTurn<T>(work: () => Promise<T>, options?: CallOptions): Promise<T> {
    const closed = this.#closedError();
    if (closed) throw closed;
    const signals = this.#signals(signalOf(options, badOptions));
    return untilAborted(this.#calls.run(work, signals), signals, cancelled);
  }

  /** Ends the wait for a native call, which cannot be interrupted: SCARD_E_SHARING_VIOLATION after `milliseconds`. */
  async #notForEver<T>(
    milliseconds: number,
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limit = new AbortController();
    const timer = setTimeout(
      () => {
        limit.abort(new PcscError("SCARD_E_SHARING_VIOLATION"));
      },
      Math.min(milliseconds, LONGEST_TIMER),
    );
    try {
      return await call(signal ? AbortSignal.any([limit.signal, signal]) : limit.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  #patiently<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return patiently(this.#options.patience, attempt, this.#signals(signal));
  }

  /** Runs `work` once no other connection of this process holds the card. */
  #whenFree<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const wait = { deadline: new Deadline(this.#options.patience), signals: this.#signals(signal) };
    return this.#lock.whenFree(this, work, wait);
  }

  #requireFree(): void {
    if (this.#lock.heldByOther(this)) throw new PcscError("SCARD_E_SHARING_VIOLATION");
  }

  #signals(signal?: AbortSignal): readonly (AbortSignal | undefined)[] {
    return [signal, this.#closing.signal];
  }

  /** The card's handle. */
  #open(): Handle {
    throwIfAborted(this.#closing.signal, cancelled);
    if (this.#card === undefined) throw new PcscError("SCARD_E_INVALID_HANDLE");
    return this.#card;
  }

  #closedError(): PcscError | undefined {
    if (!this.closed) return undefined;
    return new PcscError(
      "SCARD_E_INVALID_HANDLE",
      "the connection is closed, or closed after an abandoned call; connect again",
    );
  }
}
