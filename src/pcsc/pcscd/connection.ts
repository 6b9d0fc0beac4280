import { wipe } from "../../bytes/index.ts";
import {
  type CallOptions,
  Deadline,
  pause,
  SerialQueue,
  signalOf,
  throwIfAborted,
  untilAborted,
} from "../../async/index.ts";
import {
  type CardConnection,
  type Disposition,
  type ExchangeOptions,
  type Initialization,
  type ReaderState,
  SCARD_DISPOSITION,
  SCARD_PROTOCOL,
} from "../types.ts";
import { PcscError, unnoticedReset } from "../error.ts";
import { answered } from "./link.ts";
import { Fairness } from "./fairness.ts";
import { check, type Handle, readReaders } from "./session.ts";
import {
  ATTRIBUTE,
  BEGIN,
  COMMAND,
  CONTROL,
  CONTROL_REPLY,
  DISCONNECT,
  END,
  HEADER_SIZE,
  MAX_ATTRIBUTE,
  MAX_PAYLOAD,
  RECONNECT,
  type Reply,
  request,
  requestFrame,
  TRANSMIT_REPLY,
  TransmitFrame,
} from "./protocol.ts";
import {
  badOptions,
  answerTime,
  cancelled,
  CLOSE_WITHIN,
  isSharingViolation,
  noAnswer,
  patiently,
  pauseBetweenTries,
  type WaitLimits,
} from "../waiting.ts";

/** Milliseconds until the daemon notices a card's removal: it polls every 400 ms. */
const NOTICE_REMOVAL = 1_000;
const LOOK_EVERY = 50;
/** The header of a command APDU (ISO/IEC 7816-3 12.1). */
const SHORTEST_COMMAND = 4;
/** Bytes of the status word, with which every response APDU ends. */
const STATUS_WORD = 2;

/** Errors that an exchange may also have when the card is removed during it. */
const BROKEN_EXCHANGE = ["SCARD_E_NOT_TRANSACTED", "SCARD_F_COMM_ERROR"] as const;

/** SCARD_ATTR_ATR_STRING: the driver answers, not the card. */
const ATTR_ATR_STRING = 0x00090303;

/**
 * A card through pcscd. Each has its own socket, and so its own thread of the daemon: a slow card does not delay
 * others. Calls run one after the other; one that finds the card held by another program is repeated until the time
 * limit.
 */
export class PcscdConnection implements CardConnection {
  readonly #handle: Handle;
  readonly #limits: Required<WaitLimits>;
  readonly #calls = new SerialQueue(cancelled);
  readonly #fairness = new Fairness();
  #state: ReaderState | undefined;
  #protocol: number;
  #frame: TransmitFrame;
  #leaving: Promise<void> | undefined;

  constructor(handle: Handle, limits: Required<WaitLimits>) {
    this.#handle = handle;
    this.#limits = limits;
    this.#state = handle.state;
    this.#protocol = handle.protocol;
    this.#frame = new TransmitFrame(handle.card, handle.protocol);
  }

  get reader(): string {
    return this.#handle.reader;
  }

  get atr(): Uint8Array {
    return this.#state?.atr ?? new Uint8Array(0);
  }

  get protocol(): number {
    return this.#protocol;
  }

  transmit(command: Uint8Array, options: ExchangeOptions = {}): Promise<Uint8Array> {
    return this.#inTurn(() => this.#patiently(() => this.#transmit(command, options), options.signal), options);
  }

  begin(options: CallOptions = {}): Promise<void> {
    return this.#inTurn(() => this.#begin(options.signal), options);
  }

  end(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    return this.#inTurn(() => this.#end(disposition));
  }

  reconnect(initialization: Initialization = 0): Promise<void> {
    return this.#inTurn(() => this.#patiently(() => this.#reconnect(initialization)));
  }

  control(code: number, data: Uint8Array, options: ExchangeOptions = {}): Promise<Uint8Array> {
    return this.#inTurn(() => this.#control(code, data, options), options);
  }

  attribute(id: number): Promise<Uint8Array> {
    return this.#inTurn(() => this.#attribute(id));
  }

  async alone(): Promise<boolean> {
    const state = await this.#inTurn(() => answered(this.#handle.link, this.#look()));
    return state?.sharing === 1 || state?.sharing === -1;
  }

  disconnect(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    this.#leaving ??= this.#leave(disposition);
    return this.#leaving;
  }

  /** An exchange without an answer is abandoned: the daemon ends it when the socket is closed. */
  async #leave(disposition: Disposition): Promise<void> {
    const idle = this.#inTurn(() => Promise.resolve());
    const late = (): PcscError => new PcscError("SCARD_E_CANCELLED", "the connection was closed");
    await new Deadline(CLOSE_WITHIN).race(idle, late).catch((error: unknown) => {
      this.#handle.link.close(error instanceof PcscError ? error : late());
    });
    await this.#inTurn(() => this.#disconnect(disposition));
  }

  /** Like {@link disconnect}, without waiting for a pending call, which fails with SCARD_E_CANCELLED. */
  async close(): Promise<void> {
    if (this.#calls.busy) this.#handle.link.close(new PcscError("SCARD_E_CANCELLED", "the connection was closed"));
    await this.disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect();
  }

  async #inTurn<T>(work: () => Promise<T>, options?: CallOptions): Promise<T> {
    const signal = signalOf(options, badOptions);
    return untilAborted(this.#calls.run(work, signal), signal, cancelled);
  }

  #patiently<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return patiently(this.#limits.patience, attempt, signal);
  }

  async #transmit(command: Uint8Array, options: ExchangeOptions): Promise<Uint8Array> {
    const shortest = this.#protocol === SCARD_PROTOCOL.RAW ? 1 : SHORTEST_COMMAND;
    if (command.length < shortest || command.length > MAX_PAYLOAD) {
      const detail = `a command has ${shortest} to ${MAX_PAYLOAD} bytes, this one ${command.length}`;
      throw new PcscError("SCARD_E_INVALID_PARAMETER", detail);
    }
    try {
      const { head, payload } = await this.#exchange(this.#frame.with(command), TRANSMIT_REPLY, options);
      check(head.rv);
      // Some drivers report success when the card is removed during the command.
      if (payload.length < STATUS_WORD) throw new PcscError("SCARD_E_NOT_TRANSACTED", "the card gave no status word");
      return payload;
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      this.#frame.wipe();
    }
  }

  /** pcscd cannot cancel a request: abandoning one means abandoning the connection. */
  #exchange<T>(
    message: Uint8Array,
    reply: Reply<T>,
    options: ExchangeOptions = {},
  ): Promise<{ readonly head: T; readonly payload: Uint8Array }> {
    const { link } = this.#handle;
    return answered(link, link.request(message, reply), answerTime(this.#limits, options), noAnswer);
  }

  /** Finds out the state of the card after a failed exchange, if the daemon's own error says less. */
  async #explain(error: unknown): Promise<unknown> {
    const explained = unnoticedReset(error, this.#protocol);
    if (explained !== error || !(error instanceof PcscError)) return explained;
    const gone = error.is("SCARD_E_NO_SMARTCARD") || (error.is(...BROKEN_EXCHANGE) && (await this.#isGone()));
    return gone ? new PcscError("SCARD_W_REMOVED_CARD", undefined, { cause: error }) : error;
  }

  /** Whether the card of the last (re)connect is gone, as soon as the daemon notices. */
  async #isGone(): Promise<boolean> {
    for (let waited = 0; waited < NOTICE_REMOVAL && !this.#handle.link.closed; waited += LOOK_EVERY) {
      const now = await this.#look().catch(() => this.#state);
      if (!now?.present || now.events !== this.#state?.events) return true;
      await pause(LOOK_EVERY);
    }
    return false;
  }

  /**
   * Begins a transaction, waiting for other programs. A refused BEGIN takes the daemon 100 ms (winscard.c), so while
   * another program holds the card, the reader is asked for an attribute instead, which is refused at once.
   */
  async #begin(signal?: AbortSignal): Promise<void> {
    const deadline = new Deadline(this.#limits.patience);
    const gap = this.#fairness.gapBefore(performance.now());
    if (gap > 0) await pause(gap, signal, cancelled);
    for (;;) {
      throwIfAborted(signal, cancelled);
      try {
        await this.#beginNow();
        break;
      } catch (error) {
        if (!isSharingViolation(error) || deadline.passed) throw error;
        this.#fairness.waited(performance.now());
        await this.#waitUntilFree(deadline, signal);
      }
    }
    if (!signal?.aborted) return;
    await this.#end(SCARD_DISPOSITION.LEAVE_CARD);
    throw cancelled(signal.reason);
  }

  async #beginNow(): Promise<void> {
    const { card } = this.#handle;
    const { head } = await this.#exchange(request(COMMAND.BEGIN_TRANSACTION, BEGIN, { card }), BEGIN);
    check(head.rv);
  }

  async #waitUntilFree(deadline: Deadline, signal?: AbortSignal): Promise<void> {
    while (!deadline.passed) {
      await pauseBetweenTries(signal);
      try {
        await this.#attribute(ATTR_ATR_STRING);
        return;
      } catch (error) {
        // BEGIN reports any other error.
        if (!isSharingViolation(error)) return;
      }
    }
  }

  async #end(disposition: Disposition): Promise<void> {
    const { link, card } = this.#handle;
    const ended = link.request(request(COMMAND.END_TRANSACTION, END, { card, disposition }), END);
    const { head } = await answered(link, ended);
    check(head.rv);
    this.#fairness.ended(performance.now());
  }

  async #reconnect(initialization: Initialization): Promise<void> {
    const { link, card, share, protocols } = this.#handle;
    const message = request(COMMAND.RECONNECT, RECONNECT, { card, share, protocols, initialization });
    const asked = Promise.all([link.request(message, RECONNECT), this.#look()]);
    const [{ head }, state] = await answered(link, asked, this.#limits.exchangeTimeout, noAnswer);
    check(head.rv);
    this.#state = state;
    this.#protocol = head.protocol;
    this.#frame = new TransmitFrame(card, head.protocol);
  }

  async #control(code: number, data: Uint8Array, options: ExchangeOptions): Promise<Uint8Array> {
    if (data.length > MAX_PAYLOAD) {
      const detail = `a control command has up to ${MAX_PAYLOAD} bytes, this one ${data.length}`;
      throw new PcscError("SCARD_E_INVALID_PARAMETER", detail);
    }
    const values = { card: this.#handle.card, code, sendLength: data.length, receiveLength: MAX_PAYLOAD };
    const frame = requestFrame(COMMAND.CONTROL, CONTROL, values, data.length);
    frame.set(data, HEADER_SIZE + CONTROL.size);
    try {
      const { head, payload } = await this.#exchange(frame, CONTROL_REPLY, options);
      check(head.rv);
      return payload;
    } finally {
      wipe(frame);
    }
  }

  async #attribute(id: number): Promise<Uint8Array> {
    const { card } = this.#handle;
    const message = request(COMMAND.GET_ATTRIB, ATTRIBUTE, { card, id, length: MAX_ATTRIBUTE });
    const { head } = await this.#exchange(message, ATTRIBUTE);
    check(head.rv);
    if (head.length > MAX_ATTRIBUTE) {
      throw new PcscError("SCARD_F_COMM_ERROR", `pcscd announced an attribute of ${head.length} bytes`);
    }
    return head.value.subarray(0, head.length);
  }

  async #look(): Promise<ReaderState | undefined> {
    const readers = await readReaders(this.#handle.link, this.#handle.minor);
    return readers.find(({ name }) => name === this.reader);
  }

  async #disconnect(disposition: Disposition): Promise<void> {
    const { link, card } = this.#handle;
    if (link.closed) return;
    // LEAVE_CARD needs no request to the daemon.
    const leaves = disposition === SCARD_DISPOSITION.LEAVE_CARD;
    const message = request(COMMAND.DISCONNECT, DISCONNECT, { card, disposition });
    const refused = (): PcscError => new PcscError("SCARD_E_SHARING_VIOLATION");
    try {
      const limit = leaves ? CLOSE_WITHIN : this.#limits.patience;
      const { head } = await answered(link, link.request(message, DISCONNECT), limit, refused);
      check(head.rv);
    } catch (error) {
      if (!leaves) throw error;
    } finally {
      link.close();
    }
  }
}
