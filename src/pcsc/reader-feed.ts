import { Condition } from "../async/index.ts";
import type { ReaderState } from "./types.ts";

/**
 * Tells any number of consumers what the readers are now, and again after each change. A consumer slower than the
 * changes skips to the newest; the event counters tell what it missed.
 */
export class ReaderFeed {
  readonly #look: () => readonly ReaderState[];
  readonly #changed = new Condition();
  #version = 0;
  #ended = false;

  /** @param look The readers at this moment. */
  constructor(look: () => readonly ReaderState[]) {
    this.#look = look;
  }

  /** Something changed. */
  notify(): void {
    this.#version++;
    this.#changed.notifyAll();
  }

  /** Ends every iteration, those to come too. */
  end(): void {
    this.#ended = true;
    this.#changed.notifyAll();
  }

  /** An iteration that ends with `signal`, {@link end}, or the consumer's leaving, also while it waits for a change. */
  changes(signal?: AbortSignal): AsyncIterable<readonly ReaderState[]> {
    return { [Symbol.asyncIterator]: () => this.#iterate(signal) };
  }

  #iterate(signal?: AbortSignal): AsyncIterator<readonly ReaderState[]> {
    let seen = -1;
    let left = false;
    const leave = (): void => {
      left = true;
      signal?.removeEventListener("abort", leave);
      this.#changed.notifyAll();
    };
    signal?.addEventListener("abort", leave);
    if (signal?.aborted) leave();
    return {
      next: async () => {
        while (!left && !this.#ended && seen === this.#version) await this.#changed.wait();
        if (left || this.#ended) return { done: true, value: undefined };
        seen = this.#version;
        return { done: false, value: this.#look() };
      },
      return: () => {
        leave();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}
