/** A connection that may have a message half received. */
interface Receiver {
  /** Ends the connection. */
  readonly cutOff: () => void;
  bytes: number;
}

/** Bytes that must come for a connection to count as moving on: single bytes do not. */
const STEP = 64 * 1024;
/** Bytes. Cutting off a connection that holds fewer frees next to nothing. */
const LITTLE = 4 * 1024;

/**
 * One bound for the messages that all connections together have received in part. Where it is passed, the connection is cut off whose
 * message has not moved on for the longest time. Those that hold little are spared as long as there are others.
 */
export class FrameBudget {
  readonly #limit: number;
  /** In the order in which they moved on last. */
  readonly #receivers = new Set<Receiver>();
  #total = 0;

  /** @param limit Bytes, of all connections together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds a connection.
   * @param cutOff Ends it.
   * @returns Called with the bytes that came for a message that is not whole; with 0 once it is, or the connection is over.
   */
  receiver(cutOff: () => void): (bytes: number) => void {
    const receiver: Receiver = { cutOff, bytes: 0 };
    return (bytes) => {
      const hasMoved = Math.floor(bytes / STEP) > Math.floor(receiver.bytes / STEP);
      this.#total += bytes - receiver.bytes;
      receiver.bytes = bytes;
      if (bytes === 0 || hasMoved) this.#receivers.delete(receiver);
      if (bytes > 0) this.#receivers.add(receiver);
      while (this.#total > this.#limit) this.#cutOffStalest();
    };
  }

  #cutOffStalest(): void {
    const [oldest, ...newer] = this.#receivers;
    const stalest = [oldest, ...newer].find((one) => one !== undefined && one.bytes >= LITTLE) ?? oldest;
    if (!stalest) return;
    this.#receivers.delete(stalest);
    this.#total -= stalest.bytes;
    stalest.bytes = 0;
    stalest.cutOff();
  }
}
