import type { CardToken, CardTokenInfo } from "../../card/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { CardChanges } from "../objects/card-changes.ts";
import { fitText } from "../text.ts";
import { Turns } from "../turns.ts";
import type { Reservation } from "./reservation.ts";

/** The card that a token is on, from its insertion to its removal. */
export interface TokenCard {
  /** The card was taken out, or the way to it broke: nothing of it is valid any more. */
  readonly gone: boolean;
  /** How often the card was reset by somebody; what was verified before is forgotten. */
  readonly resets: number;
  /** Its tokens, as far as somebody has looked. */
  readonly knownTokens: readonly Token[];
  /** Who has the card for himself over several calls. */
  readonly reservation: Reservation;
  /** Keeps other programs away from it, until what it gives is disposed of. */
  hold(signal?: AbortSignal): Promise<AsyncDisposable>;
  /** Its answer to reset, while somebody is connected to it. */
  readonly atr: Uint8Array | undefined;
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
  /** What applications have changed on it. */
  readonly changes = new CardChanges();
  readonly #pinInLabel: boolean;
  #info: Promise<CardTokenInfo> | undefined;

  /** @param pinInLabel Whether the card has several tokens, which their PINs tell apart. */
  constructor(card: TokenCard, cardToken: CardToken, slotID: number, pinInLabel: boolean) {
    this.card = card;
    this.cardToken = cardToken;
    this.slotID = slotID;
    this.#pinInLabel = pinInLabel;
  }

  /** Read once. The label is "<token name> (<PIN name>)" where the card has several tokens, in full. */
  info(): Promise<CardTokenInfo> {
    this.#info ??= this.#readInfo().catch((error: unknown) => {
      this.#info = undefined;
      throw error;
    });
    return this.#info;
  }

  async #readInfo(): Promise<CardTokenInfo> {
    const info = await this.cardToken.info();
    return this.#pinInLabel ? { ...info, label: `${info.label}${pinSuffix(info)}` } : info;
  }

  /** CK_TOKEN_INFO.label: at most 32 bytes. What is too long is cut off the token's name, because the PIN's tells it from the others. */
  async label(): Promise<string> {
    const info = await this.info();
    if (!this.#pinInLabel) return fitText(info.label, LABEL_LENGTH);
    const suffix = pinSuffix(info);
    const name = fitText(info.label.slice(0, -suffix.length), LABEL_LENGTH - utf8(suffix).length);
    return fitText(`${name}${suffix}`.trimStart(), LABEL_LENGTH);
  }
}

const LABEL_LENGTH = 32;

const pinSuffix = ({ pin }: CardTokenInfo): string => ` (${pin.label})`;
