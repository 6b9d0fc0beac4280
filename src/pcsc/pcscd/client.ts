import { setMaxListeners } from "node:events";
import { type CallOptions, onAbort, signalOf } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import {
  type CardConnection,
  type ConnectOptions,
  type Pcsc,
  type ReaderState,
  SCARD_PROTOCOL,
  SCARD_SHARE,
} from "../types.ts";
import { badOptions, cancelled, type WaitLimits, waitLimits } from "../waiting.ts";
import { readerChanges } from "./changes.ts";
import { PcscdConnection } from "./connection.ts";
import { answered, Link } from "./link.ts";
import { greet, openHandle, readReaders } from "./session.ts";

const DEFAULT_SOCKET = "/run/pcscd/pcscd.comm";

/** Connecting may take 2,000 ms whatever the limit: powering a card may take that long. */
export interface PcscdOptions extends WaitLimits {
  /** The daemon's socket; default: PCSCLITE_CSOCK_NAME of the environment, then /run/pcscd/pcscd.comm. */
  readonly socket?: string;
}

/** libpcsclite reads the same variable. */
function environmentSocket(): string | undefined {
  const socket = process.env["PCSCLITE_CSOCK_NAME"];
  return socket === "" ? undefined : socket;
}

/**
 * PC/SC through pcscd, the daemon of Linux and the BSDs, over its own socket and without native code. Connects on
 * demand, so the daemon may stop and start during the client's life.
 *
 * Errors: SCARD_E_NO_SERVICE if no daemon listens, SCARD_E_SERVICE_STOPPED if it stops during a call,
 * SCARD_W_SECURITY_VIOLATION if it refuses this user.
 */
export class Pcscd implements Pcsc, AsyncDisposable {
  readonly #socket: string;
  readonly #limits: Required<WaitLimits>;
  readonly #connections = new Set<PcscdConnection>();
  readonly #closing = new AbortController();

  constructor(options: PcscdOptions = {}) {
    this.#socket = options.socket ?? environmentSocket() ?? DEFAULT_SOCKET;
    // Every pending call adds a listener; there may be many.
    setMaxListeners(0, this.#closing.signal);
    this.#limits = waitLimits(options);
  }

  /** @throws {PcscError} SCARD_E_NO_SERVICE, after ten seconds if the daemon runs but does not answer. */
  async readers(): Promise<readonly ReaderState[]> {
    this.#checkOpen();
    const link = new Link(this.#socket, { signal: this.#closing.signal });
    try {
      return await answered(link, readReaders(link, greet(link)));
    } finally {
      link.close();
    }
  }

  changes(options?: CallOptions): AsyncIterable<readonly ReaderState[]> {
    const signal = signalOf(options, badOptions);
    const closing = this.#closing.signal;
    return readerChanges(this.#socket, signal ? AbortSignal.any([signal, closing]) : closing);
  }

  async connect(reader: string, options: ConnectOptions = {}): Promise<CardConnection> {
    this.#checkOpen();
    const { share = SCARD_SHARE.SHARED } = options;
    const signal = signalOf(options, badOptions);
    const protocols =
      options.protocols ?? (share === SCARD_SHARE.DIRECT ? SCARD_PROTOCOL.UNDEFINED : SCARD_PROTOCOL.ANY);
    const closing = this.#closing.signal;
    const ends = [signal, closing];
    let connection: PcscdConnection | undefined;
    const forget = (): void => {
      if (connection) this.#connections.delete(connection);
    };
    const link = new Link(this.#socket, { onClose: forget });
    // The link belongs to this call alone, so an abort may close it.
    const unwatch = onAbort(ends, (reason) => {
      link.close(cancelled(reason));
    });
    try {
      const handle = await openHandle(link, { reader, share, protocols }, this.#limits.patience);
      connection = new PcscdConnection(handle, this.#limits);
    } catch (error) {
      link.close();
      throw error;
    } finally {
      unwatch();
    }
    this.#connections.add(connection);
    return connection;
  }

  async close(): Promise<void> {
    this.#closing.abort(new PcscError("SCARD_E_INVALID_HANDLE", "this Pcscd is closed"));
    await Promise.all([...this.#connections].map((connection) => connection.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted)
      throw new PcscError("SCARD_E_INVALID_HANDLE", "this Pcscd is closed; make a new one");
  }
}
