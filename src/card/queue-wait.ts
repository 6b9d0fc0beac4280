import { CHANNELS } from "../channels/index.ts";

/** Measures one caller's wait for a card, and publishes it. Used only while there are subscribers. */
export class QueueWait {
  readonly #reader: string;
  readonly #ahead: number;
  readonly #time = Date.now();
  readonly #begun = performance.now();
  #turn = this.#begun;

  /** @param ahead Callers that wait already. */
  constructor(reader: string, ahead: number) {
    this.#reader = reader;
    this.#ahead = ahead;
  }

  /** No other caller of this process is before this one. */
  takesTurn(): void {
    this.#turn = performance.now();
  }

  /** The transaction is open. */
  ends(): void {
    CHANNELS.queue.publish({
      time: this.#time,
      reader: this.#reader,
      queued: this.#turn - this.#begun,
      transaction: performance.now() - this.#turn,
      ahead: this.#ahead,
    });
  }
}
