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
import { badOptions, ReaderFeed, type WaitLimits, waitLimits } from "../waiting.ts";
import { MemoryConnection } from "./connection.ts";
import { type InProcessCard, MemorySlot } from "./slot.ts";

export type { InProcessCard } from "./slot.ts";

export type MemoryClientOptions = WaitLimits;

/**
 * Readers and cards in this process: a resource manager like pcscd, without hardware. Calls plug readers and insert
 * cards; each {@link client} sees them as a program of its own would, with pcscd's rules for sharing, transactions,
 * resets and removal.
 *
 *     const readers = new MemoryReaders();
 *     readers.plug("Reader");
 *     readers.insert("Reader", card);
 *     await using connection = await readers.client().connect("Reader");
 */
export class MemoryReaders {
  readonly #slots = new Map<string, MemorySlot>();
  readonly #feeds = new Set<ReaderFeed>();

  /** Adds an empty reader. @throws {PcscError} SCARD_E_INVALID_VALUE if there is one of this name. */
  plug(name: string): void {
    if (this.#slots.has(name)) throw new PcscError("SCARD_E_INVALID_VALUE", `a reader "${name}" is plugged in already`);
    this.#slots.set(
      name,
      new MemorySlot(name, () => {
        this.#notify();
      }),
    );
    this.#notify();
  }

  /** Removes the reader, with the card in it. @throws {PcscError} SCARD_E_UNKNOWN_READER. */
  unplug(name: string): void {
    const slot = this.#slot(name);
    this.#slots.delete(name);
    slot.unplug();
    this.#notify();
  }

  /**
   * Inserts a card and powers it up.
   * @throws {PcscError} SCARD_E_UNKNOWN_READER, SCARD_E_INVALID_VALUE if a card is in.
   */
  insert(name: string, card: InProcessCard): void {
    this.#slot(name).insert(card);
  }

  /** Removes the card, also during an exchange. @throws {PcscError} SCARD_E_UNKNOWN_READER, SCARD_E_NO_SMARTCARD. */
  eject(name: string): void {
    this.#slot(name).eject();
  }

  /** Makes a client that counts as another process. */
  client(options: MemoryClientOptions = {}): Pcsc {
    const feed = new ReaderFeed(() => this.#states());
    this.#feeds.add(feed);
    return new MemoryPcsc({
      states: () => this.#states(),
      slot: (name) => this.#slot(name),
      feed,
      limits: waitLimits(options),
      end: () => this.#feeds.delete(feed),
    });
  }

  #states(): readonly ReaderState[] {
    return [...this.#slots.values()].map((slot) => slot.state);
  }

  #slot(name: string): MemorySlot {
    const slot = this.#slots.get(name);
    if (!slot) throw new PcscError("SCARD_E_UNKNOWN_READER", `no reader "${name}"; list the readers`);
    return slot;
  }

  #notify(): void {
    for (const feed of this.#feeds) feed.notify();
  }
}

interface World {
  readonly states: () => readonly ReaderState[];
  readonly slot: (name: string) => MemorySlot;
  readonly feed: ReaderFeed;
  readonly limits: Required<WaitLimits>;
  readonly end: () => void;
}

class MemoryPcsc implements Pcsc {
  readonly #world: World;
  readonly #connections = new Set<MemoryConnection>();
  #closed = false;

  constructor(world: World) {
    this.#world = world;
  }

  readers(): Promise<readonly ReaderState[]> {
    if (this.#closed) return Promise.reject(closed());
    return Promise.resolve(this.#world.states());
  }

  changes(options?: CallOptions): AsyncIterable<readonly ReaderState[]> {
    return this.#world.feed.changes(signalOf(options, badOptions));
  }

  async connect(reader: string, options: ConnectOptions = {}): Promise<CardConnection> {
    if (this.#closed) throw closed();
    const { share = SCARD_SHARE.SHARED, protocols = SCARD_PROTOCOL.ANY } = options;
    const signal = signalOf(options, badOptions);
    const connection = new MemoryConnection(this.#world.slot(reader), { share, protocols, ...this.#world.limits });
    for (const other of this.#connections) if (other.closed) this.#connections.delete(other);
    this.#connections.add(connection);
    try {
      await connection.open(signal);
    } catch (error) {
      this.#connections.delete(connection);
      throw error;
    }
    return connection;
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const connection of this.#connections) connection.abandon();
    this.#connections.clear();
    this.#world.feed.end();
    this.#world.end();
    return Promise.resolve();
  }
}

function closed(): PcscError {
  return new PcscError("SCARD_E_INVALID_HANDLE", "this client is closed");
}
