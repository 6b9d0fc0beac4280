import {
  type CallOptions,
  Deadline,
  type MemoizedAsync,
  memoizeAsync,
  SerialQueue,
  signalOf,
  throwIfAborted,
  untilAborted,
} from "../async/index.ts";
import { toHex } from "../bytes/index.ts";
import {
  CardChannel,
  type CommandApdu,
  ExchangeObserver,
  supportsExtendedLength,
  type Transmit,
} from "../apdu/index.ts";
import { CHANNELS } from "../channels/index.ts";
import { PcscError } from "../pcsc/error.ts";
import { type CardConnection, SCARD_DISPOSITION, SCARD_PROTOCOL } from "../pcsc/types.ts";
import {
  CardAccessError,
  CardCancelledError,
  CardGoneError,
  CardResetError,
  CardTimeoutError,
  badOptions,
  cancelled,
  toAccessError,
  translatePcscErrors,
} from "./errors.ts";
import { QueueWait } from "./queue-wait.ts";
import { CardHold, HOLD_MS, type HoldingCard } from "./card-hold.ts";
import type { CardExchange, CardFinding, ExclusiveAccess } from "./contract.ts";
import { readerDataLimit, readerFeatures } from "./reader-features.ts";

/** Wraps the transport of every exchange, for a trace. */
export type TransmitWrapper = (transmit: Transmit, reader: string) => Transmit;

/** Called once for each defect that is found on the card in `reader`. */
export type FindingSink = (finding: CardFinding, reader: string) => void;

export interface CardOptions {
  readonly wrap?: TransmitWrapper;
  readonly findings?: FindingSink;
  /**
   * Milliseconds for which a transaction stays open after a call, so that a series of calls confirms the card's state
   * once. Default: 100; 0 ends each transaction with its call. It stays open only if no other program is connected to
   * the card.
   */
  readonly linger?: number;
  /**
   * Milliseconds without an exchange after which the card is released by a key that needs its PIN before each use: from
   * the PIN to the use, no other caller reaches the card. Default: 4000.
   */
  readonly hold?: number;
  /** Connects to the same reader anew, after an exchange was abandoned. Without it the card counts as gone then. */
  readonly reconnect?: () => Promise<CardConnection>;
  /** Known properties of the reader, for all its cards. Default: known for this card only. */
  readonly readerFacts?: ReaderFacts;
}

/** What a reader reported of itself, so that it is asked once. */
export interface ReaderFacts {
  dataLimit?: Promise<number | undefined>;
}

const LINGER_MS = 100;
/**
 * Longest time in milliseconds that one transaction continues over calls. pcscd delays a program that connects for as
 * long as a transaction lasts, and does not report that it waits (pcsc-lite, winscard.c, SCardConnect).
 */
const LONGEST_LINGER = 1_000;
/** Milliseconds for which closing the connection waits for a pending call. */
const CLOSE_GRACE = 500;

/**
 * A card in a reader, shared with other sessions, other applications and other programs. All access goes through {@link
 * exclusively}: callers in this process queue, and a PC/SC transaction keeps other programs out meanwhile.
 */
export class Card implements ExclusiveAccess, AsyncDisposable {
  #connection: CardConnection;
  readonly #channel: CardChannel;
  readonly #findings: FindingSink | undefined;
  readonly #linger: number;
  readonly #idle: number;
  readonly #reconnect: (() => Promise<CardConnection>) | undefined;
  readonly #queue = new SerialQueue(cancelled);
  readonly #readerFacts: ReaderFacts;
  /** The reader's features and their control codes (PC/SC part 10); asked for once, in a transaction. @internal */
  readonly features: MemoizedAsync<ReadonlyMap<number, number>> = memoizeAsync(() => readerFeatures(this.#ask));
  /**
   * Number of resets since the connection; only the card itself changes it. A verified PIN is valid for one value of
   * this number.
   */
  resets = 0;
  /**
   * Number of commands since the connection that may have changed the state of a PIN: all but those that only read, and the selection of
   * a file.
   */
  effects = 0;
  #transaction = 0;
  /** Whether a transaction is open. */
  #open = false;
  /** Number of callers of {@link hold} that keep it open. */
  #holders = 0;
  /** The callers that hold their turn ({@link holdTurn}), or have lent it to others. */
  readonly #holds = new Set<CardHold>();
  /** In the open transaction: whether no other program is connected. It cannot change while the transaction lasts. */
  #alone: boolean | undefined;
  /** On the clock of performance.now(): from then on the open transaction ends with its call. */
  #lingerUntil = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the connection was abandoned with an exchange without an answer. */
  #broken = false;
  /** The application that this process selected last, since the last reset; `SelectedApplication` keeps it. */
  selected: object | undefined;
  /** Whether it is confirmed in the transaction that is open; `SelectedApplication` keeps this too. */
  isSelectionConfirmed = false;

  constructor(connection: CardConnection, options: CardOptions = {}) {
    this.#connection = connection;
    this.#findings = options.findings;
    this.#linger = options.linger ?? LINGER_MS;
    this.#idle = options.hold ?? HOLD_MS;
    this.#reconnect = options.reconnect;
    this.#readerFacts = options.readerFacts ?? {};
    const exchanges = new ExchangeObserver(connection.reader);
    const transmit: Transmit = async (command, { long = false, conceal } = {}) => {
      const { apdu, error: errors } = CHANNELS;
      const ended = apdu.hasSubscribers || errors.hasSubscribers ? exchanges.begin(command, conceal) : undefined;
      try {
        // Not the caller's signal: an exchange that has begun is finished, also when its caller has left.
        const answer = await this.#connection.transmit(command, { long, conceal });
        ended?.(answer);
        return answer;
      } catch (error) {
        const failure = this.#failed(error);
        ended?.(undefined, failure);
        throw failure;
      }
    };
    this.#channel = new CardChannel(options.wrap?.(transmit, connection.reader) ?? transmit, {
      form: supportsExtendedLength(connection.atr) ? "extended" : "short",
      t0: connection.protocol === SCARD_PROTOCOL.T0,
      isReaderRefusal,
      readerLimit: () => this.#readerLimit(),
    });
  }

  readonly #ask = (code: number, data: Uint8Array): Promise<Uint8Array> => this.control(code, data);

  /** Called before an extended command is sent: in a transaction. */
  async #readerLimit(): Promise<number | undefined> {
    this.#readerFacts.dataLimit ??= this.features().then((features) => readerDataLimit(this.#ask, features));
    return this.#readerFacts.dataLimit;
  }

  get reader(): string {
    return this.#connection.reader;
  }

  get atr(): Uint8Array {
    return this.#connection.atr;
  }

  /**
   * The number of the latest transaction. Knowledge of the card's volatile state (selected application and file,
   * security environment) is valid for one value of this number: between two transactions another program may have
   * changed it.
   */
  get transaction(): number {
    return this.#transaction;
  }

  /** The card announced extended length elsewhere than in its answer to reset. */
  takesExtended(): void {
    this.#channel.takesExtended();
  }

  /** Reports a defect of the card to the program. */
  report(finding: CardFinding): void {
    this.#findings?.(finding, this.reader);
  }

  /**
   * Whether no other program is connected to the card now, as far as the resource manager reports (CardConnection.alone
   * of PC/SC).
   */
  alone(): Promise<boolean> {
    return translatePcscErrors(this.#connection.alone());
  }

  /**
   * A command for the reader itself (SCardControl). Use {@link exclusively} for commands that reach the card.
   * @param answersWithin Milliseconds for the reader's answer, if the command itself determines it.
   * @throws {CardAccessError} if the reader does not support it.
   */
  control(code: number, data: Uint8Array, answersWithin?: number): Promise<Uint8Array> {
    // The reader may present a PIN.
    this.effects++;
    return this.#connection.control(code, data, { answersWithin }).catch((error: unknown) => {
      throw this.#failed(error);
    });
  }

  /**
   * Runs `work` with the card to itself. A reset by another program is taken up first and counted in {@link resets};
   * one that happens in the middle of `work` ends it with {@link CardResetError}.
   * @param options Its signal ends the caller's wait at once. Work that has begun is finished behind it, up to its next command.
   * @throws {CardAccessError} a CardBusyError if another program keeps the card, a CardGoneError; what `work` throws.
   */
  async exclusively<T>(work: (card: CardExchange) => Promise<T>, options?: CallOptions): Promise<T> {
    const signal = signalOf(options, badOptions);
    if (this.#holds.size > 0) this.#announceWait();
    const wait = CHANNELS.queue.hasSubscribers ? new QueueWait(this.reader, this.#queue.waiting) : undefined;
    const done = this.#queue.run(() => this.#inTransaction(work, signal, wait), signal);
    return untilAborted(done, signal, cancelled);
  }

  /**
   * Keeps other programs away from the card until the result is disposed of. Callers in this process queue as before,
   * within the one transaction.
   * @throws {CardAccessError} as {@link exclusively}.
   */
  async hold(options?: CallOptions): Promise<AsyncDisposable> {
    await this.#keepOpen(() => this.#letGo(), signalOf(options, badOptions));
    return { [Symbol.asyncDispose]: () => this.#letGo() };
  }

  /**
   * Runs `work` within one transaction, so that its calls confirm the card's state once, also beside another program. Callers in this
   * process queue as before. The transaction lingers as after {@link exclusively}.
   * @param work Not from within the work of {@link exclusively}, which it would wait for.
   * @throws {CardAccessError} as {@link exclusively}.
   */
  async together<T>(work: () => Promise<T>, options?: CallOptions): Promise<T> {
    const signal = signalOf(options, badOptions);
    // The calls in between report their own outcome.
    const letGo = (): Promise<void> =>
      this.#queue.run(async () => {
        this.#holders--;
        await this.#afterWork(undefined).catch(() => undefined);
      });
    await this.#keepOpen(letGo, signal);
    try {
      return await work();
    } finally {
      const over = letGo();
      // A caller that has left does not wait for the exchange that is under way.
      if (signal?.aborted !== true) await over;
    }
  }

  /** Begins a transaction that stays open. @param letGo Called if the caller has left before it began. */
  async #keepOpen(letGo: () => Promise<void>, signal?: AbortSignal): Promise<void> {
    this.#announceWait();
    const wait = CHANNELS.queue.hasSubscribers ? new QueueWait(this.reader, this.#queue.waiting) : undefined;
    const held = this.#queue.run(async () => {
      await this.#begin(signal, wait);
      this.#holders++;
    }, signal);
    await untilAborted(held, signal, cancelled).catch((error: unknown) => {
      // The transaction may begin after the caller has left.
      held.then(letGo, () => undefined);
      throw error;
    });
  }

  /** Whether a caller holds its turn: all others wait ({@link holdTurn}). */
  get isHeld(): boolean {
    return [...this.#holds].some((hold) => hold.hasTurn);
  }

  /**
   * Holds the turn at the card, with its transaction, until the result is disposed of or has no exchange for the time
   * in the option `hold`: other callers of this process wait in the queue, other programs for the transaction.
   * @throws {CardAccessError} as {@link exclusively}.
   */
  async holdTurn(options?: CallOptions): Promise<CardHold> {
    const signal = signalOf(options, badOptions);
    const card: HoldingCard = {
      run: (work, inner) => this.#inTransaction(work, inner),
      takeTurn: (inner) => this.#takeTurn((giveTurn) => giveTurn, inner),
      isAwaited: () => this.#queue.waiting > 0,
      ended: (hold) => {
        this.#holds.delete(hold);
        this.#holders--;
        // If others have the turn, the transaction ends after them.
        if (!hold.hasTurn) this.release().catch(() => undefined);
      },
    };
    return this.#takeTurn((giveTurn) => {
      this.#holders++;
      const hold = new CardHold(card, giveTurn, this.#idle);
      this.#holds.add(hold);
      return hold;
    }, signal);
  }

  /** Ends all holds ({@link holdTurn}): a PIN was changed, or the card was reset. */
  endHolds(): void {
    for (const hold of this.#holds) hold.end();
  }

  /** Occupies the queue, with a transaction, until the function given to `taken` is called. */
  #takeTurn<T>(taken: (giveTurn: () => void) => T, signal?: AbortSignal): Promise<T> {
    this.#announceWait();
    const wait = CHANNELS.queue.hasSubscribers ? new QueueWait(this.reader, this.#queue.waiting) : undefined;
    return new Promise((resolve, reject) => {
      const turn = this.#queue.run(async () => {
        await this.#begin(signal, wait);
        await new Promise<void>((giveTurn) => {
          resolve(taken(giveTurn));
        });
        // The calls in between reported their own outcome.
        await this.#afterWork(undefined).catch(() => undefined);
      }, signal);
      turn.catch(reject);
    });
  }

  #announceWait(): void {
    for (const hold of this.#holds) hold.awaited();
  }

  #letGo(): Promise<void> {
    return this.#queue.run(async () => {
      this.#holders--;
      // The calls in between reported their own outcome.
      if (this.#holders === 0) await this.#end(true);
    });
  }

  /** Resets the card: every application loses its verified PINs. Other programs get SCARD_W_RESET_CARD. */
  reset(): Promise<void> {
    return this.exclusively(async () => {
      this.#forgetState();
      await translatePcscErrors(this.#connection.reconnect(SCARD_DISPOSITION.RESET_CARD));
    });
  }

  /** Ends a transaction that stays open after the last call, because the caller has finished for now. */
  async release(): Promise<void> {
    if (this.#open && this.#holders === 0) {
      await this.#queue.run(() => (this.#holders === 0 ? this.#end(true) : undefined));
    }
  }

  async #inTransaction<T>(
    work: (card: CardExchange) => Promise<T>,
    signal?: AbortSignal,
    wait?: QueueWait,
  ): Promise<T> {
    await this.#begin(signal, wait);
    let failure: unknown;
    try {
      return await work({
        send: async (command, enough) => {
          throwIfAborted(signal, cancelled);
          if (!leavesPins(command)) this.effects++;
          return this.#channel.send(command, { enough });
        },
      });
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      await this.#afterWork(failure);
    }
  }

  async #afterWork(failure: unknown): Promise<void> {
    const disturbed = failure instanceof CardAccessError && !(failure instanceof CardCancelledError);
    // The daemon reports some resets only when a command is sent, and keeps refusing until a reconnect.
    if (failure instanceof CardResetError) await this.#takeUp().catch(() => undefined);
    if (disturbed) this.endHolds();
    if (this.#holders > 0 || !this.#open) return;
    const mayLinger = !disturbed && this.#linger > 0 && performance.now() < this.#lingerUntil;
    if (mayLinger) this.#alone ??= await this.#connection.alone().catch(() => false);
    if (mayLinger && this.#alone) {
      this.#timer = setTimeout(() => {
        // The next call shows its failure.
        this.release().catch(() => undefined);
      }, this.#linger);
      (this.#timer as { unref?: () => void }).unref?.();
    } else await this.#end(disturbed);
  }

  async #begin(signal?: AbortSignal, wait?: QueueWait): Promise<void> {
    clearTimeout(this.#timer);
    wait?.takesTurn();
    if (this.#open) {
      wait?.ends();
      return;
    }
    if (this.#broken) await this.#renew();
    try {
      await this.#connection.begin({ signal });
    } catch (error) {
      const failure = toAccessError(error);
      if (!(failure instanceof CardResetError)) throw failure;
      await this.#takeUp();
      await translatePcscErrors(this.#connection.begin({ signal }));
    }
    wait?.ends();
    this.#open = true;
    this.#alone = undefined;
    this.#transaction++;
    this.isSelectionConfirmed = false;
    this.#lingerUntil = performance.now() + LONGEST_LINGER;
  }

  /** @param disturbed Whether the work failed by a transport error, which is then the one to report. */
  async #end(disturbed: boolean): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#open) return;
    this.#open = false;
    // Its transaction ended with it.
    if (this.#broken) return;
    try {
      await translatePcscErrors(this.#connection.end());
    } catch (error) {
      if (error instanceof CardResetError) {
        // pcscd refuses END while a reset is pending, and keeps the lock: reconnect, then end (winscard.c).
        await this.#takeUp();
        await this.#connection.end().catch(() => undefined);
      } else if (!disturbed) throw error;
    }
  }

  async #takeUp(): Promise<void> {
    this.#forgetState();
    try {
      await this.#connection.reconnect();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #forgetState(): void {
    this.resets++;
    this.#transaction++;
    this.selected = undefined;
    this.isSelectionConfirmed = false;
    this.endHolds();
  }

  /**
   * Connects anew after an exchange without an answer. Abandoning it reset the card, which may have been replaced by
   * now.
   */
  async #renew(): Promise<void> {
    const { atr } = this;
    await this.#connection.disconnect().catch(() => undefined);
    const connection = await translatePcscErrors(this.#reconnect?.() ?? Promise.reject(new CardGoneError(GIVEN_UP)));
    if (toHex(connection.atr) !== toHex(atr)) {
      await connection.disconnect().catch(() => undefined);
      throw new CardGoneError("another card is in the reader");
    }
    this.#connection = connection;
    this.#broken = false;
    this.#forgetState();
  }

  /** The error of a failed exchange. Abandoning one without an answer ends its connection. */
  #failed(error: unknown): unknown {
    const failure = toAccessError(error);
    if (failure instanceof CardTimeoutError) this.#broken = true;
    return failure;
  }

  /** Ends the connection after the pending calls; the card is not reset. An exchange without an answer is abandoned. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const hold of this.#holds) hold[Symbol.asyncDispose]().catch(() => undefined);
    const idle = this.#queue.run(() => this.#end(true));
    await new Deadline(CLOSE_GRACE).race(idle, () => undefined).catch(() => undefined);
    await this.#connection.disconnect();
  }
}

const INS = { VERIFY: 0x20, SELECT: 0xa4 } as const;
/** READ BINARY, READ RECORD, GET DATA (ISO/IEC 7816-4 table 5). */
const READING: ReadonlySet<number> = new Set([0xb0, 0xb1, 0xb2, 0xb3, 0xca, 0xcb]);
const BY_DF_NAME = 0x04;

/** Whether no card changes the state of a PIN by this command. Some forget PINs when an application is selected. */
function leavesPins({ ins, p1, data }: CommandApdu): boolean {
  if (ins === INS.VERIFY) return p1 === 0x00 && (data === undefined || data.length === 0);
  return READING.has(ins) || (ins === INS.SELECT && p1 !== BY_DF_NAME);
}

/**
 * Whether an exchange failed as on readers, and drivers, that do not support extended commands: each has its own code.
 * A removed or reset card has other errors.
 */
function isReaderRefusal(error: unknown): boolean {
  if (!(error instanceof CardAccessError) || !(error.cause instanceof PcscError)) return false;
  return error.cause.is(
    "SCARD_E_NOT_TRANSACTED",
    "SCARD_E_INSUFFICIENT_BUFFER",
    "SCARD_F_COMM_ERROR",
    "SCARD_E_INVALID_PARAMETER",
    "SCARD_E_INVALID_VALUE",
    "SCARD_E_UNSUPPORTED_FEATURE",
  );
}

const GIVEN_UP = "the connection was closed after an exchange without an answer; remove the card and insert it again";
