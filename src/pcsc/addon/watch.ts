import { setImmediate as nextTurn } from "node:timers/promises";
import { throwIfAborted, untilAborted } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import { cancelled, ReaderFeed } from "../waiting.ts";
import { type AddonModule, type AddonReader, openContext } from "./module.ts";
import { AddonReaders } from "./readers.ts";

const FIRST_RETRY = 50;
const LONGEST_RETRY = 1000;
/** Milliseconds to wait after a change of the list, because changes often come in groups. */
const SETTLE = 30;
/**
 * Milliseconds until the next look: a change between listing and waiting is lost (`pcsclite.cpp`, `HandlerFunction`).
 */
const VERIFY = 300;

/**
 * Follows the readers through the addon, also when the service ends and returns. Whenever the list of readers changes,
 * a new context replaces the old one.
 */
export class AddonWatch {
  readonly #module: AddonModule;
  readonly #feed = new ReaderFeed(() => this.states);
  readonly #closing = new AbortController();
  #current: AddonReaders | undefined;
  #opening: Promise<AddonReaders> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #retiring = new Set<Promise<void>>();
  /** Whether a consumer iterates: the service is then looked for again when it has ended. */
  #followed = false;
  #retry = FIRST_RETRY;
  #told = "";

  constructor(module: AddonModule) {
    this.#module = module;
  }

  get states(): readonly ReaderState[] {
    return this.#current?.states ?? [];
  }

  /**
   * Makes sure that readers are watched.
   * @throws {PcscError} such as SCARD_E_NO_SERVICE.
   */
  async ready(): Promise<void> {
    throwIfAborted(this.#closing.signal, cancelled);
    // Changes that are reported but not yet delivered.
    await nextTurn();
    if (!this.#current) await this.#open();
  }

  /** Looks again, for a reader that came just now. @throws {PcscError} such as SCARD_E_NO_SERVICE. */
  async refresh(): Promise<void> {
    await this.#open();
  }

  changes(signal?: AbortSignal): AsyncIterable<readonly ReaderState[]> {
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = this.#feed.changes(signal)[Symbol.asyncIterator]();
        this.#followed = true;
        const begun = this.ready().catch((error: unknown) => {
          if (isRefusal(error)) throw error;
          this.#lookLater(this.#retry);
        });
        const ended = untilAborted(begun, [signal, this.#closing.signal], cancelled).catch((error: unknown) => {
          if (isRefusal(error)) throw error;
        });
        // The next call reports the error.
        ended.catch(() => undefined);
        return {
          next: () => ended.then(() => iterator.next()),
          return: () => iterator.return?.() ?? Promise.resolve({ done: true, value: undefined }),
        };
      },
    };
  }

  /** The native object of a reader, for its class; undefined if there is none of this name. */
  native(name: string): AddonReader | undefined {
    return this.states.some((state) => state.name === name) ? this.#current?.native(name) : undefined;
  }

  /** Resolves when `test` is true of the reader, or after `milliseconds`; returns the reader's last known state. */
  async waitFor(
    name: string,
    test: (state: ReaderState | undefined) => boolean,
    milliseconds: number,
  ): Promise<ReaderState | undefined> {
    const find = (): ReaderState | undefined => this.states.find((state) => state.name === name);
    const limit = AbortSignal.timeout(milliseconds);
    for await (const states of this.#feed.changes(limit)) {
      if (test(states.find((state) => state.name === name))) break;
    }
    return find();
  }

  async close(): Promise<void> {
    this.#closing.abort(new PcscError("SCARD_E_INVALID_HANDLE", "this client is closed"));
    clearTimeout(this.#timer);
    this.#feed.end();
    await this.#opening?.catch(() => undefined);
    this.#replace(undefined);
    await Promise.all(this.#retiring);
  }

  /** Makes a context, which replaces the old one when it knows all readers. */
  #open(): Promise<AddonReaders> {
    this.#opening ??= this.#takeOver().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #takeOver(): Promise<AddonReaders> {
    throwIfAborted(this.#closing.signal, cancelled);
    const names = (): string => this.states.map(({ name }) => name).join("\n");
    const before = this.#current && names();
    const wasDown = this.#retry !== FIRST_RETRY;
    const opened = this.#make();
    await opened.ready;
    if (opened.failure || this.#closing.signal.aborted) {
      this.#discard(opened);
      throwIfAborted(this.#closing.signal, cancelled);
      throw opened.failure ?? new PcscError("SCARD_E_NO_SERVICE");
    }
    this.#replace(opened);
    this.#retry = FIRST_RETRY;
    if (wasDown || (before !== undefined && before !== names())) this.#lookLater(VERIFY);
    return opened;
  }

  #make(): AddonReaders {
    const readers: AddonReaders = new AddonReaders(
      openContext(this.#module),
      () => {
        if (readers === this.#current) this.#tell();
      },
      () => {
        if (readers !== this.#current) return;
        if (readers.failure) {
          this.#replace(undefined);
          this.#lookLater(this.#retry);
        } else {
          this.#tell();
          this.#lookLater(SETTLE);
        }
      },
    );
    return readers;
  }

  #replace(next: AddonReaders | undefined): void {
    const before = this.#current;
    this.#current = next;
    if (before) this.#discard(before);
    this.#tell();
  }

  #discard(readers: AddonReaders): void {
    const retirement = readers.retire().finally(() => this.#retiring.delete(retirement));
    this.#retiring.add(retirement);
  }

  /** Opens again after a while: if the list of the context is in doubt, or a consumer waits for the service. */
  #lookLater(milliseconds: number): void {
    clearTimeout(this.#timer);
    if (this.#closing.signal.aborted || !(this.#current || this.#followed)) return;
    this.#timer = setTimeout(() => {
      this.#open().catch(() => {
        this.#replace(undefined);
        this.#retry = Math.min(2 * this.#retry, LONGEST_RETRY);
        this.#lookLater(this.#retry);
      });
    }, milliseconds);
  }

  #tell(): void {
    const states = JSON.stringify(this.states);
    if (states === this.#told) return;
    this.#told = states;
    this.#feed.notify();
  }
}

/** Whether the service refused this user; that lasts as long as its rules. */
function isRefusal(error: unknown): boolean {
  return error instanceof PcscError && error.is("SCARD_W_SECURITY_VIOLATION");
}
