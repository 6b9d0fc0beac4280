import { type CallOptions, memoizeAsync, SerialQueue } from "../async/index.ts";

/** A virtual card, made by the program that runs the service. */
export interface CardOfService {
  reset(): void;
  transmit(command: Uint8Array): Promise<Uint8Array>;
}

export interface PracticeExchange {
  readonly command: Uint8Array;
  readonly answer: Uint8Array;
}

/** A virtual card to which clients send commands: no reader has it, and no token is on it. It is made when it is first used. */
export class PracticeCard {
  readonly #card: () => Promise<CardOfService>;
  readonly #queue = new SerialQueue();

  constructor(make: () => Promise<CardOfService>) {
    this.#card = memoizeAsync(make);
  }

  /** Sends commands one after the other; no other client's come between them. */
  send(
    commands: readonly Uint8Array[],
    { reset, signal }: CallOptions & { readonly reset: boolean },
  ): Promise<readonly PracticeExchange[]> {
    return this.#queue.run(async () => {
      const card = await this.#card();
      if (reset) card.reset();
      const exchanges: PracticeExchange[] = [];
      for (const command of commands) {
        signal?.throwIfAborted();
        exchanges.push({ command, answer: await card.transmit(command) });
      }
      return exchanges;
    });
  }
}
