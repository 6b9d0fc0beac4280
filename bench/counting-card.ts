import { toHex } from "../src/bytes/index.ts";
import type { VirtualCard } from "../src/virtual/index.ts";

/** What is kept of one exchange with the card: no data, so no PIN. */
export interface Exchange {
  /** CLA INS P1 P2 in hexadecimal. */
  readonly header: string;
  /** Bytes of the command and of the answer. */
  readonly sent: number;
  readonly received: number;
  /** Status word in hexadecimal. */
  readonly status: string;
}

/**
 * A card that keeps account of what it is given: every command counts, GET RESPONSE, parts of a chain and refused ones too.
 * PC/SC's transmit ends here for every caller.
 */
export class CountingCard implements VirtualCard {
  readonly atr: Uint8Array;
  #card: VirtualCard;
  #exchanges: Exchange[] = [];

  constructor(card: VirtualCard) {
    this.atr = card.atr;
    this.#card = card;
  }

  /** Puts another card in the place of this one, with no exchanges behind it. The reader sees no change. */
  exchangeFor(card: VirtualCard): void {
    if (toHex(card.atr) !== toHex(this.atr))
      throw new Error("the reader would see a card with another answer to reset");
    this.#card = card;
    this.#exchanges = [];
  }

  /** The exchanges since this was last called. */
  take(): readonly Exchange[] {
    const taken = this.#exchanges;
    this.#exchanges = [];
    return taken;
  }

  reset(): void {
    this.#card.reset();
  }

  async transmit(command: Uint8Array): Promise<Uint8Array> {
    const header = toHex(command.subarray(0, 4));
    const sent = command.length;
    const answer = await this.#card.transmit(command);
    this.#exchanges.push({ header, sent, received: answer.length, status: toHex(answer.subarray(-2)) });
    return answer;
  }
}
