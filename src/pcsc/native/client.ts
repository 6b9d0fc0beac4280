import { setMaxListeners } from "node:events";
import { type CallOptions, signalOf, throwIfAborted, untilAborted } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import { CardLock } from "../memory/slot.ts";
import {
  type CardConnection,
  type ConnectOptions,
  type Pcsc,
  type ReaderState,
  SCARD_PROTOCOL,
  SCARD_SHARE,
} from "../types.ts";
import { badOptions, cancelled, type WaitLimits, waitLimits } from "../waiting.ts";
import { NativeConnection } from "./connection.ts";
import { NativeWatch } from "./watch.ts";
import { loadWinscard, type Winscard } from "./winscard.ts";

/** Time limits of its calls. */
export type NativeOptions = WaitLimits;

/**
 * PC/SC through the system's own library: `winscard.dll`, `PCSC.framework`, or `libpcsclite.so.1`. The npm package `koffi` calls it; that
 * is no dependency of this package: install it where you need it (`npm install koffi`). It needs no compiler. Limits:
 *
 * - **Threads.** A call runs in a thread of Node's pool, which has four. Two calls run at a time in the whole process, one more waits for
 *   changes of the readers, and one thread stays free for files. A slow card can so delay other cards; `UV_THREADPOOL_SIZE=8` in the
 *   environment gives room for six.
 * - A call that has begun cannot be interrupted: an abandoned one continues to its end and keeps the process running.
 * - **Sharing**: whether others are connected is known, not how many; `alone` is false.
 * - Control codes are pcsc-lite's (`0x42000000 + n`), and are converted on Windows.
 *
 * With pcsc-lite, bounded waits need an environment variable that the library reads when the process makes its first context, so let
 * no other code in the process use the library before.
 * @param koffi The package, if it is loaded already; otherwise it is imported.
 * @throws {PcscError} SCARD_E_NO_SERVICE if the package or the library does not load, with what to do.
 */
export async function openNative(koffi?: unknown, options: NativeOptions = {}): Promise<Pcsc> {
  return new NativePcsc(shared(await loadWinscard(koffi)), waitLimits(options));
}

/** What all clients of one library have in common. */
interface Shared {
  readonly winscard: Winscard;
  readonly watch: NativeWatch;
  /** By reader: which connection of this process holds the card. */
  readonly locks: Map<string, CardLock>;
}

const known = new WeakMap<Winscard, Shared>();

function shared(winscard: Winscard): Shared {
  const found = known.get(winscard) ?? {
    winscard,
    watch: new NativeWatch(winscard),
    locks: new Map<string, CardLock>(),
  };
  known.set(winscard, found);
  return found;
}

class NativePcsc implements Pcsc {
  readonly #shared: Shared;
  readonly #limits: Required<WaitLimits>;
  readonly #closing = new AbortController();
  readonly #connections = new Set<NativeConnection>();
  /** Ends an iteration that began. */
  readonly #iterations = new Set<() => Promise<unknown>>();

  constructor(all: Shared, limits: Required<WaitLimits>) {
    this.#shared = all;
    this.#limits = limits;
    setMaxListeners(0, this.#closing.signal);
  }

  async readers(): Promise<readonly ReaderState[]> {
    this.#checkOpen();
    return untilAborted(this.#shared.watch.look(), this.#closing.signal, cancelled);
  }

  changes(options?: CallOptions): AsyncIterable<readonly ReaderState[]> {
    const signal = signalOf(options, badOptions);
    const closing = this.#closing.signal;
    return {
      [Symbol.asyncIterator]: () => {
        const leaving = new AbortController();
        const ends = [leaving.signal, closing, ...(signal ? [signal] : [])];
        const iteration = this.#shared.watch.changes(AbortSignal.any(ends));
        const leave = (): Promise<IteratorResult<readonly ReaderState[], undefined>> => {
          leaving.abort();
          this.#iterations.delete(leave);
          return iteration.return(undefined);
        };
        this.#iterations.add(leave);
        return { next: () => iteration.next(), return: leave };
      },
    };
  }

  async connect(name: string, options: ConnectOptions = {}): Promise<CardConnection> {
    this.#checkOpen();
    const { share = SCARD_SHARE.SHARED } = options;
    const signal = signalOf(options, badOptions);
    const protocols =
      options.protocols ?? (share === SCARD_SHARE.DIRECT ? SCARD_PROTOCOL.UNDEFINED : SCARD_PROTOCOL.ANY);
    throwIfAborted(signal, cancelled);
    const { winscard, locks } = this.#shared;
    const lock = locks.get(name) ?? new CardLock();
    locks.set(name, lock);
    const connection = new NativeConnection(winscard, lock, { name, share, protocols, ...this.#limits });
    for (const other of this.#connections) if (other.closed) this.#connections.delete(other);
    this.#connections.add(connection);
    try {
      await connection.open(signal);
    } catch (error) {
      void connection.abandon();
      throw error;
    }
    return connection;
  }

  async close(): Promise<void> {
    this.#closing.abort(new PcscError("SCARD_E_INVALID_HANDLE", "this client is closed"));
    const left = [...this.#iterations].map((leave) => leave().catch(() => undefined));
    await Promise.all([...left, ...[...this.#connections].map((connection) => connection.disconnect())]);
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted)
      throw new PcscError("SCARD_E_INVALID_HANDLE", "this client is closed; open a new one");
  }
}
