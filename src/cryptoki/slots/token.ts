import type { CardToken, CardTokenInfo } from "../../card/index.ts";
import type { InsertedCard } from "./inserted-card.ts";

/** What one PIN of an inserted card guards, in its slot. Shared by all applications of this process. */
export class Token {
  readonly card: InsertedCard;
  readonly cardToken: CardToken;
  readonly slotID: number;
  /** Who is logged in: the last one to leave makes the card forget the PIN. */
  readonly loggedIn = new Set<object>();
  readonly #pinInLabel: boolean;
  #info: Promise<CardTokenInfo> | undefined;

  /** @param pinInLabel Whether the card has several tokens, which their PINs tell apart. */
  constructor(card: InsertedCard, cardToken: CardToken, slotID: number, pinInLabel: boolean) {
    this.card = card;
    this.cardToken = cardToken;
    this.slotID = slotID;
    this.#pinInLabel = pinInLabel;
  }

  /** Read once. The label is "<token name> (<PIN name>)" where the card has several tokens. */
  info(): Promise<CardTokenInfo> {
    this.#info ??= this.#readInfo().catch((error: unknown) => {
      this.#info = undefined;
      throw error;
    });
    return this.#info;
  }

  async #readInfo(): Promise<CardTokenInfo> {
    const info = await this.cardToken.info();
    return this.#pinInLabel ? { ...info, label: `${info.label} (${info.pin.label})` } : info;
  }
}
