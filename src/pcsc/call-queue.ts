import { untilAborted } from "./waiting.ts";

/** The calls of one connection, one after the other. */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();
  #unfinished = 0;

  /** A call is under way, or waits for its turn. */
  get busy(): boolean {
    return this.#unfinished > 0;
  }

  /**
   * Does `work` after all that came before. A call whose signal aborts while it waits leaves the queue; once its work has
   * begun it is the work that has to care.
   */
  run<T>(work: () => T | Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
    this.#unfinished++;
    const before = this.#last;
    const mine = untilAborted(before, ...signals).then(work);
    const done = (): void => {
      this.#unfinished--;
    };
    mine.then(done, done);
    this.#last = Promise.allSettled([before, mine]);
    return mine;
  }
}
