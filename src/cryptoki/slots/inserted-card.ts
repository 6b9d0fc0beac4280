import { memoizeAsync } from "../../async/index.ts";
import {
  afterReset,
  type Card,
  type CardApplication,
  CardGoneError,
  type CardOptions,
  type CardRecognition,
  connectCard,
  type ReaderFacts,
} from "../../card/index.ts";
import type { Pcsc } from "../../pcsc/types.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, isGone } from "../errors.ts";
import { cardObject } from "../objects/card-objects.ts";
import { Reservation } from "./reservation.ts";
import { Token, type TokenCard } from "./token.ts";

/** Dependencies for opening cards: PC/SC client and profiles. */
export interface CardEnvironment extends CardOptions {
  readonly pcsc: Pcsc;
  readonly recognition: CardRecognition;
}

/** The parts of a reader that {@link InsertedCard} needs. */
export interface ReaderSlot {
  readonly name: string;
  readonly mute: boolean;
  /** What the reader reported of itself, for all its cards. */
  readonly facts: ReaderFacts;
  slotID(index: number): number;
  /** Called when the card's tokens are known. */
  found(tokens: readonly Token[]): void;
}

/** One card from its insertion to its removal. The same card inserted again is another one. */
export class InsertedCard implements TokenCard {
  readonly #way: CardEnvironment;
  readonly #place: ReaderSlot;
  readonly reservation = new Reservation();
  #card: Card | undefined;
  /**
   * The card's tokens; none if no profile recognises the card. Examines it once, unless that failed.
   * @throws {CryptokiError} CKR_TOKEN_NOT_RECOGNIZED if the card does not answer; {CardAccessError}; {CardError}.
   */
  readonly tokens = memoizeAsync(() => this.#look());
  #known: readonly Token[] | undefined;
  readonly #expected: number;
  /** Set by {@link end}. */
  gone = false;
  #unusable: string | undefined;

  /** @param expected The number of its tokens at an earlier examination, if any. */
  constructor(way: CardEnvironment, place: ReaderSlot, expected = 0) {
    this.#way = way;
    this.#place = place;
    this.#expected = expected;
  }

  get resets(): number {
    return this.#card?.resets ?? 0;
  }

  get knownTokens(): readonly Token[] {
    return this.#known ?? [];
  }

  /** A description of a card that no profile supports, if known. */
  get unusable(): string | undefined {
    return this.#unusable;
  }

  /** The number of its tokens; until an examination succeeds, the earlier number. */
  get tokenCount(): number {
    return this.#known?.length ?? this.#expected;
  }

  get atr(): Uint8Array | undefined {
    return this.#card?.atr;
  }

  async #look(): Promise<readonly Token[]> {
    if (this.gone) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    if (this.#place.mute) {
      throw new CryptokiError(CKR.TOKEN_NOT_RECOGNIZED, "the card does not answer; is it the right way round?");
    }
    const { pcsc, recognition, ...options } = this.#way;
    this.#card ??= await connectCard(pcsc, this.#place.name, { readerFacts: this.#place.facts, ...options });
    return this.#recognise(this.#card, recognition);
  }

  async #recognise(card: Card, recognition: CardRecognition): Promise<readonly Token[]> {
    try {
      this.#requirePresent();
      // A card that answered wrongly once stays unknown only after a second attempt.
      const claim = (): Promise<CardApplication | undefined> => afterReset(() => recognition.claim(card));
      const application = (await claim()) ?? (await claim());
      this.#requirePresent();
      if (application) return this.#found(application);
    } catch (error) {
      if (this.gone || !isGone(error)) await this.#disconnect();
      throw error;
    }
    // No profile supports it as it is. The reason is only for people: no code depends on it.
    const reason = await recognition.explain(card).catch(() => undefined);
    if (typeof reason === "object") {
      this.#requirePresent();
      return this.#found(reason);
    }
    this.#unusable = reason;
    this.#known = [];
    // Another program may need it.
    await this.#disconnect();
    return [];
  }

  #found({ tokens }: CardApplication): readonly Token[] {
    const named = tokens.length > 1;
    this.#known = tokens.map(
      (cardToken, index) => new Token(this, cardToken, this.#place.slotID(index), named, cardObject),
    );
    this.#place.found(this.#known);
    return this.#known;
  }

  /** @throws {CardGoneError} if the card was removed during the examination: nothing of it may be kept. */
  #requirePresent(): void {
    if (this.gone) throw new CardGoneError("the card was removed while it was examined");
  }

  get isHeld(): boolean {
    return this.#card?.isHeld ?? false;
  }

  async hold(signal?: AbortSignal): Promise<AsyncDisposable> {
    if (!this.#card) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    return this.#card.hold({ signal });
  }

  release(): void {
    // The next call notices a card that could not be released.
    this.#card?.release().catch(() => undefined);
  }

  async end(): Promise<void> {
    this.gone = true;
    this.reservation.end();
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const card = this.#card;
    this.#card = undefined;
    // A failure changes nothing: the connection is dropped.
    await card?.[Symbol.asyncDispose]().catch(() => undefined);
  }
}
