import { untilAborted } from "./waiting.ts";

/** Wakes whoever waits, in the order in which they came. What has changed they find out for themselves. */
export class Bell {
  #waiting = new Set<() => void>();

  ring(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /**
   * Resolves at the next ring, or after `milliseconds`, whichever is first.
   * @throws {PcscError} As {@link untilAborted}.
   */
  async wait(milliseconds: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
    let wake = (): void => undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
      this.#waiting.add(wake);
      if (milliseconds < Infinity) timer = setTimeout(resolve, milliseconds);
    });
    try {
      await untilAborted(woken, ...signals);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(wake);
    }
  }
}
