import type { CallOptions } from "../async/index.ts";
import type { Concealment } from "../bytes/index.ts";

/** Share modes of SCardConnect. */
export const SCARD_SHARE = { EXCLUSIVE: 1, SHARED: 2, DIRECT: 3 } as const;
export type ShareMode = (typeof SCARD_SHARE)[keyof typeof SCARD_SHARE];

/** Card protocols; a bit mask in requests. */
export const SCARD_PROTOCOL = { UNDEFINED: 0, T0: 1, T1: 2, RAW: 4, ANY: 3 } as const;

/** The action on the card when a connection or a transaction ends, or before a reconnect. */
export const SCARD_DISPOSITION = { LEAVE_CARD: 0, RESET_CARD: 1, UNPOWER_CARD: 2, EJECT_CARD: 3 } as const;
export type Disposition = (typeof SCARD_DISPOSITION)[keyof typeof SCARD_DISPOSITION];
export type Initialization = 0 | 1 | 2;

/** The resource manager's state of one reader. */
export interface ReaderState {
  readonly name: string;
  /** The reader's driver reports that the device is gone; pcscd continues to list it. */
  readonly unavailable: boolean;
  /** A card is in the reader. */
  readonly present: boolean;
  /** A card is in the reader but does not answer. */
  readonly mute: boolean;
  /** Open connections to the reader, of all processes; -1 for an exclusive one; undefined if unknown. */
  readonly sharing: number | undefined;
  /** Insertions and removals since the reader came: a change shows that the card was swapped between two looks. */
  readonly events: number;
  /** Answer to reset, 2 to 33 bytes; empty without a card or before it is powered. */
  readonly atr: Uint8Array;
}

export interface ExchangeOptions extends CallOptions {
  /** Whether the command takes long, like key generation: it gets the longer of the two time limits. Default: false. */
  readonly long?: boolean;
  /** Milliseconds in which the answer comes, if the command itself determines it; replaces both time limits. */
  readonly answersWithin?: number | undefined;
  /** Which parts of the exchange are secret; for recordings. */
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
   * The readers now, and again after every change, until the `signal` of `options` aborts, the consumer breaks off, or {@link close}.
   * A service that stops is an empty list; its return is followed without a word.
   */
  changes(options?: CallOptions): AsyncIterable<readonly ReaderState[]>;
  /**
   * @throws {PcscError} such as SCARD_E_UNKNOWN_READER, SCARD_E_NO_SMARTCARD; SCARD_E_SHARING_VIOLATION at once if
   *   another program has the card exclusively, and after the time limit for a transaction.
   */
  connect(reader: string, options?: ConnectOptions): Promise<CardConnection>;
  /** Ends every connection and iteration of this client. Idempotent. */
  close(): Promise<void>;
}

/** An open connection to the card in a reader. One exchange at a time; concurrent calls wait in order. */
export interface CardConnection extends AsyncDisposable {
  readonly reader: string;
  /** Answer to reset of the card at connect or at the last reconnect. */
  readonly atr: Uint8Array;
  /** The active {@link SCARD_PROTOCOL}. */
  readonly protocol: number;
  /**
   * Sends one command APDU to the card and returns its response APDU (data and status word). Up to 65,544 bytes each
   * way.
   * @throws {PcscError} SCARD_W_RESET_CARD after a reset by another program (then {@link reconnect}),
   *   SCARD_W_REMOVED_CARD, SCARD_E_SHARING_VIOLATION if another program's transaction lasts longer than the time
   *   limit, SCARD_E_TIMEOUT without an answer: the connection is closed then, because PC/SC cannot cancel a command.
   */
  transmit(command: Uint8Array, options?: ExchangeOptions): Promise<Uint8Array>;
  /** Begins a transaction: no other connection reaches the card until {@link end}. Errors as for {@link transmit}. */
  begin(options?: CallOptions): Promise<void>;
  /** Ends the transaction; default of `disposition`: LEAVE_CARD. */
  end(disposition?: Disposition): Promise<void>;
  /** Reconnects after a reset, or resets the card: `initialization` 0 leaves it, 1 resets, 2 powers down first. */
  reconnect(initialization?: Initialization): Promise<void>;
  /**
   * A command for the reader itself (SCardControl). Like libpcsclite, it does not wait for another program's
   * transaction: SCARD_E_SHARING_VIOLATION at once; {@link begin} waits.
   */
  control(code: number, data: Uint8Array, options?: ExchangeOptions): Promise<Uint8Array>;
  /**
   * Whether this is the only connection to the card, of all processes. False if the resource manager does not report
   * it. A connection that came and went since the last call is not noticed.
   */
  alone(): Promise<boolean>;
  /**
   * An attribute of the reader (SCardGetAttrib). Does not wait for another program's transaction, like {@link control}.
   */
  attribute(id: number): Promise<Uint8Array>;
  /**
   * Ends the connection, within a second even if an exchange has no answer. `disposition` is LEAVE_CARD by default.
   * Idempotent.
   */
  disconnect(disposition?: Disposition): Promise<void>;
}
