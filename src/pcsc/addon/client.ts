import { type CallOptions, signalOf } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import {
  type CardConnection,
  type ConnectOptions,
  type Pcsc,
  type ReaderState,
  SCARD_PROTOCOL,
  SCARD_SHARE,
} from "../types.ts";
import { badOptions, CLOSE_WITHIN, type WaitLimits, waitLimits } from "../waiting.ts";
import { AddonConnection } from "./connection.ts";
import { AddonCards, loadAddon } from "./module.ts";
import { AddonWatch } from "./watch.ts";

/** Time limits of its calls. Connecting may always take 2,000 ms. */
export type AddonOptions = WaitLimits;

/**
 * PC/SC through the npm package `pcsclite` 1.0.1, a native addon: for macOS and Windows, whose resource managers have
 * no socket. The package is not a dependency of this one; install it where you need it. Close the client: its threads
 * keep the process running. Limits of the addon:
 *
 * - **Transactions.** `begin` keeps other connections of this process away from the card, and finds out whether another
 *   program has the card (it waits, then SCARD_E_SHARING_VIOLATION) or has reset or lost it. It does not keep other
 *   programs away: between two commands one of them may reach the card. On Windows and macOS, where the reader is asked
 *   for its features instead, a reset may show only at the next `transmit`.
 * - **Reconnecting** is disconnecting and connecting again: another program may get in between, and an exclusive
 *   connection may be lost.
 * - **Attributes**: only the answer to reset (00090303), from the readers' events; else SCARD_E_UNSUPPORTED_FEATURE.
 * - **Sharing** is unknown: `sharing` is undefined, and `alone` is false.
 * - A native call cannot be interrupted: an abandoned one continues to its end and keeps the process running.
 *
 * With pcsc-lite, bounded waits need an environment variable that the library reads when the process makes its first
 * context, so let no other code in the process use the addon before.
 * @param module The package, if it is loaded already; otherwise it is imported.
 * @throws {PcscError} SCARD_E_NO_SERVICE if the package does not load, with what to install.
 */
export async function openAddon(module?: unknown, options: AddonOptions = {}): Promise<Pcsc> {
  return new AddonPcsc(new AddonWatch(await loadAddon(module)), waitLimits(options));
}

class AddonPcsc implements Pcsc {
  readonly #watch: AddonWatch;
  readonly #limits: Required<WaitLimits>;
  readonly #connections = new Set<AddonConnection>();

  constructor(watch: AddonWatch, limits: Required<WaitLimits>) {
    this.#watch = watch;
    this.#limits = limits;
  }

  async readers(): Promise<readonly ReaderState[]> {
    await this.#watch.ready();
    return this.#watch.states;
  }

  changes(options?: CallOptions): AsyncIterable<readonly ReaderState[]> {
    return this.#watch.changes(signalOf(options, badOptions));
  }

  async connect(name: string, options: ConnectOptions = {}): Promise<CardConnection> {
    const { share = SCARD_SHARE.SHARED, protocols = SCARD_PROTOCOL.ANY } = options;
    const signal = signalOf(options, badOptions);
    await this.#watch.ready();
    if (!this.#watch.native(name)) await this.#watch.refresh();
    const native = this.#watch.native(name);
    if (!native) throw new PcscError("SCARD_E_UNKNOWN_READER");
    const cards = AddonCards.like(native);
    const connection = new AddonConnection(cards, this.#watch, { name, share, protocols, ...this.#limits });
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
    const ends = [...this.#connections].map((connection) => connection.abandon());
    await Promise.all([this.#watch.close(), Promise.race([Promise.all(ends), afterAWhile()])]);
  }
}

/** For calls of the addon that may never end. */
function afterAWhile(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, CLOSE_WITHIN).unref();
  });
}
