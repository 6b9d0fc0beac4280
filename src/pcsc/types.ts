import type { CallOptions } from "../async/index.ts";
import type { Concealment } from "../bytes/index.ts";

/** Share modes of SCardConnect. */
export const SCARD_SHARE = { EXCLUSIVE: 1, SHARED: 2, DIRECT: 3 } as const;
export type ShareMode = (typeof SCARD_SHARE)[keyof typeof SCARD_SHARE];

/** Card protocols, as a bit mask in requests. */
export const SCARD_PROTOCOL = { UNDEFINED: 0, T0: 1, T1: 2, RAW: 4, ANY: 3 } as const;

/** What becomes of the card when a connection or a transaction ends, or what a reconnect does first. */
export const SCARD_DISPOSITION = { LEAVE_CARD: 0, RESET_CARD: 1, UNPOWER_CARD: 2, EJECT_CARD: 3 } as const;
export type Disposition = (typeof SCARD_DISPOSITION)[keyof typeof SCARD_DISPOSITION];
export type Initialization = 0 | 1 | 2;

/** What the resource manager knows of one reader at one moment. */
export interface ReaderState {
  readonly name: string;
  /** The reader's driver says that there is no such device; pcscd goes on to list it. */
  readonly unavailable: boolean;
  /** A card is in the reader. */
  readonly present: boolean;
  /** A card is in the reader and does not answer. */
  readonly mute: boolean;
  /** Connections open to the reader, by all processes; -1 when one holds it exclusively; undefined where nobody tells. */
  readonly sharing: number | undefined;
  /** Insertions and removals since the reader came: a change tells a card that was swapped between two looks. */
  readonly events: number;
  /** Answer to reset, 2 to 33 bytes; empty without a card or before it is powered. */
  readonly atr: Uint8Array;
}

export interface ExchangeOptions extends CallOptions {
  /** The command takes long, as key generation does: it gets the longer of the two times for an answer. Default: false. */
  readonly long?: boolean;
  /** Milliseconds within which the answer comes in any case, where the command itself says so: it replaces both times. */
  readonly answersWithin?: number | undefined;
  /** What of the exchange is secret; for recordings. */
  readonly conceal?: Concealment | undefined;
}

export interface ConnectOptions extends CallOptions {
  /** {@link SCARD_SHARE}; default: SHARED. */
  readonly share?: ShareMode;
  /** A mask of {@link SCARD_PROTOCOL}; default: ANY (T=0 or T=1). */
  readonly protocols?: number;
}

/** Smart-card resource manager: the readers of this machine and the cards in them (PC/SC part 5). */
export interface Pcsc {
  readers(): Promise<readonly ReaderState[]>;
  /**
   * The readers now, and again after every change, until `signal` aborts, the consumer breaks off, or {@link close}.
   * A service that stops is an empty list; its return is followed without a word.
   */
  changes(signal?: AbortSignal): AsyncIterable<readonly ReaderState[]>;
  /**
   * @throws {PcscError} such as SCARD_E_UNKNOWN_READER, SCARD_E_NO_SMARTCARD; SCARD_E_SHARING_VIOLATION at once if another program
   *   has the card exclusively, and after the wait for a transaction.
   */
  connect(reader: string, options?: ConnectOptions): Promise<CardConnection>;
  /** Ends every connection and iteration that came from here. Idempotent. */
  close(): Promise<void>;
}

/** An open connection to the card in a reader. One exchange at a time; calls made meanwhile wait in order. */
export interface CardConnection extends AsyncDisposable {
  readonly reader: string;
  /** Answer to reset of the card at connect or at the last reconnect. */
  readonly atr: Uint8Array;
  /** {@link SCARD_PROTOCOL} in force. */
  readonly protocol: number;
  /**
   * One command APDU to the card, its response APDU (data and status word) back. Up to 65,544 bytes each way.
   * @throws {PcscError} SCARD_W_RESET_CARD after a reset by somebody else (then {@link reconnect}),
   *   SCARD_W_REMOVED_CARD, SCARD_E_SHARING_VIOLATION when another program's transaction outlasts the wait,
   *   SCARD_E_TIMEOUT without an answer: the connection is closed then, because PC/SC cannot take a command back.
   */
  transmit(command: Uint8Array, options?: ExchangeOptions): Promise<Uint8Array>;
  /** Begins a transaction: no other connection reaches the card until {@link end}. Same errors as {@link transmit}. */
  begin(options?: CallOptions): Promise<void>;
  /** Ends the transaction; default of `disposition`: LEAVE_CARD. */
  end(disposition?: Disposition): Promise<void>;
  /** Takes the card up again after a reset, or resets it: `initialization` 0 leaves, 1 resets, 2 powers down first. */
  reconnect(initialization?: Initialization): Promise<void>;
  /**
   * A command for the reader itself (SCardControl). Another program's transaction is not waited for, as libpcsclite does not:
   * SCARD_E_SHARING_VIOLATION at once; {@link begin} waits.
   */
  control(code: number, data: Uint8Array, options?: ExchangeOptions): Promise<Uint8Array>;
  /**
   * Whether this is the only connection to the card, of all processes. False where the resource manager does not tell.
   * Somebody who came and went since the last call is not seen.
   */
  alone(): Promise<boolean>;
  /** An attribute of the reader (SCardGetAttrib). Another program's transaction is not waited for, as with {@link control}. */
  attribute(id: number): Promise<Uint8Array>;
  /** Ends the connection, within a second also if an exchange has no answer. `disposition` is LEAVE_CARD by default. Idempotent. */
  disconnect(disposition?: Disposition): Promise<void>;
}
