import type { CardToken, CardTokenInfo } from "../../card/index.ts";
import { Turns } from "../turns.ts";

/** The card that a token is on, from its insertion to its removal. */
export interface TokenCard {
  /** The card was taken out, or the way to it broke: nothing of it is valid any more. */
  readonly gone: boolean;
  /** How often the card was reset by somebody; what was verified before is forgotten. */
  readonly resets: number;
  /** Its tokens, as far as somebody has looked. */
  readonly knownTokens: readonly Token[];
  /** Ends the connection, after the calls under way. */
  end(): Promise<void>;
}

/** What one PIN of an inserted card guards, in its slot. Shared by all applications of this process. */
export class Token {
  readonly card: TokenCard;
  readonly cardToken: CardToken;
  readonly slotID: number;
  /** Who is logged in: the last one to leave makes the card forget the PIN. */
  readonly loggedIn = new Set<object>();
  /** Logins and logouts take turns: one application's farewell must not undo another's login that is under way. */
  readonly loginTurns = new Turns();
  readonly #pinInLabel: boolean;
  #info: Promise<CardTokenInfo> | undefined;

  /** @param pinInLabel Whether the card has several tokens, which their PINs tell apart. */
  constructor(card: TokenCard, cardToken: CardToken, slotID: number, pinInLabel: boolean) {
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
