import {
  Deadline,
  type MemoizedAsync,
  memoizeAsync,
  SerialQueue,
  throwIfAborted,
  untilAborted,
} from "../async/index.ts";
import { toHex } from "../bytes/index.ts";
import { CardChannel, supportsExtendedLength, type Transmit } from "../apdu/index.ts";
import { type CardConnection, PcscError, SCARD_DISPOSITION, SCARD_PROTOCOL } from "../pcsc/index.ts";
import {
  CardAccessError,
  CardCancelledError,
  CardGoneError,
  CardResetError,
  CardTimeoutError,
  cancelled,
  translatePcscErrors,
} from "./errors.ts";
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
   * Milliseconds for which a transaction stays open after a call, so that a burst of calls confirms the card's state once.
   * Default: 100; 0 ends each transaction with its call. It stays open only if no other program is connected to the card.
   */
  readonly linger?: number;
  /**
   * Milliseconds without an exchange after which the card is not kept any longer for a key that wants its PIN before each use:
   * from the PIN to the use, nobody else reaches the card. Default: 4000.
   */
  readonly hold?: number;
  /** Connects to the same reader anew, after an exchange was given up. Without it the card is gone then. */
  readonly reconnect?: () => Promise<CardConnection>;
  /** What is known of the reader, for all cards that come to it. Default: known for this card only. */
  readonly readerFacts?: ReaderFacts;
}

/** What a reader said of itself, so that it is asked once. */
export interface ReaderFacts {
  dataLimit?: Promise<number | undefined>;
}

const LINGER_MS = 100;
/**
 * The longest time in milliseconds that one transaction goes on over calls. pcscd holds up a program that connects for as long
 * as a transaction lasts, and does not say that it waits (pcsc-lite, winscard.c, SCardConnect).
 */
const LONGEST_LINGER = 1_000;
/** Milliseconds for which closing the connection waits for a call under way. */
const CLOSE_GRACE = 500;

/**
 * A card in a reader, shared with other sessions, other applications and other programs. {@link exclusively} is the
 * only way to it: callers in this process queue, and a PC/SC transaction keeps other programs out meanwhile.
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
  /** The reader's features and their control codes (PC/SC part 10); asked for once, in a transaction. */
  readonly features: MemoizedAsync<ReadonlyMap<number, number>> = memoizeAsync(() => readerFeatures(this.#ask));
  #resets = 0;
  #transaction = 0;
  /** A transaction is open. */
  #open = false;
  /** How many callers of {@link hold} keep it open. */
  #holders = 0;
  /** The callers that keep their turn ({@link holdTurn}), or have lent it to others. */
  readonly #holds = new Set<CardHold>();
  /** In the open transaction: whether no other program is connected. It cannot change while the transaction lasts. */
  #alone: boolean | undefined;
  #lingerUntil = new Deadline(0);
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The connection was given up with an exchange that had no answer. */
  #broken = false;
  /** The application that this process selected last; {@link SelectedApplication} keeps it. */
  selected: object | undefined;

  constructor(connection: CardConnection, options: CardOptions = {}) {
    this.#connection = connection;
    this.#findings = options.findings;
    this.#linger = options.linger ?? LINGER_MS;
    this.#idle = options.hold ?? HOLD_MS;
    this.#reconnect = options.reconnect;
    this.#readerFacts = options.readerFacts ?? {};
    // Not the caller's signal: an exchange that has begun is finished, also when its caller has left.
    const transmit: Transmit = (command, { long = false, conceal } = {}) =>
      this.#connection.transmit(command, { long, conceal });
    const wrapped = options.wrap?.(transmit, connection.reader) ?? transmit;
    this.#channel = new CardChannel((command, options) => this.#watched(wrapped(command, options)), {
      form: supportsExtendedLength(connection.atr) ? "extended" : "short",
      t0: connection.protocol === SCARD_PROTOCOL.T0,
      isReaderRefusal,
      readerLimit: () => this.#readerLimit(),
    });
  }

  readonly #ask = (code: number, data: Uint8Array): Promise<Uint8Array> => this.control(code, data);

  /** Asked when an extended command is about to be sent: in a transaction. */
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
   * How often the card was reset since it was connected. A verified PIN is valid for one value of this number.
   */
  get resets(): number {
    return this.#resets;
  }

  /**
   * The number of the latest transaction. What was seen of the card's volatile state (selected application and file, security
   * environment) is valid for one value of this number: between two transactions another program may have changed it and left.
   */
  get transaction(): number {
    return this.#transaction;
  }

  /** The card said that it takes commands with extended length, where its answer to reset does not. */
  takesExtended(): void {
    this.#channel.takesExtended();
  }

  /** Tells the program about a defect of the card. */
  report(finding: CardFinding): void {
    this.#findings?.(finding, this.reader);
  }

  /** Whether no other program is connected to the card now, as far as the resource manager tells ({@link CardConnection.alone}). */
  alone(): Promise<boolean> {
    return translatePcscErrors(this.#connection.alone());
  }

  /**
   * A command for the reader itself (SCardControl). What reaches the card by it belongs into {@link exclusively}.
   * @param answersWithin Milliseconds that the reader may take, where the command itself sets the reader a time.
   * @throws {CardAccessError} if the reader does not know it.
   */
  control(code: number, data: Uint8Array, answersWithin?: number): Promise<Uint8Array> {
    return this.#watched(this.#connection.control(code, data, { answersWithin }));
  }

  /**
   * Runs `work` with the card to itself. A reset by another program is taken up first and counted in {@link resets};
   * one that happens in the middle of `work` ends it with {@link CardResetError}.
   * @param signal Ends the caller's wait at once. Work that has begun is finished behind it, up to its next command.
   * @throws {CardAccessError} a CardBusyError if another program keeps the card, a CardGoneError; what `work` throws.
   */
  exclusively<T>(work: (card: CardExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#holds.size > 0) this.#announceWait();
    const done = this.#queue.run(() => this.#inTransaction(work, signal), signal);
    return untilAborted(done, signal, cancelled);
  }

  /**
   * Keeps other programs away from the card until the result is disposed of. Callers in this process are not kept away: they
   * queue as before, within the one transaction.
   * @throws {CardAccessError} as {@link exclusively}.
   */
  async hold(signal?: AbortSignal): Promise<AsyncDisposable> {
    this.#announceWait();
    const held = this.#queue.run(async () => {
      await this.#begin(signal);
      this.#holders++;
    }, signal);
    await untilAborted(held, signal, cancelled).catch((error: unknown) => {
      // The transaction may begin after the caller has left.
      held.then(
        () => this.#letGo(),
        () => undefined,
      );
      throw error;
    });
    return { [Symbol.asyncDispose]: () => this.#letGo() };
  }

  /** A caller keeps its turn: every other one waits ({@link holdTurn}). */
  get isHeld(): boolean {
    return [...this.#holds].some((hold) => hold.hasTurn);
  }

  /**
   * Keeps the turn at the card, with its transaction, until the result is disposed of or sees no exchange for the time that the
   * option `hold` says: other callers of this process wait in the queue, other programs for the transaction.
   * @throws {CardAccessError} as {@link exclusively}.
   */
  holdTurn(signal?: AbortSignal): Promise<CardHold> {
    const card: HoldingCard = {
      run: (work, inner) => this.#inTransaction(work, inner),
      takeTurn: (inner) => this.#takeTurn((giveTurn) => giveTurn, inner),
      isAwaited: () => this.#queue.waiting > 0,
      ended: (hold) => {
        this.#holds.delete(hold);
        this.#holders--;
        // Where others have the turn, the transaction ends behind them.
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

  /** Ends what callers keep the card for ({@link holdTurn}): a PIN was changed, or the card was reset. */
  endHolds(): void {
    for (const hold of this.#holds) hold.end();
  }

  /** Occupies the queue, with a transaction, until the function is called that `taken` is given. */
  #takeTurn<T>(taken: (giveTurn: () => void) => T, signal?: AbortSignal): Promise<T> {
    this.#announceWait();
    return new Promise((resolve, reject) => {
      const turn = this.#queue.run(async () => {
        await this.#begin(signal);
        await new Promise<void>((giveTurn) => {
          resolve(taken(giveTurn));
        });
        // What became of the calls in between was told to their callers.
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
      // What became of the calls in between was told to their callers.
      if (this.#holders === 0) await this.#end(true);
    });
  }

  /** Resets the card: every application forgets what was verified. Other programs are told by SCARD_W_RESET_CARD. */
  reset(): Promise<void> {
    return this.exclusively(async () => {
      this.#forgetState();
      await translatePcscErrors(this.#connection.reconnect(SCARD_DISPOSITION.RESET_CARD));
    });
  }

  /** Ends a transaction that lingers after the last call: the caller is done with the card for now. */
  async release(): Promise<void> {
    if (this.#open && this.#holders === 0) {
      await this.#queue.run(() => (this.#holders === 0 ? this.#end(true) : undefined));
    }
  }

  async #inTransaction<T>(work: (card: CardExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#begin(signal);
    let failure: unknown;
    try {
      return await work({
        send: async (command, enough) => {
          throwIfAborted(signal, cancelled);
          return this.#channel.send(command, undefined, enough);
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
    // The daemon tells of some resets only when a command is sent, and keeps refusing until the card is taken up.
    if (failure instanceof CardResetError) await this.#takeUp().catch(() => undefined);
    if (disturbed) this.endHolds();
    if (this.#holders > 0 || !this.#open) return;
    if (!disturbed && (await this.#mayLinger())) {
      this.#timer = setTimeout(() => {
        // Its failure shows in the next call.
        this.release().catch(() => undefined);
      }, this.#linger);
      (this.#timer as { unref?: () => void }).unref?.();
    } else await this.#end(disturbed);
  }

  async #mayLinger(): Promise<boolean> {
    if (this.#linger <= 0 || this.#lingerUntil.passed) return false;
    this.#alone ??= await this.alone().catch(() => false);
    return this.#alone;
  }

  async #begin(signal?: AbortSignal): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#open) return;
    if (this.#broken) await this.#renew();
    try {
      await translatePcscErrors(this.#connection.begin({ signal }));
    } catch (error) {
      if (!(error instanceof CardResetError)) throw error;
      await this.#takeUp();
      await translatePcscErrors(this.#connection.begin({ signal }));
    }
    this.#open = true;
    this.#alone = undefined;
    this.#transaction++;
    this.#lingerUntil = new Deadline(LONGEST_LINGER);
  }

  /** @param disturbed The work failed by a transport error, and that error is the one to tell. */
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
    await this.#watched(this.#connection.reconnect());
  }

  #forgetState(): void {
    this.#resets++;
    this.#transaction++;
    this.endHolds();
  }

  /** Connects anew after an exchange without an answer. Its end reset the card, and it may be another card by now. */
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

  /** An exchange that is given up for lack of an answer takes its connection with it. */
  async #watched<T>(exchange: Promise<T>): Promise<T> {
    try {
      return await translatePcscErrors(exchange);
    } catch (error) {
      if (error instanceof CardTimeoutError) this.#broken = true;
      throw error;
    }
  }

  /** Ends the connection after the calls under way; the card is left as it is. An exchange without an answer is left behind. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const hold of this.#holds) hold[Symbol.asyncDispose]().catch(() => undefined);
    const idle = this.#queue.run(() => this.#end(true));
    await new Deadline(CLOSE_GRACE).race(idle, () => undefined).catch(() => undefined);
    await this.#connection.disconnect();
  }
}

/**
 * Whether an exchange failed as it does with readers, and drivers of readers, that take no extended command: each has a code of its own
 * choice for it. A card that is gone or was reset is told otherwise.
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

const GIVEN_UP =
  "the connection was given up with an exchange that had no answer; take the card out and put it in again";
