import { type Card, type CardOptions, type CardRecognition, connectCard } from "../../card/index.ts";
import type { Pcsc } from "../../pcsc/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { isGone } from "../error-map.ts";
import { Reservation } from "./reservation.ts";
import { Token, type TokenCard } from "./token.ts";

/** The way to cards, and to what is on them. */
export interface CardWay extends CardOptions {
  readonly pcsc: Pcsc;
  readonly recognition: CardRecognition;
}

/** What {@link InsertedCard} needs of the reader that it is in. */
export interface CardPlace {
  readonly name: string;
  readonly mute: boolean;
  slotID(index: number): number;
  /** The card was looked at, and has tokens. */
  found(tokens: readonly Token[]): void;
}

/** One card from its insertion to its removal. The same card put in again is another one. */
export class InsertedCard implements TokenCard {
  readonly #way: CardWay;
  readonly #place: CardPlace;
  readonly reservation = new Reservation();
  #card: Card | undefined;
  #tokens: Promise<readonly Token[]> | undefined;
  #known: readonly Token[] = [];
  #gone = false;

  constructor(way: CardWay, place: CardPlace) {
    this.#way = way;
    this.#place = place;
  }

  get gone(): boolean {
    return this.#gone;
  }

  get resets(): number {
    return this.#card?.resets ?? 0;
  }

  get knownTokens(): readonly Token[] {
    return this.#known;
  }

  get atr(): Uint8Array | undefined {
    return this.#card?.atr;
  }

  /**
   * The card's tokens; none if no profile knows the card. Looks once, unless looking failed.
   * @throws {CryptokiError} CKR_TOKEN_NOT_RECOGNIZED if the card does not answer; {CardAccessError}; {CardError}.
   */
  tokens(): Promise<readonly Token[]> {
    this.#tokens ??= this.#look().catch((error: unknown) => {
      this.#tokens = undefined;
      throw error;
    });
    return this.#tokens;
  }

  async #look(): Promise<readonly Token[]> {
    if (this.#gone) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    if (this.#place.mute) {
      throw new CryptokiError(CKR.TOKEN_NOT_RECOGNIZED, "the card does not answer; is it the right way round?");
    }
    const { pcsc, recognition, ...options } = this.#way;
    const card = (this.#card ??= await connectCard(pcsc, this.#place.name, options));
    try {
      const application = await recognition.claim(card);
      if (application) {
        const named = application.tokens.length > 1;
        this.#known = application.tokens.map(
          (cardToken, index) => new Token(this, cardToken, this.#place.slotID(index), named),
        );
        this.#place.found(this.#known);
        return this.#known;
      }
    } catch (error) {
      if (!isGone(error)) await this.#disconnect();
      throw error;
    }
    // Nobody here can use it; others may want it for themselves.
    await this.#disconnect();
    return [];
  }

  async hold(signal?: AbortSignal): Promise<AsyncDisposable> {
    if (!this.#card) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    return this.#card.hold(signal);
  }

  async end(): Promise<void> {
    this.#gone = true;
    this.reservation.end();
    await this.#tokens?.catch(() => undefined);
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const card = this.#card;
    this.#card = undefined;
    // Whatever went away by itself needs no farewell.
    await card?.[Symbol.asyncDispose]().catch(() => undefined);
  }
}
