/** A connection with calls under way. */
interface Holder {
  /** Ends the connection. */
  readonly cutOff: () => void;
  bytes: number;
}

/**
 * One bound for the calls under way on all connections together: their requests, and their answers until the client has read them.
 * Where it is passed, the connection that holds the most is cut off. A client that asks for much and reads nothing so harms none
 * that reads.
 */
export class LoadBudget {
  readonly #limit: number;
  readonly #holders = new Set<Holder>();
  #total = 0;

  /** @param limit Bytes, of all connections together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds a connection.
   * @param cutOff Ends it.
   * @returns Called with the bytes that its calls hold now; with 0 once it is over.
   */
  holder(cutOff: () => void): (bytes: number) => void {
    const holder: Holder = { cutOff, bytes: 0 };
    return (bytes) => {
      this.#total += bytes - holder.bytes;
      holder.bytes = bytes;
      if (bytes > 0) this.#holders.add(holder);
      else this.#holders.delete(holder);
      if (this.#total > this.#limit) this.#cutOffLargest();
    };
  }

  #cutOffLargest(): void {
    let largest: Holder | undefined;
    for (const holder of this.#holders) if (holder.bytes > (largest?.bytes ?? 0)) largest = holder;
    largest?.cutOff();
  }
}
