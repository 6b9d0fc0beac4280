import { untilAborted } from "./bell.ts";

/** The calls of one connection, one after the other. */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Does `work` after all that came before. A call whose signal aborts while it waits leaves the queue; once its work has
   * begun it is the work that has to care.
   */
  run<T>(work: () => T | Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
    const before = this.#last;
    const mine = untilAborted(before, ...signals).then(work);
    this.#last = Promise.allSettled([before, mine]);
    return mine;
  }
}
