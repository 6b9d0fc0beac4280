/** A program that tries every 20 ms at most gets at the card within this time, in milliseconds. */
const GAP = 25;
/** So that several programs do not try in step. */
const SPREAD = 10;
/** Milliseconds for which other programs count as waiting after this one had to wait for one of them. */
const CONTENTION_LASTS = 2_000;
/** Milliseconds of transactions one after the other, after which the card is left free for a program that connects. */
const LONGEST_RUN = 2_000;
/** pcscd looks every 100 ms whether a program that connects can be let in (pcsc-lite, PCSCLITE_LOCK_POLL_RATE). */
const GAP_FOR_NEWCOMERS = 110;

/**
 * How long a connection leaves the card free before its next transaction, so that other programs get at it. PC/SC has no queue:
 * without this a program that works without pause keeps all others out. Nothing is left free while no other program has been
 * met, but for a moment every two seconds: pcscd does not say that a program waits to be connected.
 */
export class Fairness {
  readonly #random: () => number;
  #endedAt = -Infinity;
  /** When the present run of transactions without a gap began. */
  #runSince = -Infinity;
  #contendedUntil = -Infinity;

  /** @param random Of [0, 1). */
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

  /** A transaction had to wait for another program's. */
  waited(now: number): void {
    this.#contendedUntil = now + CONTENTION_LASTS;
  }

  /** A transaction ended. */
  ended(now: number): void {
    this.#endedAt = now;
  }
}
