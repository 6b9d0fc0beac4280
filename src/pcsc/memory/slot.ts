import { Condition, type Deadline, SerialQueue, throwIfAborted, untilAborted } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import { type ReaderState, SCARD_PROTOCOL, SCARD_SHARE, type ShareMode } from "../types.ts";
import { cancelled } from "../waiting.ts";

export interface LockWait {
  /** Until SCARD_E_SHARING_VIOLATION. */
  readonly deadline: Deadline;
  readonly signals: readonly (AbortSignal | undefined)[];
  /** The reader: there is nothing to wait for once it is unplugged. */
  readonly slot?: MemorySlot;
}

/** Which connection of this process holds a card. A nested acquire needs as many releases. */
export class CardLock {
  readonly #freed = new Condition(cancelled);
  #owner: object | undefined;
  #depth = 0;

  /** Number of nested acquires by the owner. */
  get depth(): number {
    return this.#depth;
  }

  heldBy(connection: object): boolean {
    return this.#owner === connection;
  }

  heldByOther(connection: object): boolean {
    return this.#owner !== undefined && this.#owner !== connection;
  }

  /** Call it only from within {@link whenFree}, or as the owner. */
  take(connection: object): void {
    this.#owner = connection;
    this.#depth++;
  }

  /**
   * @throws {PcscError} SCARD_E_SHARING_VIOLATION if another connection holds it, SCARD_E_NOT_TRANSACTED if none does.
   */
  give(connection: object): void {
    if (this.heldByOther(connection)) throw new PcscError("SCARD_E_SHARING_VIOLATION");
    if (this.#depth === 0) throw new PcscError("SCARD_E_NOT_TRANSACTED");
    this.#depth--;
    if (this.#depth === 0) this.#free();
  }

  /** Releases it entirely, if `connection` holds it. */
  release(connection: object): void {
    if (this.heldBy(connection)) this.#free();
  }

  /** Makes all waiting connections check again. */
  wake(): void {
    this.#freed.notifyAll();
  }

  /**
   * Runs `action` as soon as no connection but `connection` holds the lock, synchronously. First come, first served.
   * @throws {PcscError} SCARD_E_SHARING_VIOLATION when that takes too long.
   */
  async whenFree<T>(connection: object, action: () => T | Promise<T>, wait: LockWait): Promise<T> {
    throwIfAborted(wait.signals, cancelled);
    if (wait.slot?.unplugged) throw new PcscError("SCARD_E_READER_UNAVAILABLE");
    while (this.heldByOther(connection)) await this.freed(wait);
    return action();
  }

  /**
   * Waits until the connection that holds it releases it. Look again then: another one that waited may have it.
   * @throws {PcscError} SCARD_E_SHARING_VIOLATION at the deadline, SCARD_E_READER_UNAVAILABLE once the reader is unplugged.
   */
  async freed({ deadline, signals, slot }: LockWait): Promise<void> {
    if (deadline.passed) throw new PcscError("SCARD_E_SHARING_VIOLATION");
    await this.#freed.wait(deadline, signals);
    throwIfAborted(signals, cancelled);
    if (slot?.unplugged) throw new PcscError("SCARD_E_READER_UNAVAILABLE");
  }

  #free(): void {
    this.#owner = undefined;
    this.#depth = 0;
    this.#freed.notifyAll();
  }
}

/** A card in this process. Any object with these members may be inserted. */
export interface InProcessCard {
  /** Answer to reset, 2 to 33 bytes. Empty: the card is mute. */
  readonly atr: Uint8Array;
  /** Power cycle or warm reset: the card forgets its volatile state. */
  reset(): void;
  /** One command APDU in, one response APDU out. */
  transmit(command: Uint8Array): Promise<Uint8Array>;
}

/** A connection, as the reader sees it. */
export interface Tenant {
  /** The card was reset or removed. */
  notice(event: "reset" | "removed"): void;
}

/**
 * A reader of this process, with the state that a resource manager keeps for it: the connections, and which of them
 * holds the card.
 */
export class MemorySlot {
  readonly name: string;
  readonly lock = new CardLock();
  readonly #changed: () => void;
  readonly #tenants = new Set<Tenant>();
  #card: InProcessCard | undefined;
  /** Aborts when the present card is removed. */
  #presence = new AbortController();
  #events = 0;
  /** The reader is gone permanently. */
  unplugged = false;
  #exclusive = false;
  /** The active protocol, since the first connection to the card; undefined after a reset. */
  #protocol: number | undefined;
  readonly #exchanges = new SerialQueue(cancelled);

  /** @param changed Called after each change that {@link state} shows. */
  constructor(name: string, changed: () => void) {
    this.name = name;
    this.#changed = changed;
  }

  get state(): ReaderState {
    const atr = this.atr;
    return {
      name: this.name,
      unavailable: false,
      present: this.#card !== undefined,
      mute: this.#card !== undefined && atr.length === 0,
      sharing: this.#exclusive ? -1 : this.#tenants.size,
      events: this.#events,
      atr,
    };
  }

  get atr(): Uint8Array {
    return this.#card?.atr.slice() ?? new Uint8Array();
  }

  get exclusive(): boolean {
    return this.#exclusive;
  }

  get tenants(): number {
    return this.#tenants.size;
  }

  insert(card: InProcessCard): void {
    if (this.#card) throw new PcscError("SCARD_E_INVALID_VALUE", `a card is in ${this.name}; eject it first`);
    card.reset();
    this.#card = card;
    this.#presence = new AbortController();
    this.#events++;
    this.#changed();
  }

  eject(): void {
    if (!this.#card) throw new PcscError("SCARD_E_NO_SMARTCARD");
    this.#events++;
    this.#remove("SCARD_W_REMOVED_CARD");
    this.#changed();
  }

  /** Removes the reader and its card. Its connections stay dead, even if a reader of this name returns. */
  unplug(): void {
    this.unplugged = true;
    this.#remove("SCARD_E_READER_UNAVAILABLE");
  }

  #remove(reason: "SCARD_W_REMOVED_CARD" | "SCARD_E_READER_UNAVAILABLE"): void {
    this.#card = undefined;
    this.#protocol = undefined;
    this.#presence.abort(new PcscError(reason));
    for (const tenant of this.#tenants) tenant.notice("removed");
    this.lock.wake();
  }

  /**
   * Adds a connection.
   * @returns The active protocol; UNDEFINED for a direct connection.
   */
  admit(tenant: Tenant, share: ShareMode, protocols: number): number {
    const protocol = share === SCARD_SHARE.DIRECT ? SCARD_PROTOCOL.UNDEFINED : this.negotiate(protocols);
    if (share === SCARD_SHARE.EXCLUSIVE) {
      if (this.#tenants.size > 0) throw new PcscError("SCARD_E_SHARING_VIOLATION");
      this.#exclusive = true;
      // The hidden lock of an exclusive connection, which END does not release.
      this.lock.take(tenant);
    }
    this.#tenants.add(tenant);
    this.#changed();
    return protocol;
  }

  /** Removes a connection and all its locks. */
  leave(tenant: Tenant): void {
    if (!this.#tenants.delete(tenant)) return;
    this.lock.release(tenant);
    this.#exclusive = false;
    if (!this.unplugged) this.#changed();
  }

  /** The card's active protocol, or the one of `protocols` that it supports. */
  negotiate(protocols: number): number {
    if (!this.#card) throw new PcscError("SCARD_E_NO_SMARTCARD");
    if (this.#card.atr.length === 0) throw new PcscError("SCARD_W_UNPOWERED_CARD");
    const offered = this.#protocol === undefined ? offeredProtocols(this.#card.atr) : [this.#protocol];
    this.#protocol = [SCARD_PROTOCOL.RAW & protocols, ...offered].find((protocol) => (protocol & protocols) !== 0);
    if (this.#protocol === undefined) throw new PcscError("SCARD_E_PROTO_MISMATCH");
    return this.#protocol;
  }

  /** Ends a transaction. @throws {PcscError} SCARD_E_SHARING_VIOLATION, SCARD_E_NOT_TRANSACTED. */
  unlock(tenant: Tenant): void {
    if (this.#exclusive && this.lock.depth === 1) throw new PcscError("SCARD_E_NOT_TRANSACTED");
    this.lock.give(tenant);
  }

  /** Resets the card after the pending exchange. Every connection is notified at once, also the caller's. */
  async reset(): Promise<void> {
    if (!this.#card) throw new PcscError("SCARD_E_NO_SMARTCARD");
    this.#protocol = undefined;
    for (const tenant of this.#tenants) tenant.notice("reset");
    await this.exchange((card) => {
      card.reset();
      return Promise.resolve();
    });
  }

  /**
   * Runs `work` with the card, one exchange at a time.
   * @param signal Ends the wait, as the removal of the card does.
   */
  exchange<T>(work: (card: InProcessCard) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#exchanges.run(async () => {
      if (!this.#card) throw new PcscError("SCARD_E_NO_SMARTCARD");
      // Of this card: another one may be in the reader when the work ends, or has begun.
      const signals = [this.#presence.signal, signal];
      try {
        return await untilAborted(work(this.#card), signals, cancelled);
      } catch (cause) {
        if (cause instanceof PcscError) throw cause;
        throw new PcscError("SCARD_E_NOT_TRANSACTED", "the card failed", { cause });
      }
    }, signal);
  }
}

/**
 * The protocols that an answer to reset offers (ISO/IEC 7816-3 section 8.2.3), T=1 before T=0: pcscd prefers T=1
 * (pcsc-lite, prothandler.c, PHSetProtocol).
 */
function offeredProtocols(atr: Uint8Array): number[] {
  const offered = new Set<number>();
  let indicator = atr[1] ?? 0;
  for (let offset = 1; (indicator & 0x80) !== 0 && offset < atr.length;) {
    offset += [0x10, 0x20, 0x40, 0x80].filter((bit) => (indicator & bit) !== 0).length;
    indicator = atr[offset] ?? 0;
    offered.add(indicator & 0x0f);
  }
  if (offered.size === 0) offered.add(0);
  return [...(offered.has(1) ? [SCARD_PROTOCOL.T1] : []), ...(offered.has(0) ? [SCARD_PROTOCOL.T0] : [])];
}
