import { wipe } from "../../bytes/index.ts";
import { CallQueue } from "../call-queue.ts";
import { type Disposition, type Initialization, SCARD_DISPOSITION, SCARD_PROTOCOL } from "../constants.ts";
import { PcscError } from "../error.ts";
import type { CardConnection, ReaderState } from "../types.ts";
import { answered } from "./answered.ts";
import type { Handle } from "./handle.ts";
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
} from "./messages.ts";
import { check, readReaders } from "./session.ts";
import { TransmitFrame } from "./transmit-frame.ts";
import { abortion, patiently, pause, stoppable, untilAborted } from "../waiting.ts";

/** How long the daemon may take to notice that a card is gone: it looks every 400 ms. */
const NOTICE_REMOVAL = 1_000;
const LOOK_EVERY = 50;
/** The header of a command APDU (ISO/IEC 7816-3 12.1). */
const SHORTEST_COMMAND = 4;
/** What every response APDU ends with, in bytes. */
const STATUS_WORD = 2;

/** An exchange during which the card is pulled out looks like any other that breaks. */
const BROKEN_EXCHANGE = ["SCARD_E_NOT_TRANSACTED", "SCARD_F_COMM_ERROR"] as const;

const CLOSED_BY_CANCEL = "a cancelled call closed the connection; connect again";

/**
 * A card through pcscd. Each has a socket of its own, and so a thread of the daemon's: a card that takes long holds up
 * nobody else. Calls take turns; one that finds the card kept by another program is made again until patience ends.
 */
export class PcscdConnection implements CardConnection {
  readonly #handle: Handle;
  /** Milliseconds. */
  readonly #patience: number;
  readonly #calls = new CallQueue();
  #state: ReaderState | undefined;
  #protocol: number;
  #frame: TransmitFrame;
  #leaving: Promise<void> | undefined;

  constructor(handle: Handle, patience: number) {
    this.#handle = handle;
    this.#patience = patience;
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

  transmit(command: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#inTurn(() => this.#patiently(() => this.#transmit(command, signal), signal), signal);
  }

  begin(signal?: AbortSignal): Promise<void> {
    return this.#inTurn(() => this.#patiently(() => this.#begin(signal), signal), signal);
  }

  end(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    return this.#inTurn(() => this.#end(disposition));
  }

  reconnect(initialization: Initialization = 0): Promise<void> {
    return this.#inTurn(() => this.#patiently(() => this.#reconnect(initialization)));
  }

  control(code: number, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#inTurn(() => this.#patiently(() => this.#control(code, data, signal), signal), signal);
  }

  attribute(id: number): Promise<Uint8Array> {
    return this.#inTurn(() => this.#patiently(() => this.#attribute(id)));
  }

  async alone(): Promise<boolean> {
    const state = await this.#inTurn(() => answered(this.#handle.link, this.#look()));
    return state?.sharing === 1 || state?.sharing === -1;
  }

  disconnect(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    this.#leaving ??= this.#inTurn(() => this.#disconnect(disposition));
    return this.#leaving;
  }

  /** {@link disconnect}, without waiting for a call under way: that one fails with SCARD_E_CANCELLED. */
  async close(): Promise<void> {
    if (this.#calls.busy) this.#handle.link.close(new PcscError("SCARD_E_CANCELLED", "the connection was closed"));
    await this.disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect();
  }

  #inTurn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return untilAborted(this.#calls.run(work, signal), signal);
  }

  #patiently<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return patiently(this.#patience, attempt, signal);
  }

  async #transmit(command: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const shortest = this.#protocol === SCARD_PROTOCOL.RAW ? 1 : SHORTEST_COMMAND;
    if (command.length < shortest || command.length > MAX_PAYLOAD) {
      const detail = `a command has ${shortest} to ${MAX_PAYLOAD} bytes, this one ${command.length}`;
      throw new PcscError("SCARD_E_INVALID_PARAMETER", detail);
    }
    try {
      const { head, payload } = await this.#exchange(this.#frame.with(command), TRANSMIT_REPLY, signal);
      check(head.rv);
      // Some drivers call it a success when the card goes away while it works.
      if (payload.length < STATUS_WORD) throw new PcscError("SCARD_E_NOT_TRANSACTED", "the card gave no status word");
      return payload;
    } catch (error) {
      throw await this.#explain(error);
    } finally {
      this.#frame.wipe();
    }
  }

  /** pcscd cannot take a request back: to give one up is to give the connection up. */
  #exchange<T>(
    message: Uint8Array,
    reply: Reply<T>,
    signal?: AbortSignal,
  ): Promise<{ readonly head: T; readonly payload: Uint8Array }> {
    const { link } = this.#handle;
    if (!signal) return link.request(message, reply);
    const stop = (reason: PcscError): void => {
      link.close(reason, new PcscError("SCARD_E_INVALID_HANDLE", CLOSED_BY_CANCEL));
    };
    return stoppable(signal, stop, () => link.request(message, reply));
  }

  /** What an exchange that failed says of the card, where the daemon's own answer says less. */
  async #explain(error: unknown): Promise<unknown> {
    if (!(error instanceof PcscError)) return error;
    // The daemon forgets the protocol with every power-up; a reset that races with a reconnect shows in nothing else.
    if (error.is("SCARD_E_PROTO_MISMATCH") && this.#protocol !== SCARD_PROTOCOL.UNDEFINED) {
      return new PcscError("SCARD_W_RESET_CARD", undefined, { cause: error });
    }
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

  async #begin(signal?: AbortSignal): Promise<void> {
    const { link, card } = this.#handle;
    const { head } = await link.request(request(COMMAND.BEGIN_TRANSACTION, BEGIN, { card }), BEGIN);
    check(head.rv);
    if (!signal?.aborted) return;
    await this.#end(SCARD_DISPOSITION.LEAVE_CARD);
    throw abortion(signal);
  }

  async #end(disposition: Disposition): Promise<void> {
    const { link, card } = this.#handle;
    const ended = link.request(request(COMMAND.END_TRANSACTION, END, { card, disposition }), END);
    const { head } = await answered(link, ended);
    check(head.rv);
  }

  async #reconnect(initialization: Initialization): Promise<void> {
    const { link, card, share, protocols } = this.#handle;
    const message = request(COMMAND.RECONNECT, RECONNECT, { card, share, protocols, initialization });
    const [{ head }, state] = await Promise.all([link.request(message, RECONNECT), this.#look()]);
    check(head.rv);
    this.#state = state;
    this.#protocol = head.protocol;
    this.#frame = new TransmitFrame(card, head.protocol);
  }

  async #control(code: number, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    if (data.length > MAX_PAYLOAD) {
      const detail = `a control command has up to ${MAX_PAYLOAD} bytes, this one ${data.length}`;
      throw new PcscError("SCARD_E_INVALID_PARAMETER", detail);
    }
    const values = { card: this.#handle.card, code, sendLength: data.length, receiveLength: MAX_PAYLOAD };
    const frame = requestFrame(COMMAND.CONTROL, CONTROL, values, data.length);
    frame.set(data, HEADER_SIZE + CONTROL.size);
    try {
      const { head, payload } = await this.#exchange(frame, CONTROL_REPLY, signal);
      check(head.rv);
      return payload;
    } finally {
      wipe(frame);
    }
  }

  async #attribute(id: number): Promise<Uint8Array> {
    const { link, card } = this.#handle;
    const message = request(COMMAND.GET_ATTRIB, ATTRIBUTE, { card, id, length: MAX_ATTRIBUTE });
    const { head } = await link.request(message, ATTRIBUTE);
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
    const violation = new PcscError("SCARD_E_SHARING_VIOLATION");
    const timer = setTimeout(() => {
      link.close(violation);
    }, this.#patience);
    try {
      const { head } = await link.request(request(COMMAND.DISCONNECT, DISCONNECT, { card, disposition }), DISCONNECT);
      check(head.rv);
    } catch (error) {
      // A card that is left as it is needs no daemon for it.
      if (disposition !== SCARD_DISPOSITION.LEAVE_CARD) throw error;
    } finally {
      clearTimeout(timer);
      link.close();
    }
  }
}
