import { setMaxListeners } from "node:events";
import { pause } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import { cancelled, ReaderFeed } from "../waiting.ts";
import type { NativeState } from "./abi.ts";
import type { Handle, Winscard } from "./winscard.ts";

/** Bits of SCARD_STATE. */
const CHANGED = 0x02;
const UNKNOWN = 0x04;
const UNAVAILABLE = 0x08;
const PRESENT = 0x20;
const EXCLUSIVE = 0x80;
const IN_USE = 0x100;
const MUTE = 0x200;

/** The name under which SCardGetStatusChange tells of new readers. */
const NEW_READERS = "\\\\?PnP?\\Notification";
/** Milliseconds of one wait. The readers are listed again after it. */
const LONG_WAIT = 60_000;
/** The same after a change of the list: a change between listing and waiting is lost. And where nothing tells of new readers. */
const SHORT_WAIT = 300;
/** Milliseconds between two looks where no thread may wait. */
const LOOK_EVERY = 200;
const FIRST_RETRY = 50;
/** So many refusals, one after the other, are not those of a service that ends. */
const CERTAIN = 3;
const LONGEST_RETRY = 1_000;
/** Milliseconds between attempts to end a wait: one that has not begun is not ended. */
const CANCEL_EVERY = 50;

/** A time of following, from the first follower to the last. */
interface Following {
  /** Aborts when the last follower leaves. */
  readonly leaving: AbortController;
  /** The context in which a call waits. */
  waiting: Handle | undefined;
  over: Promise<void>;
  isOver: boolean;
}

/**
 * The readers, through one waiting call of the process: it follows them while a client iterates over changes, and ends when the last
 * one stops.
 */
export class NativeWatch {
  readonly #winscard: Winscard;
  readonly #feed = new ReaderFeed(() => this.#states);
  readonly #counts = new Map<string, { present: boolean; seen: number }>();
  #states: readonly ReaderState[] = [];
  #followers = 0;
  #following: Following | undefined;
  /** Whether {@link #states} are of now. */
  #isKnown = false;
  #looking: Promise<readonly ReaderState[]> | undefined;
  #next: Promise<readonly ReaderState[]> | undefined;
  #failure: PcscError | undefined;

  constructor(winscard: Winscard) {
    this.#winscard = winscard;
  }

  /**
   * The readers now. Of calls that are made at once, the later ones share one look.
   * @throws {PcscError} such as SCARD_E_NO_SERVICE.
   */
  look(): Promise<readonly ReaderState[]> {
    if (this.#looking === undefined) {
      this.#looking = this.#look().finally(() => (this.#looking = undefined));
      return this.#looking;
    }
    this.#next ??= this.#looking
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.look();
      });
    return this.#next;
  }

  async #look(): Promise<readonly ReaderState[]> {
    const context = await this.#winscard.establish();
    try {
      const names = await this.#winscard.listReaders(context);
      const states = await this.#winscard.states(context, names);
      return names.map((name, index) => this.#stateOf(name, states[index]));
    } finally {
      await this.#winscard.release(context).catch(() => undefined);
    }
  }

  /** The readers now and after each change. @throws {PcscError} SCARD_W_SECURITY_VIOLATION; other failures are waited for. */
  async *changes(signal: AbortSignal): AsyncGenerator<readonly ReaderState[], undefined> {
    if (signal.aborted) return;
    this.#followers++;
    let before: string | undefined;
    try {
      this.#following ??= this.#follow();
      for await (const states of this.#feed.changes(signal)) {
        if (this.#failure) throw this.#failure;
        // The first states are those of a look that began after the first follower came.
        if (!this.#isKnown) continue;
        const now = JSON.stringify(states);
        if (now !== before) yield states;
        before = now;
      }
    } finally {
      if (--this.#followers === 0 && this.#following) await this.#leave(this.#following);
    }
  }

  #follow(): Following {
    const leaving = new AbortController();
    setMaxListeners(0, leaving.signal);
    this.#failure = undefined;
    this.#isKnown = false;
    const following: Following = { leaving, waiting: undefined, over: Promise.resolve(), isOver: false };
    following.over = this.#run(following).finally(() => (following.isOver = true));
    return following;
  }

  async #leave(following: Following): Promise<void> {
    this.#following = undefined;
    following.leaving.abort();
    for (;;) {
      if (following.waiting !== undefined) await this.#winscard.cancel(following.waiting).catch(() => undefined);
      if (following.isOver) break;
      await Promise.race([following.over, pause(CANCEL_EVERY)]);
    }
    await following.over;
  }

  /** Follows the readers, also when the service ends and returns. */
  async #run(following: Following): Promise<void> {
    const leaving = following.leaving.signal;
    let retry = FIRST_RETRY;
    let refusals = 0;
    while (!leaving.aborted) {
      try {
        const context = await this.#winscard.establish();
        try {
          retry = FIRST_RETRY;
          refusals = 0;
          await this.#followIn(context, following);
        } finally {
          await this.#winscard.release(context).catch(() => undefined);
        }
      } catch (error) {
        if (!(error instanceof PcscError)) throw error;
        // The library tells of a service that ends just then as of one that refuses this user.
        if (error.is("SCARD_W_SECURITY_VIOLATION") && ++refusals === CERTAIN) {
          this.#failure = error;
          this.#feed.notify();
          return;
        }
        this.#tell(leaving, []);
        await pause(retry, leaving, cancelled).catch(() => undefined);
        retry = Math.min(2 * retry, LONGEST_RETRY);
      }
    }
  }

  /** Follows the readers in one context, until the service ends. */
  async #followIn(context: Handle, following: Following): Promise<void> {
    const leaving = following.leaving.signal;
    let names: readonly string[] | undefined;
    while (!leaving.aborted) {
      const listed = await this.#winscard.listReaders(context);
      const isNew = listed.join("\0") !== names?.join("\0");
      names = listed;
      let states = await this.#winscard.states(context, names);
      this.#tell(leaving, this.#statesOf(names, states));
      const isShort = isNew || !this.#winscard.abi.tellsOfReaders;
      const deadline = performance.now() + (isShort ? SHORT_WAIT : LONG_WAIT);
      while (performance.now() < deadline) {
        const found = await this.#wait(context, names, states, Math.ceil(deadline - performance.now()), following);
        if (!found) break;
        const [known, listChanged] = found;
        states = known;
        this.#tell(leaving, this.#statesOf(names, states));
        if (listChanged) break;
      }
    }
  }

  /** Waits for a change. @returns The new states, and whether the list of readers changed; undefined without a change. */
  async #wait(
    context: Handle,
    names: readonly string[],
    before: readonly NativeState[],
    milliseconds: number,
    following: Following,
  ): Promise<readonly [readonly NativeState[], boolean] | undefined> {
    const { abi, threads } = this.#winscard;
    const leaving = following.leaving.signal;
    if (!threads.mayWait) {
      await pause(LOOK_EVERY, leaving, cancelled).catch(() => undefined);
      return undefined;
    }
    const all = abi.tellsOfReaders ? [...names, NEW_READERS] : names;
    if (all.length === 0) {
      await pause(milliseconds, leaving, cancelled).catch(() => undefined);
      return undefined;
    }
    const memory = this.#winscard.readerStates(all);
    for (const [index, { flags }] of before.entries()) memory.expect(index, flags & ~CHANGED);
    // Windows compares the number of readers with this one.
    if (abi.tellsOfReaders) memory.expect(names.length, names.length << 16);
    following.waiting = context;
    try {
      if (leaving.aborted || !(await this.#winscard.statusChange(context, milliseconds, memory))) return undefined;
    } finally {
      following.waiting = undefined;
    }
    const states = names.map((_, index) => memory.found(index));
    const isNew = abi.tellsOfReaders && (memory.found(names.length).flags & CHANGED) !== 0;
    return [states, isNew || states.some(({ flags }) => (flags & UNKNOWN) !== 0)];
  }

  #tell(leaving: AbortSignal, states: readonly ReaderState[]): void {
    if (leaving.aborted) return;
    this.#states = states;
    this.#isKnown = true;
    this.#feed.notify();
  }

  #statesOf(names: readonly string[], states: readonly NativeState[]): readonly ReaderState[] {
    return names.map((name, index) => this.#stateOf(name, states[index]));
  }

  #stateOf(name: string, state: NativeState | undefined): ReaderState {
    const flags = state?.flags ?? 0;
    const present = (flags & PRESENT) !== 0;
    const count = this.#counts.get(name) ?? { present: false, seen: 0 };
    if (count.present !== present) this.#counts.set(name, { present, seen: count.seen + 1 });
    return {
      name,
      unavailable: (flags & (UNAVAILABLE | UNKNOWN)) !== 0,
      present,
      mute: (flags & MUTE) !== 0,
      sharing: sharingOf(flags),
      // Systems that do not count leave this out.
      events: flags >>> 16 || (this.#counts.get(name) ?? count).seen,
      atr: present && state ? state.atr : new Uint8Array(),
    };
  }
}

/** The library says whether the card is in use, not by how many. */
function sharingOf(flags: number): number | undefined {
  if ((flags & EXCLUSIVE) !== 0) return -1;
  return (flags & IN_USE) === 0 ? 0 : undefined;
}
