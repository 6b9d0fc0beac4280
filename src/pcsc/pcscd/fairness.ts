/** A program that tries at least every 20 ms reaches the card within this time, in milliseconds. */
const GAP = 25;
/** Random part, so that several programs do not try in step. */
const SPREAD = 10;
/** Milliseconds for which other programs count as waiting after this one had to wait for one. */
const CONTENTION_LASTS = 2_000;
/** Milliseconds of consecutive transactions, after which the card is left free for a program that connects. */
const LONGEST_RUN = 2_000;
/** pcscd checks every 100 ms whether a program that connects can be admitted (pcsc-lite, PCSCLITE_LOCK_POLL_RATE). */
const GAP_FOR_NEWCOMERS = 110;

/**
 * How long a connection leaves the card free before its next transaction, so that other programs reach it. PC/SC has no
 * queue: without this a busy program would keep all others out. While no other program was met, the card is left free
 * only for a moment every two seconds: pcscd does not report a program that waits to connect.
 */
export class Fairness {
  readonly #random: () => number;
  #endedAt = -Infinity;
  /** Start of the present run of transactions without a gap. */
  #runSince = -Infinity;
  #contendedUntil = -Infinity;

  /** @param random A number in [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Milliseconds to wait at `now` before a transaction begins. */
  gapBefore(now: number): number {
    const free = now - this.#endedAt;
    if (free >= GAP_FOR_NEWCOMERS) this.#runSince = now;
    if (now - this.#runSince >= LONGEST_RUN) {
      this.#runSince = now;
      return Math.max(0, GAP_FOR_NEWCOMERS - free);
    }
    return now < this.#contendedUntil ? Math.max(0, GAP + SPREAD * this.#random() - free) : 0;
  }

  /** Call it when a transaction had to wait for another program's. */
  waited(now: number): void {
    this.#contendedUntil = now + CONTENTION_LASTS;
  }

  /** Call it when a transaction ended. */
  ended(now: number): void {
    this.#endedAt = now;
  }
}
