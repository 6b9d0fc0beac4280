import { setTimeout as sleep } from "node:timers/promises";
import type { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import { type AddonContext, addonError, type AddonReader } from "./module.ts";

/** Bits of SCARD_STATE. */
const UNAVAILABLE = 0x08;
const PRESENT = 0x20;
const MUTE = 0x200;
const MAX_ATR = 33;
/** Milliseconds until the first states: libpcsclite gives a card 400 ms to be powered. */
const FIRST_STATES = 2000;
/** Milliseconds of quiet before a reader is closed, see {@link AddonReaders.retire}. */
const QUIET = 40;
/** Milliseconds for which the thread that reports an object's end may still need it. */
const AFTERLIFE = 1000;

interface Watched {
  readonly native: AddonReader;
  state: { readonly flags: number; readonly atr: Uint8Array } | undefined;
  /** Counts insertions and removals, for systems that do not. */
  seen: number;
  /** Time of the last event, from `performance.now()`. */
  heard: number;
  ended: boolean;
}

/** Kept from the garbage collector: the addon's threads hold bare pointers to these until their last event is over. */
const retired = new Set<AddonReaders>();

/**
 * One context of the addon and the readers that it found at first. It does not follow new readers: it reports a change,
 * and a new context replaces it. So it does not depend on the addon's own list, which misses a reader that returns too
 * soon, and closes readers at a moment when their handle stays open for ever.
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
   * @param onChange The list of readers changed, or the service has ended.
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
        // Later lists are not passed to the package.
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

  /** The reason why this context is unusable. */
  get failure(): PcscError | undefined {
    return this.#failure;
  }

  get states(): readonly ReaderState[] {
    if (this.#failure) return [];
    return [...this.#watched.values()].filter(({ ended }) => !ended).map((watched) => stateOf(watched));
  }

  /**
   * The native object that watches a reader. Only its class is used: a connected object would be locked by its events.
   */
  native(name: string): AddonReader | undefined {
    return this.#watched.get(name)?.native;
  }

  #list(names: Uint8Array): void {
    const first = this.#names === undefined;
    // Parsed as the package does, so that the names match those of its readers.
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
    // These run while the addon holds the reader's lock: a call back into the reader would never return.
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
   * Ends all threads. The addon leaks the handle of a reader whose thread is told to end between two waits
   * (`cardreader.cpp`, `HandlerFunction`), and the process then never exits: so the reader must have been quiet for a
   * while.
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

  /** Defers `work`: promises may continue in the middle of an event of the addon, which locks the reader. */
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
    // The addon reports neither how many programs share a card nor changes of that number.
    sharing: undefined,
    events: flags >>> 16 || seen,
    atr: present && state ? state.atr.slice() : new Uint8Array(),
  };
}
