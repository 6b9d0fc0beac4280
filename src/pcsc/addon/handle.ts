import { Deadline, type Signals, throwIfAborted, untilAborted } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import { type Disposition, type ExchangeOptions, SCARD_PROTOCOL, SCARD_SHARE, type ShareMode } from "../types.ts";
import { answerTime, cancelled, noAnswer, type WaitLimits } from "../waiting.ts";
import { type AddonCards, addonError, type AddonReader } from "./module.ts";

/** What pcsc-lite takes and gives at most (MAX_BUFFER_SIZE_EXTENDED); more than any APDU. */
export const MAX_PAYLOAD = 65_548;
const CM_IOCTL_GET_FEATURE_REQUEST = 3400;
/** A card may take so long to be powered. */
export const POWER_UP = 2000;
const STATUS_WORD = 2;

export interface AddonHandleOptions extends Required<WaitLimits> {
  readonly name: string;
  readonly share: ShareMode;
  readonly protocols: number;
}

/** The calls of one connection to the addon, as promises, one at a time. Every rejection is a {@link PcscError}. */
export class AddonHandle {
  readonly #cards: AddonCards;
  readonly #options: AddonHandleOptions;
  #native: AddonReader;
  #protocol: number = SCARD_PROTOCOL.UNDEFINED;
  /** The call under way, which may have been given up here: until it ends there is no other. */
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

  /** In force since {@link connect}. */
  get protocol(): number {
    return this.#protocol;
  }

  /** Connects; with the same native object, unless its context is of a service that is gone. */
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
   * @param command Copied by the addon when its turn has come.
   * @param options An abort keeps back a command that waits for the call before it.
   */
  async transmit(command: Uint8Array, options: ExchangeOptions): Promise<Uint8Array> {
    const call = this.#call<Uint8Array>((native, done) => {
      native.transmit(command, MAX_PAYLOAD, this.#protocol, done);
    }, options.signal);
    const answer = await this.#answered(call, options);
    // Some drivers call it a success when the card was pulled out before it could answer.
    if (answer.length < STATUS_WORD) throw new PcscError("SCARD_E_NOT_TRANSACTED", "the card gave no status word");
    return answer;
  }

  /** @param data The addon works on these bytes themselves until it has answered; they are wiped then. */
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
   * Finds out whether somebody else has the card, or has reset it, or it is gone. pcsc-lite looks at all this before it
   * finds that the protocol given is not the one in force (`winscard.c`, SCardTransmit), and the card hears nothing.
   * Elsewhere the reader is asked for its features, which nobody minds.
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

  /** When the addon is done with what it was told, lets go of the card, and of the native object. */
  async release(disposition: Disposition): Promise<void> {
    this.#released = true;
    await this.#busy;
    this.#busy = undefined;
    await this.disconnect(disposition).catch(() => undefined);
    this.#cards.give(this.#native);
  }

  /** One call of the addon, which answers by a callback. */
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

/** For what the addon cannot cut short and another program's transaction may hold up without an end. */
function inTime<T>(call: Promise<T>, milliseconds: number, signals?: Signals): Promise<T> {
  const timely = new Deadline(milliseconds).race(call, () => new PcscError("SCARD_E_SHARING_VIOLATION"));
  return untilAborted(timely, signals, cancelled);
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

/** What a probe has to tell; other refusals mean that it came through. SCARD_E_CANCELLED is the caller's own. */
const IN_THE_WAY = [
  ...LOST_CONTEXT,
  "SCARD_E_CANCELLED",
  "SCARD_E_SHARING_VIOLATION",
  "SCARD_E_READER_UNAVAILABLE",
  "SCARD_E_NO_SMARTCARD",
  "SCARD_W_RESET_CARD",
  "SCARD_W_REMOVED_CARD",
] as const;
