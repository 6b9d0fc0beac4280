import { setTimeout as sleep } from "node:timers/promises";
import type { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import { type AddonContext, addonError, type AddonReader } from "./module.ts";

/** Of SCARD_STATE. */
const UNAVAILABLE = 0x08;
const PRESENT = 0x20;
const MUTE = 0x200;
const MAX_ATR = 33;
/** How long the first states may take: libpcsclite gives a card 400 ms to be powered. */
const FIRST_STATES = 2000;
/** A reader is closed only after so many quiet milliseconds, see {@link AddonReaders.retire}. */
const QUIET = 40;
/** How long a native object may still be needed by the thread that reports its end. */
const AFTERLIFE = 1000;

interface Watched {
  readonly native: AddonReader;
  state: { readonly flags: number; readonly atr: Uint8Array } | undefined;
  /** Insertions and removals seen, for systems that do not count them. */
  seen: number;
  /** When it was heard of last, as `performance.now()` has it. */
  heard: number;
  ended: boolean;
}

/** Kept from the garbage collector: the addon's threads hold bare pointers to these until their last event is over. */
const retired = new Set<AddonReaders>();

/**
 * One context of the addon and the readers that it found when it was made. It does not follow readers that come: it
 * tells that something changed, and another one is made. So the addon's own list, which never sees a reader again that
 * comes back too soon, and which closes readers at a moment when that leaves their handle open for ever, is not used.
 */
export class AddonReaders {
  readonly #context: AddonContext;
  readonly #onState: () => void;
  readonly #onChange: () => void;
  readonly #watched = new Map<string, Watched>();
  #names: readonly string[] | undefined;
  #failure: PcscError | undefined;
  #retired = false;
  #settle: () => void = () => undefined;
  /** Resolves when the first state of every reader is known, or the context has failed. */
  readonly ready: Promise<void>;

  /**
   * @param onState A reader's state changed.
   * @param onChange The list of readers is no longer what it was, or the service is gone.
   */
  constructor(context: AddonContext, onState: () => void, onChange: () => void) {
    this.#context = context;
    this.#onState = onState;
    this.#onChange = onChange;
    const settled = new Promise<void>((resolve) => (this.#settle = resolve));
    const late = new AbortController();
    this.ready = Promise.race([
      settled,
      sleep(FIRST_STATES, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    void settled.then(() => {
      late.abort();
    });
    // The package calls `start` in its next tick.
    const start = context.start.bind(context);
    context.start = (listed) => {
      start((error, names) => {
        // Later lists are not for the package.
        if (error !== undefined || this.#names === undefined) listed(error, names);
        if (names !== undefined) this.#list(names);
      });
    };
    context.on("reader", (reader) => {
      this.#watch(reader);
    });
    context.on("error", (error) => {
      if (this.#retired) return;
      this.#failure = addonError(error);
      this.#settle();
      this.#onChange();
    });
  }

  /** Why this is of no use any more. */
  get failure(): PcscError | undefined {
    return this.#failure;
  }

  get states(): readonly ReaderState[] {
    if (this.#failure) return [];
    return [...this.#watched.values()].filter(({ ended }) => !ended).map((watched) => stateOf(watched));
  }

  /** The native object that watches a reader. For its class: never to be connected, its events lock it. */
  native(name: string): AddonReader | undefined {
    return this.#watched.get(name)?.native;
  }

  #list(names: Uint8Array): void {
    const first = this.#names === undefined;
    // Read as the package reads them, so that they are the names that its readers have.
    this.#names = Buffer.from(names)
      .toString()
      .split("\0")
      .filter((name) => name !== "");
    this.#checkSettled();
    if (!first && !this.#retired) this.#onChange();
  }

  #watch(native: AddonReader): void {
    const watched: Watched = { native, state: undefined, seen: 0, heard: performance.now(), ended: false };
    this.#watched.set(native.name, watched);
    // These run while the addon holds the reader's lock: a call back into the reader here would never return.
    native.on("status", ({ state, atr = new Uint8Array() }) => {
      if (((state ^ (watched.state?.flags ?? 0)) & PRESENT) !== 0) watched.seen++;
      watched.state = { flags: state, atr: Uint8Array.from(atr.subarray(0, MAX_ATR)) };
      watched.heard = performance.now();
      this.#checkSettled();
      if (!this.#retired) this.#onState();
    });
    native.on("error", () => {
      watched.heard = performance.now();
    });
    native.on("end", () => {
      watched.ended = true;
      this.#checkSettled();
      if (!this.#retired) this.#onChange();
    });
  }

  #checkSettled(): void {
    const known = this.#names?.every((name) => {
      const watched = this.#watched.get(name);
      return watched?.state !== undefined || watched?.ended === true;
    });
    if (known) this.#settle();
  }

  /**
   * Ends all threads. The addon forgets to close the handle of a reader whose thread is told to end while it is between
   * two waits (`cardreader.cpp`, `HandlerFunction`), and the process then never exits: so nothing may have happened in the
   * reader just now.
   */
  async retire(): Promise<void> {
    if (this.#retired) return;
    this.#retired = true;
    retired.add(this);
    await this.ready;
    const deadline = performance.now() + FIRST_STATES;
    for (const watched of this.#watched.values()) {
      for (;;) {
        const now = performance.now();
        const left = watched.heard + QUIET - now;
        if (left <= 0 || watched.ended || now > deadline) break;
        await sleep(left);
      }
    }
    await this.#close();
    setTimeout(() => retired.delete(this), AFTERLIFE).unref();
  }

  /** In a turn of its own: promises may be continued in the midst of an event of the addon, which locks the reader. */
  #close(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#context.close();
        for (const { native } of this.#watched.values()) native.close();
        resolve();
      });
    });
  }
}

function stateOf({ native, state, seen }: Watched): ReaderState {
  const flags = state?.flags ?? 0;
  const present = (flags & PRESENT) !== 0;
  return {
    name: native.name,
    unavailable: (flags & UNAVAILABLE) !== 0,
    present,
    mute: (flags & MUTE) !== 0,
    // How many share a card is not told, nor when one more does.
    sharing: undefined,
    events: flags >>> 16 || seen,
    atr: present && state ? state.atr.slice() : new Uint8Array(),
  };
}
