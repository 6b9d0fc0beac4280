/** A connection that may have a message half received. */
interface Receiver {
  /** Ends the connection. */
  readonly cutOff: () => void;
  bytes: number;
}

/**
 * One bound for the messages that all connections together have received in part. Where it is passed, the connection that holds most of
 * them is cut off: the others, whose messages are shorter, lose nothing.
 */
export class FrameBudget {
  readonly #limit: number;
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
      this.#total += bytes - receiver.bytes;
      receiver.bytes = bytes;
      if (bytes === 0) this.#receivers.delete(receiver);
      else this.#receivers.add(receiver);
      if (this.#total > this.#limit) this.#cutOffLargest();
    };
  }

  #cutOffLargest(): void {
    const [largest] = [...this.#receivers].sort((a, b) => b.bytes - a.bytes);
    if (!largest) return;
    this.#receivers.delete(largest);
    this.#total -= largest.bytes;
    largest.bytes = 0;
    largest.cutOff();
  }
}
