import { type CallOptions, Deadline, LONGEST_TIMER, SerialQueue, signalOf, untilAborted } from "../../async/index.ts";
import { copySecret, utf8, wipe } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import {
  type CardConnection,
  type Disposition,
  type ExchangeOptions,
  type Initialization,
  SCARD_DISPOSITION,
  SCARD_SHARE,
  type ShareMode,
} from "../types.ts";
import { badOptions, answerTime, cancelled, CLOSE_WITHIN, noAnswer, type WaitLimits } from "../waiting.ts";
import type { LockWait, MemorySlot, Tenant } from "./slot.ts";

/**
 * Limit of extended APDUs: header, Lc (3), data (65,535), Le (2), and pcsc-lite's additional room
 * (MAX_BUFFER_SIZE_EXTENDED).
 */
const MAX_APDU = 65_544;
const ATTR_ATR_STRING = 0x00090303;
const ATTR_DEVICE_FRIENDLY_NAME = 0x7fff0003;
/** CM_IOCTL_GET_FEATURE_REQUEST of pcsc-lite (PC/SC part 10 section 2.2). */
const GET_FEATURE_REQUEST = 0x42000d48;

export interface MemoryConnectionOptions extends Required<WaitLimits> {
  readonly share: ShareMode;
  readonly protocols: number;
}

/** A connection to a {@link MemorySlot}. Sharing, locks and events follow pcscd (winscard.c). */
export class MemoryConnection implements CardConnection, Tenant {
  readonly #slot: MemorySlot;
  readonly #options: MemoryConnectionOptions;
  /** Ends all pending calls. */
  readonly #closing = new AbortController();
  #pending: "reset" | "removed" | undefined;
  #atr: Uint8Array = new Uint8Array();
  #protocol = 0;
  readonly #calls = new SerialQueue(cancelled);

  constructor(slot: MemorySlot, options: MemoryConnectionOptions) {
    this.#slot = slot;
    this.#options = options;
  }

  get reader(): string {
    return this.#slot.name;
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

  notice(event: "reset" | "removed"): void {
    if (this.#pending !== "removed") this.#pending = event;
  }

  /** Connects to the reader. Call this first. */
  async open(signal?: AbortSignal): Promise<void> {
    if (this.#slot.exclusive) throw new PcscError("SCARD_E_SHARING_VIOLATION");
    await this.#free(() => {
      this.#protocol = this.#slot.admit(this, this.#options.share, this.#options.protocols);
      this.#atr = this.#slot.atr;
    }, signal);
  }

  async transmit(command: Uint8Array, options: ExchangeOptions = {}): Promise<Uint8Array> {
    if (command.length === 0 || command.length > MAX_APDU) {
      throw new PcscError("SCARD_E_INVALID_PARAMETER", `a command of ${command.length} bytes`);
    }
    return this.#inTurn(() => this.#exchange(command, options), options);
  }

  /** The wait, and its timer, end with the answer, the card's removal, the connection, or the time limit. */
  async #exchange(command: Uint8Array, options: ExchangeOptions): Promise<Uint8Array> {
    // A copy: the exchange may go on behind its caller, who may wipe the command when it stops waiting.
    const bytes = copySecret(command);
    const timeout = answerTime(this.#options, options);
    const { lock } = this.#slot;
    let wait: LockWait | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      this.#refuseGone();
      while (lock.heldByOther(this)) await lock.freed((wait ??= this.#lockWait(options.signal)));
      this.#refusePending();
      if (this.#protocol === 0 && this.#slot.state.present) throw new PcscError("SCARD_E_PROTO_MISMATCH");
      const giveUp = (): void => {
        this.abandon(noAnswer(timeout));
      };
      timer = setTimeout(giveUp, Math.min(timeout, LONGEST_TIMER));
      const answer = await this.#slot.exchange((card) => {
        // It may have waited for another connection's exchange.
        this.#refusePending();
        return card.transmit(bytes);
      }, this.#closing.signal);
      if (answer.length > MAX_APDU) throw new PcscError("SCARD_E_INSUFFICIENT_BUFFER");
      return copySecret(answer);
    } finally {
      clearTimeout(timer);
      wipe(bytes);
    }
  }

  begin(options: CallOptions = {}): Promise<void> {
    return this.#inTurn(async () => {
      const { lock } = this.#slot;
      let wait: LockWait | undefined;
      this.#refuseGone();
      this.#refusePending();
      while (lock.heldByOther(this)) await lock.freed((wait ??= this.#lockWait(options.signal)));
      this.#refusePending();
      lock.take(this);
    }, options);
  }

  end(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    return this.#inTurn(async () => {
      this.#refuseGone();
      this.#refusePending();
      if (disposition !== SCARD_DISPOSITION.LEAVE_CARD) {
        if (this.#slot.lock.heldByOther(this)) throw new PcscError("SCARD_E_SHARING_VIOLATION");
        await this.#slot.reset();
      }
      this.#slot.unlock(this);
    });
  }

  reconnect(initialization: Initialization = 0): Promise<void> {
    return this.#inTurn(() =>
      this.#free(async () => {
        if (initialization !== 0) await this.#slot.reset();
        if (this.#options.share !== SCARD_SHARE.DIRECT) {
          this.#protocol = this.#slot.negotiate(this.#options.protocols);
        }
        this.#atr = this.#slot.atr;
        this.#pending = undefined;
      }),
    );
  }

  control(code: number, data: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      await this.#requireFree();
      if (data.length > MAX_APDU) throw new PcscError("SCARD_E_INVALID_PARAMETER");
      // The reader has no features: no keypad, no limits.
      if (code === GET_FEATURE_REQUEST) return new Uint8Array();
      throw new PcscError("SCARD_E_UNSUPPORTED_FEATURE");
    }, options);
  }

  /** Asks no card, so that it waits for no other call. */
  async alone(): Promise<boolean> {
    if (this.#closing.signal.aborted) throw new PcscError("SCARD_E_INVALID_HANDLE");
    this.#refuseGone();
    return Promise.resolve(this.#slot.tenants === 1);
  }

  attribute(id: number): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      await this.#requireFree();
      this.#refusePending();
      if (id === ATTR_ATR_STRING && this.#slot.state.present) return this.#slot.atr;
      if (id === ATTR_DEVICE_FRIENDLY_NAME) return utf8(`${this.reader}\0`);
      throw new PcscError("SCARD_E_UNSUPPORTED_FEATURE");
    });
  }

  async disconnect(disposition: Disposition = SCARD_DISPOSITION.LEAVE_CARD): Promise<void> {
    if (this.closed) return;
    const leave = async (): Promise<void> => {
      if (this.closed) return;
      try {
        if (disposition !== SCARD_DISPOSITION.LEAVE_CARD && this.#slot.state.present) {
          await this.#free(() => this.#slot.reset());
        }
      } finally {
        this.#close();
      }
    };
    const left = new Deadline(CLOSE_WITHIN).race(this.#inTurn(leave), () => {
      this.abandon();
      return new PcscError("SCARD_E_CANCELLED");
    });
    await left.catch((error: unknown) => {
      // A reader or card that has gone needs no disconnect.
      if (!this.closed || (error instanceof PcscError && error.is("SCARD_E_SHARING_VIOLATION"))) throw error;
    });
  }

  /** Ends the connection at once, like a process that dies: after a transaction the card is reset. */
  abandon(reason?: PcscError): void {
    const midway = this.#slot.lock.heldBy(this) && this.#pending === undefined && this.#slot.state.present;
    if (midway) this.#slot.reset().catch(() => undefined);
    this.#close(reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** @param reason The error of the pending calls. */
  #close(reason = new PcscError("SCARD_E_CANCELLED", "the connection was closed meanwhile")): void {
    this.#closing.abort(reason);
    this.#slot.leave(this);
  }

  /** Calls go one after the other. One that is aborted while it waits leaves the line. */
  async #inTurn<T>(work: () => Promise<T>, options?: CallOptions): Promise<T> {
    const closing = this.#closing.signal;
    if (closing.aborted) throw new PcscError("SCARD_E_INVALID_HANDLE");
    const signals = [signalOf(options, badOptions), closing];
    return untilAborted(this.#calls.run(work, signals), signals, cancelled);
  }

  /** Runs `action` as soon as no other connection holds the card. */
  #free<T>(action: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#slot.lock.whenFree(this, action, this.#lockWait(signal));
  }

  #lockWait(signal?: AbortSignal): LockWait {
    const deadline = new Deadline(this.#options.patience);
    return { deadline, signals: [signal, this.#closing.signal], slot: this.#slot };
  }

  /** Reports another connection's transaction at once: only commands to the card wait for it. */
  #requireFree(): Promise<void> {
    this.#refuseGone();
    if (this.#slot.lock.heldByOther(this)) return Promise.reject(new PcscError("SCARD_E_SHARING_VIOLATION"));
    return Promise.resolve();
  }

  #refuseGone(): void {
    if (this.#slot.unplugged) throw new PcscError("SCARD_E_READER_UNAVAILABLE");
  }

  #refusePending(): void {
    if (this.#pending === "removed") throw new PcscError("SCARD_W_REMOVED_CARD");
    if (this.#pending === "reset") throw new PcscError("SCARD_W_RESET_CARD");
  }
}
