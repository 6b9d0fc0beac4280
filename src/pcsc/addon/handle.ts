import { Deadline, type Signals, throwIfAborted, untilAborted } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import { type Disposition, type ExchangeOptions, SCARD_PROTOCOL, SCARD_SHARE, type ShareMode } from "../types.ts";
import { answerTime, cancelled, noAnswer, type WaitLimits } from "../waiting.ts";
import { type AddonCards, addonError, type AddonReader } from "./module.ts";

/** pcsc-lite's limit for commands and answers in bytes (MAX_BUFFER_SIZE_EXTENDED); more than any APDU. */
export const MAX_PAYLOAD = 65_548;
const CM_IOCTL_GET_FEATURE_REQUEST = 3400;
/** Milliseconds that powering a card may take. */
export const POWER_UP = 2000;
const STATUS_WORD = 2;

export interface AddonHandleOptions extends Required<WaitLimits> {
  readonly name: string;
  readonly share: ShareMode;
  readonly protocols: number;
}

/** Promises over the addon's calls for one connection, one at a time. Every rejection is a {@link PcscError}. */
export class AddonHandle {
  readonly #cards: AddonCards;
  readonly #options: AddonHandleOptions;
  #native: AddonReader;
  #protocol: number = SCARD_PROTOCOL.UNDEFINED;
  /** The pending native call, perhaps abandoned by its caller: until it ends no other one starts. */
  #busy: Promise<unknown> | undefined;
  #released = false;

  constructor(cards: AddonCards, options: AddonHandleOptions) {
    this.#cards = cards;
    this.#options = options;
    this.#native = cards.take(options.name);
  }

  get connected(): boolean {
    return this.#native.connected;
  }

  /** The active protocol, since {@link connect}. */
  get protocol(): number {
    return this.#protocol;
  }

  /** Connects, with the same native object unless its context belongs to a service that has ended. */
  async connect(signals: Signals): Promise<void> {
    const { name, share, protocols, patience } = this.#options;
    const connect = (): Promise<number> => {
      const call = this.#call<number>((native, done) => {
        native.connect({ share_mode: share, protocol: protocols }, done);
      });
      return inTime(call, Math.max(patience, POWER_UP), signals);
    };
    const protocol = await connect().catch((error: unknown) => {
      if (!(error instanceof PcscError && error.is(...LOST_CONTEXT))) throw error;
      this.#native = this.#cards.take(name, true);
      return connect();
    });
    this.#protocol = share === SCARD_SHARE.DIRECT ? SCARD_PROTOCOL.UNDEFINED : protocol;
  }

  disconnect(disposition: Disposition): Promise<void> {
    const call = this.#call<undefined>((native, done) => {
      native.disconnect(disposition, (error) => {
        done(error, undefined);
      });
    });
    return inTime(call, this.#options.patience);
  }

  /**
   * @param command Copied by the addon when the call starts.
   * @param options An abort cancels a command that waits for an earlier call.
   */
  async transmit(command: Uint8Array, options: ExchangeOptions): Promise<Uint8Array> {
    const call = this.#call<Uint8Array>((native, done) => {
      native.transmit(command, MAX_PAYLOAD, this.#protocol, done);
    }, options.signal);
    const answer = await this.#answered(call, options);
    // Some drivers report success when the card was removed before it could answer.
    if (answer.length < STATUS_WORD) throw new PcscError("SCARD_E_NOT_TRANSACTED", "the card gave no status word");
    return answer;
  }

  /** @param data The addon works on these bytes until the answer; they are wiped then. */
  control(code: number, data: Uint8Array, options: ExchangeOptions): Promise<Uint8Array> {
    const call = this.#call<Uint8Array>((native, done) => {
      native.control(data, code >>> 0, MAX_PAYLOAD, (error, answer) => {
        data.fill(0);
        done(error, answer);
      });
    }, options.signal);
    return this.#answered(call, options);
  }

  #answered<T>(call: Promise<T>, options: ExchangeOptions): Promise<T> {
    const timeout = answerTime(this.#options, options);
    return new Deadline(timeout).race(call, () => noAnswer(timeout));
  }

  /**
   * Finds out whether another program holds or has reset the card, or the card is gone. pcsc-lite checks all this
   * before it notices that the given protocol is not the active one (`winscard.c`, SCardTransmit), so nothing is sent
   * to the card. On other systems the reader is asked for its features, which is harmless.
   */
  async probe(signal?: AbortSignal): Promise<void> {
    try {
      await inTime(this.#askInVain(), this.#options.patience, signal);
    } catch (error) {
      if (error instanceof PcscError && error.is(...IN_THE_WAY)) throw error;
    }
  }

  async #askInVain(): Promise<void> {
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
  }

  /** Releases the card and the native object once the addon has finished its calls. */
  async release(disposition: Disposition): Promise<void> {
    this.#released = true;
    await this.#busy;
    this.#busy = undefined;
    await this.disconnect(disposition).catch(() => undefined);
    this.#cards.give(this.#native);
  }

  /** Calls a function of the addon, which answers by a callback. */
  async #call<T>(
    start: (native: AddonReader, done: (error: unknown, value: T) => void) => void,
    signal?: AbortSignal,
  ): Promise<T> {
    if (this.#busy) {
      await inTime(this.#busy, this.#options.patience);
      if (this.#released) throw new PcscError("SCARD_E_INVALID_HANDLE");
      throwIfAborted(signal, cancelled);
    }
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
}

/** For calls that the addon cannot interrupt and another program's transaction may block for ever. */
function inTime<T>(call: Promise<T>, milliseconds: number, signals?: Signals): Promise<T> {
  const timely = new Deadline(milliseconds).race(call, () => new PcscError("SCARD_E_SHARING_VIOLATION"));
  return untilAborted(timely, signals, cancelled);
}

const HAS_PCSC_LITE = process.platform !== "darwin" && process.platform !== "win32";

/** Errors of a context whose service has ended. */
const LOST_CONTEXT = [
  "SCARD_E_INVALID_HANDLE",
  "SCARD_E_NO_SERVICE",
  "SCARD_E_SERVICE_STOPPED",
  "SCARD_F_COMM_ERROR",
  "SCARD_F_INTERNAL_ERROR",
] as const;

/**
 * The errors that a probe reports; after any other it has reached the service. SCARD_E_CANCELLED is the caller's own.
 */
const IN_THE_WAY = [
  ...LOST_CONTEXT,
  "SCARD_E_CANCELLED",
  "SCARD_E_SHARING_VIOLATION",
  "SCARD_E_READER_UNAVAILABLE",
  "SCARD_E_NO_SMARTCARD",
  "SCARD_W_RESET_CARD",
  "SCARD_W_REMOVED_CARD",
] as const;
