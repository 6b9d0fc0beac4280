import { setMaxListeners } from "node:events";
import {
  type CallOptions,
  Deadline,
  pause,
  SerialQueue,
  signalOf,
  throwIfAborted,
  untilAborted,
} from "../../async/index.ts";
import { copySecret, wipe } from "../../bytes/index.ts";
import { PcscError, unnoticedReset } from "../error.ts";
import type { CardLock } from "../memory/slot.ts";
import {
  type CardConnection,
  type Disposition,
  type ExchangeOptions,
  type Initialization,
  SCARD_DISPOSITION,
  SCARD_SHARE,
} from "../types.ts";
import { badOptions, cancelled, CLOSE_WITHIN, patiently } from "../waiting.ts";
import { AddonHandle, type AddonHandleOptions, MAX_PAYLOAD, POWER_UP } from "./handle.ts";
import type { AddonCards } from "./module.ts";
import type { AddonWatch } from "./watch.ts";

const ATTR_ATR_STRING = 0x00090303;
/** Milliseconds until pcscd notices a removal: it polls every 400 ms. */
const NOTICE_REMOVAL = 1000;
const LOOK_EVERY = 50;

/** A card through the addon. `openAddon` lists the addon's limits. */
export class AddonConnection implements CardConnection {
  readonly #handle: AddonHandle;
  readonly #watch: AddonWatch;
  readonly #options: AddonHandleOptions;
  readonly #lock: CardLock;
  readonly #calls = new SerialQueue(cancelled);
  readonly #closing = new AbortController();
  #atr: Uint8Array = new Uint8Array();
  /** Whether this connection's END reset the card, which all connections see until they reconnect. */
  #reset = false;

  constructor(cards: AddonCards, watch: AddonWatch, options: AddonHandleOptions) {
    this.#handle = new AddonHandle(cards, options);
    this.#watch = watch;
    this.#options = options;
    this.#lock = cards.lock(options.name);
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
    return this.#handle.protocol;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Call this first. If it fails, call {@link abandon}. */
  async open(signal?: AbortSignal): Promise<void> {
    await this.#whenFree(() => this.#connect(signal), signal);
  }

  transmit(command: Uint8Array, options: ExchangeOptions = {}): Promise<Uint8Array> {
    if (command.length < 1 || command.length > MAX_PAYLOAD) {
      const detail = `a command has 1 to ${MAX_PAYLOAD} bytes, this one ${command.length}`;
      return Promise.reject(new PcscError("SCARD_E_INVALID_PARAMETER", detail));
    }
    // The addon copies the bytes when it starts the call, perhaps after the caller has wiped its own.
    const bytes = Buffer.from(copySecret(command).buffer);
    const transmit = (): Promise<Uint8Array> => {
      this.#refuseReset();
      return this.#handle.transmit(bytes, options);
    };
    return this.#exchange(transmit, bytes, options, true);
  }

  control(code: number, data: Uint8Array, options: ExchangeOptions = {}): Promise<Uint8Array> {
    if (data.length > MAX_PAYLOAD) {
      const detail = `a control command has up to ${MAX_PAYLOAD} bytes, this one ${data.length}`;
      return Promise.reject(new PcscError("SCARD_E_INVALID_PARAMETER", detail));
    }
    const bytes = Buffer.from(data);
    const control = (): Promise<Uint8Array> => {
      if (this.#lock.heldByOther(this)) throw new PcscError("SCARD_E_SHARING_VIOLATION");
      return this.#handle.control(code, bytes, options);
    };
    return this.#exchange(control, bytes, options, false);
  }

  /** An exchange, waiting for other programs if it `waits`. One without an answer ends the connection. */
  #exchange(
    work: () => Promise<Uint8Array>,
    bytes: Uint8Array,
    options: CallOptions,
    waits: boolean,
  ): Promise<Uint8Array> {
    const attempt = async (): Promise<Uint8Array> => {
      const answer = await work();
      const copy = copySecret(answer);
      wipe(answer);
      return copy;
    };
    let begun = false;
    const exchange = async (): Promise<Uint8Array> => {
      begun = true;
      try {
        return await (waits
          ? this.#whenFree(() => this.#patiently(attempt, options.signal), options.signal)
          : attempt());
      } catch (error) {
        if (error instanceof PcscError && error.is("SCARD_E_TIMEOUT")) void this.abandon(error);
        return await this.#explain(error);
      } finally {
        wipe(bytes);
      }
    };
    return this.#inTurn(exchange, options).finally(() => {
      // A call that has begun may go on behind its caller, and needs the bytes.
      if (!begun) wipe(bytes);
    });
  }

  begin(options: CallOptions = {}): Promise<void> {
    const { signal } = options;
    return this.#inTurn(async () => {
      this.#refuseReset();
      await this.#whenFree(() => {
        this.#lock.take(this);
      }, signal);
      try {
        await this.#patiently(() => this.#handle.probe(signal), signal);
      } catch (error) {
        this.#lock.give(this);
        throw error;
      }
    }, options);
  }

  end(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    return this.#inTurn(async () => {
      this.#refuseReset();
      if (disposition !== SCARD_DISPOSITION.LEAVE_CARD) {
        if (this.#lock.heldByOther(this)) throw new PcscError("SCARD_E_SHARING_VIOLATION");
        await this.#reconnect(disposition);
        this.#reset = true;
      }
      this.#lock.give(this);
    });
  }

  reconnect(initialization: Initialization = 0): Promise<void> {
    return this.#inTurn(() =>
      this.#whenFree(async () => {
        await this.#reconnect(initialization);
        this.#reset = false;
      }),
    );
  }

  alone(): Promise<boolean> {
    // The addon does not report how many programs share the card.
    return this.#inTurn(() => Promise.resolve(false));
  }

  attribute(id: number): Promise<Uint8Array> {
    return this.#inTurn(() => {
      if (id === ATTR_ATR_STRING && this.#atr.length > 0) return Promise.resolve(this.#atr.slice());
      throw new PcscError("SCARD_E_UNSUPPORTED_FEATURE", "the pcsclite addon has no SCardGetAttrib");
    });
  }

  async disconnect(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    if (this.closed) return;
    const leave = async (): Promise<void> => {
      if (this.closed) return;
      try {
        if (disposition === SCARD_DISPOSITION.LEAVE_CARD)
          await this.#handle.disconnect(disposition).catch(() => undefined);
        else await this.#whenFree(() => this.#handle.disconnect(disposition));
      } finally {
        await this.abandon();
      }
    };
    const left = new Deadline(CLOSE_WITHIN).race(this.#inTurn(leave), () => {
      void this.abandon();
      return new PcscError("SCARD_E_CANCELLED");
    });
    await left.catch((error: unknown) => {
      if (error instanceof PcscError && error.is("SCARD_E_SHARING_VIOLATION")) throw error;
    });
  }

  /**
   * Ends the connection at once. The addon releases the card when the pending call is over, and resets it after a
   * transaction, as pcscd does for a program that dies.
   * @param reason The error of the pending calls.
   */
  async abandon(reason = new PcscError("SCARD_E_CANCELLED", "the connection was closed meanwhile")): Promise<void> {
    if (this.closed) return;
    const disposition = this.#lock.heldBy(this) ? SCARD_DISPOSITION.RESET_CARD : SCARD_DISPOSITION.LEAVE_CARD;
    this.#closing.abort(reason);
    await this.#handle.release(disposition);
    this.#lock.release(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  async #connect(signal?: AbortSignal): Promise<void> {
    await this.#handle.connect([signal, this.#closing.signal]);
    const { name, share } = this.#options;
    const wanted = share === SCARD_SHARE.DIRECT ? 0 : POWER_UP;
    const state = await this.#watch.waitFor(name, (now) => (now?.atr.length ?? 0) > 0, wanted);
    this.#atr = state?.atr ?? new Uint8Array();
  }

  /** Replaces SCardReconnect; there is a moment without a connection. */
  async #reconnect(disposition: Disposition): Promise<void> {
    await this.#handle.disconnect(disposition);
    await this.#connect();
  }

  /** A failed exchange looks the same with and without a card, until the service has polled the reader. */
  async #explain(error: unknown): Promise<never> {
    const broken = error instanceof PcscError && error.is("SCARD_E_NOT_TRANSACTED", "SCARD_F_COMM_ERROR");
    for (let waited = 0; broken && waited < NOTICE_REMOVAL && !this.closed; waited += LOOK_EVERY) {
      await this.#handle.probe().catch((found: unknown) => {
        throw found instanceof PcscError ? new PcscError(found.code, undefined, { cause: error }) : found;
      });
      await pause(LOOK_EVERY);
    }
    throw unnoticedReset(error, this.protocol);
  }

  async #inTurn<T>(work: () => Promise<T>, options?: CallOptions): Promise<T> {
    if (this.closed) throw closed();
    const signals = [signalOf(options, badOptions), this.#closing.signal];
    return untilAborted(this.#calls.run(work, signals), signals, cancelled);
  }

  #patiently<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return patiently(this.#options.patience, attempt, [signal, this.#closing.signal]);
  }

  /** Runs `work` once no other connection of this process holds the card. */
  #whenFree<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const wait = { deadline: new Deadline(this.#options.patience), signals: [signal, this.#closing.signal] };
    return this.#lock.whenFree(this, work, wait);
  }

  #refuseReset(): void {
    throwIfAborted(this.#closing.signal, cancelled);
    if (!this.#handle.connected) throw new PcscError("SCARD_W_REMOVED_CARD");
    if (this.#reset) throw new PcscError("SCARD_W_RESET_CARD");
  }
}

function closed(): PcscError {
  return new PcscError(
    "SCARD_E_INVALID_HANDLE",
    "the connection is closed, or closed after an abandoned call; connect again",
  );
}
