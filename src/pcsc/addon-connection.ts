import { setMaxListeners } from "node:events";
import { wipe } from "../bytes/index.ts";
import { type AddonReader, addonError } from "./addon-module.ts";
import type { AddonCards } from "./addon-cards.ts";
import type { AddonWatch } from "./addon-watch.ts";
import { refuseAborted, untilAborted } from "./bell.ts";
import { CallQueue } from "./call-queue.ts";
import type { CardLock } from "./card-lock.ts";
import {
  type Disposition,
  type Initialization,
  SCARD_DISPOSITION,
  SCARD_PROTOCOL,
  SCARD_SHARE,
  type ShareMode,
} from "./constants.ts";
import { PcscError } from "./error.ts";
import { patiently, pause } from "./pcscd/waiting.ts";
import type { CardConnection } from "./types.ts";

/** What pcsc-lite takes and gives at most (MAX_BUFFER_SIZE_EXTENDED); more than any APDU. */
const MAX_PAYLOAD = 65_548;
const STATUS_WORD = 2;
const ATTR_ATR_STRING = 0x00090303;
const CM_IOCTL_GET_FEATURE_REQUEST = 3400;
/** A card may take so long to be powered. */
const POWER_UP = 2000;
/** How long a removal may take to be noticed: pcscd looks every 400 ms. */
const NOTICE_REMOVAL = 1000;
const LOOK_EVERY = 50;

export interface AddonConnectionOptions {
  readonly name: string;
  readonly share: ShareMode;
  readonly protocols: number;
  /** Milliseconds to wait for somebody else's transaction. */
  readonly patience: number;
}

/** A card through the addon. What the addon lacks, and what stands in for it, is told at `openAddon`. */
export class AddonConnection implements CardConnection {
  readonly #cards: AddonCards;
  readonly #watch: AddonWatch;
  readonly #options: AddonConnectionOptions;
  readonly #lock: CardLock;
  readonly #calls = new CallQueue();
  readonly #closing = new AbortController();
  #native: AddonReader;
  /** The native call under way, which may have been given up here: until it ends there is no other. */
  #busy: Promise<unknown> | undefined;
  #atr: Uint8Array = new Uint8Array();
  #protocol = 0;
  /** The card was reset by this connection's END, as all connections see it then until they reconnect. */
  #reset = false;

  constructor(cards: AddonCards, watch: AddonWatch, options: AddonConnectionOptions) {
    this.#cards = cards;
    this.#watch = watch;
    this.#options = options;
    this.#lock = cards.lock(options.name);
    this.#native = cards.take(options.name);
    // Every call under way listens to it, and any number may be.
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

  /** Nothing else may be called before. If it fails, {@link abandon}. */
  async open(signal?: AbortSignal): Promise<void> {
    await this.#whenFree(() => this.#connect(signal), signal);
  }

  transmit(command: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    if (command.length < 1 || command.length > MAX_PAYLOAD) {
      const detail = `a command has 1 to ${MAX_PAYLOAD} bytes, this one ${command.length}`;
      return Promise.reject(new PcscError("SCARD_E_INVALID_PARAMETER", detail));
    }
    // The addon copies the bytes when it is called, which may be after the caller has wiped its own.
    const bytes = Buffer.from(command);
    return this.#exchange(async () => {
      this.#refuseReset();
      const answer = await this.#call<Uint8Array>((native, done) => {
        native.transmit(bytes, MAX_PAYLOAD, this.#protocol, done);
      });
      // Some drivers call it a success when the card was pulled out before it could answer.
      if (answer.length < STATUS_WORD) throw new PcscError("SCARD_E_NOT_TRANSACTED", "the card gave no status word");
      return answer;
    }, signal).finally(() => {
      wipe(bytes);
    });
  }

  control(code: number, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    if (data.length > MAX_PAYLOAD) {
      const detail = `a control command has up to ${MAX_PAYLOAD} bytes, this one ${data.length}`;
      return Promise.reject(new PcscError("SCARD_E_INVALID_PARAMETER", detail));
    }
    const bytes = Buffer.from(data);
    return this.#exchange(
      () =>
        this.#call((native, done) => {
          native.control(bytes, code >>> 0, MAX_PAYLOAD, (error, answer) => {
            // The addon works on these bytes themselves: this keeps them until it is done.
            wipe(bytes);
            done(error, answer);
          });
        }),
      signal,
    );
  }

  /** An exchange, patient with other programs; to give it up when it has begun is to give the connection up. */
  #exchange(work: () => Promise<Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
    if (this.closed) return Promise.reject(closed());
    let begun = false;
    const attempt = async (): Promise<Uint8Array> => {
      begun = true;
      try {
        const answer = await work();
        const copy = Uint8Array.from(answer);
        wipe(answer);
        return copy;
      } catch (error) {
        if (error instanceof PcscError && error.is("SCARD_E_SHARING_VIOLATION")) begun = false;
        throw error;
      }
    };
    const exchange = this.#inTurn(
      () =>
        this.#whenFree(() => this.#patiently(attempt, signal), signal).catch((error: unknown) => this.#explain(error)),
      signal,
    );
    return untilAborted(exchange, signal, this.#closing.signal).catch((error: unknown) => {
      if (begun && signal?.aborted) void this.abandon();
      throw error;
    });
  }

  begin(signal?: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      this.#refuseReset();
      await this.#whenFree(() => {
        this.#lock.take(this);
      }, signal);
      try {
        await this.#patiently(() => this.#inTime(this.#probe(), this.#options.patience, signal), signal);
      } catch (error) {
        this.#lock.give(this);
        throw error;
      }
    }, signal);
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
    // The addon does not tell how many share the card.
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
        if (disposition === SCARD_DISPOSITION.LEAVE_CARD) await this.#disconnect(disposition).catch(() => undefined);
        else await this.#whenFree(() => this.#inTime(this.#disconnect(disposition), this.#options.patience));
      } finally {
        await this.abandon();
      }
    };
    await this.#inTurn(leave).catch((error: unknown) => {
      if (error instanceof PcscError && error.is("SCARD_E_SHARING_VIOLATION")) throw error;
    });
  }

  /**
   * Ends the connection at once. The addon lets go of the card when the call under way is over, and resets it if that was
   * in a transaction, as pcscd does for a program that dies.
   */
  async abandon(): Promise<void> {
    if (this.closed) return;
    const disposition = this.#lock.heldBy(this) ? SCARD_DISPOSITION.RESET_CARD : SCARD_DISPOSITION.LEAVE_CARD;
    this.#closing.abort(new PcscError("SCARD_E_CANCELLED", "the connection was closed meanwhile"));
    await this.#busy;
    await this.#disconnect(disposition).catch(() => undefined);
    this.#lock.release(this);
    this.#cards.give(this.#native);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** Connects; with the same native object, unless its context is of a service that is gone. */
  async #connect(signal?: AbortSignal): Promise<void> {
    const { name, share, protocols } = this.#options;
    const connect = (): Promise<number> =>
      this.#inTime(
        this.#call<number>((native, done) => {
          native.connect({ share_mode: share, protocol: protocols }, done);
        }),
        Math.max(this.#options.patience, POWER_UP),
        signal,
        this.#closing.signal,
      );
    this.#protocol = await connect().catch((error: unknown) => {
      if (!(error instanceof PcscError && error.is(...LOST_CONTEXT))) throw error;
      this.#native = this.#cards.take(name, true);
      return connect();
    });
    if (share === SCARD_SHARE.DIRECT) this.#protocol = SCARD_PROTOCOL.UNDEFINED;
    const wanted = share === SCARD_SHARE.DIRECT ? 0 : POWER_UP;
    const state = await this.#watch.waitFor(name, (now) => (now?.atr.length ?? 0) > 0, wanted);
    this.#atr = state?.atr ?? new Uint8Array();
  }

  async #disconnect(disposition: Disposition): Promise<void> {
    await this.#call<undefined>((native, done) => {
      native.disconnect(disposition, (error) => {
        done(error, undefined);
      });
    });
  }

  /** In place of SCardReconnect, for which there is a moment without a connection. */
  async #reconnect(disposition: Disposition): Promise<void> {
    await this.#inTime(this.#disconnect(disposition), this.#options.patience);
    await this.#connect();
  }

  /**
   * Finds out whether somebody else has the card, or has reset it, or it is gone. pcsc-lite looks at all this before it
   * finds that the protocol given is not the one in force (`winscard.c`, SCardTransmit), and the card hears nothing.
   * Elsewhere the reader is asked for its features, which nobody minds.
   */
  async #probe(): Promise<void> {
    try {
      if (!HAS_PCSC_LITE) {
        await this.#call<Uint8Array>((native, done) => {
          native.control(Buffer.alloc(0), native.SCARD_CTL_CODE(CM_IOCTL_GET_FEATURE_REQUEST), 256, done);
        });
      } else if (this.#protocol === SCARD_PROTOCOL.T0 || this.#protocol === SCARD_PROTOCOL.T1) {
        const other = SCARD_PROTOCOL.T0 + SCARD_PROTOCOL.T1 - this.#protocol;
        await this.#call<Uint8Array>((native, done) => {
          native.transmit(Buffer.alloc(4), 256, other, done);
        });
      }
    } catch (error) {
      if (error instanceof PcscError && error.is(...IN_THE_WAY)) throw error;
    }
  }

  /** An exchange that fails while the card is pulled out looks like any that fails, until the service has looked. */
  async #explain(error: unknown): Promise<never> {
    const broken = error instanceof PcscError && error.is("SCARD_E_NOT_TRANSACTED", "SCARD_F_COMM_ERROR");
    for (let waited = 0; broken && waited < NOTICE_REMOVAL && !this.closed; waited += LOOK_EVERY) {
      await this.#probe().catch((found: unknown) => {
        throw found instanceof PcscError ? new PcscError(found.code, undefined, { cause: error }) : found;
      });
      await pause(LOOK_EVERY);
    }
    throw error;
  }

  /** One call of the addon, which answers by a callback. */
  async #call<T>(start: (native: AddonReader, done: (error: unknown, value: T) => void) => void): Promise<T> {
    if (this.#busy) await this.#inTime(this.#busy, this.#options.patience);
    const native = this.#native;
    const call = new Promise<T>((resolve, reject) => {
      start(native, (error, value) => {
        if (error === undefined || error === null) resolve(value);
        else reject(addonError(error));
      });
    });
    const over = call.then(
      () => undefined,
      () => undefined,
    );
    this.#busy = over;
    void over.then(() => {
      if (this.#busy === over) this.#busy = undefined;
    });
    return call;
  }

  /** For what the addon cannot cut short and another program's transaction may hold up without an end. */
  async #inTime<T>(
    call: Promise<T>,
    milliseconds: number,
    ...signals: readonly (AbortSignal | undefined)[]
  ): Promise<T> {
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new PcscError("SCARD_E_SHARING_VIOLATION"));
    }, milliseconds);
    try {
      return await untilAborted(call, ...signals, late.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  #inTurn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.closed) return Promise.reject(closed());
    return this.#calls.run(work, signal, this.#closing.signal);
  }

  #patiently<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const closing = this.#closing.signal;
    return patiently(this.#options.patience, attempt, signal ? AbortSignal.any([signal, closing]) : closing);
  }

  /** Does `work` once no other connection of this process has the card to itself. */
  #whenFree<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const wait = { patience: this.#options.patience, signals: [signal, this.#closing.signal] };
    return this.#lock.whenFree(this, work, wait);
  }

  #refuseReset(): void {
    refuseAborted(this.#closing.signal);
    if (!this.#native.connected) throw new PcscError("SCARD_W_REMOVED_CARD");
    if (this.#reset) throw new PcscError("SCARD_W_RESET_CARD");
  }
}

function closed(): PcscError {
  return new PcscError(
    "SCARD_E_INVALID_HANDLE",
    "the connection is closed, or a call given up closed it; connect again",
  );
}

const HAS_PCSC_LITE = process.platform !== "darwin" && process.platform !== "win32";

/** What a context answers whose service has ended. */
const LOST_CONTEXT = [
  "SCARD_E_INVALID_HANDLE",
  "SCARD_E_NO_SERVICE",
  "SCARD_E_SERVICE_STOPPED",
  "SCARD_F_COMM_ERROR",
  "SCARD_F_INTERNAL_ERROR",
] as const;

/** What {@link AddonConnection.begin} has to know; other refusals mean that the call went through. */
const IN_THE_WAY = [
  ...LOST_CONTEXT,
  "SCARD_E_SHARING_VIOLATION",
  "SCARD_E_READER_UNAVAILABLE",
  "SCARD_E_NO_SMARTCARD",
  "SCARD_W_RESET_CARD",
  "SCARD_W_REMOVED_CARD",
] as const;
