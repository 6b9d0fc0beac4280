import type { CardObject, CardToken, CardTokenInfo, PinRole, PinStatus } from "../../card/index.ts";
import { memoizeAsync, SerialQueue } from "../../async/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { cancelled } from "../errors.ts";
import { CardCopies } from "../objects/card-copies.ts";
import type { ObjectContents, ObjectLife } from "../objects/object-copy.ts";
import { fitText } from "../structures.ts";
import type { Reservation } from "./reservation.ts";

/** The card that a token is on, from its insertion to its removal. */
export interface TokenCard {
  /** The card was taken out, or the way to it broke: nothing of it is valid any more. */
  readonly gone: boolean;
  /** How often the card was reset by somebody; what was verified before is forgotten. */
  readonly resets: number;
  /** Its tokens; none before the first look at the card. */
  readonly knownTokens: readonly Token[];
  /** The application that has the card for itself over several calls. */
  readonly reservation: Reservation;
  /** A caller keeps the card for one use of a key: any other that turns to it waits. */
  readonly isHeld: boolean;
  /** Keeps other programs away from it, until what it gives is disposed of. */
  hold(signal?: AbortSignal): Promise<AsyncDisposable>;
  /** Its answer to reset, while somebody is connected to it. */
  readonly atr: Uint8Array | undefined;
  /** Lets other programs at the card at once, after the calls under way: a caller is done with it for now. */
  release(): void;
  /** Ends the connection, after the calls under way. */
  end(): Promise<void>;
}

/** Makes the contents of an object of a card's token. */
export type TokenContents = (object: CardObject, token: Token, life: Readonly<ObjectLife>) => ObjectContents;

/** An application that is logged in, and may keep the user's PIN until its logout. */
export interface LoggedIn {
  /** Forgets the PIN that it keeps for the token. @param pin Only if it is this one. */
  dropKeptPin(token: Token, pin?: Uint8Array): void;
}

/** What one PIN of an inserted card guards, in its slot. Shared by all applications of this process. */
export class Token {
  readonly card: TokenCard;
  readonly cardToken: CardToken;
  readonly slotID: number;
  /** The applications that are logged in. With the last logout the card forgets the PIN. */
  readonly loggedIn = new Set<LoggedIn>();
  /**
   * The user's logins that applications with single sign-on share with one another, and the card's resets when their PIN was verified
   * last: a login with fewer is over, though nobody may have noticed.
   */
  readonly shared = new Map<object, { readonly resets: number }>();
  /** Logins and logouts run one after the other: a logout of one application must not undo another's login that is under way. */
  readonly loginQueue = new SerialQueue(cancelled);
  /** Its objects, with what was read of them. */
  readonly copies: CardCopies;
  /** Read once. The label is "<token name> (<PIN name>)" where the card has several tokens, in full. */
  readonly info = memoizeAsync(() => this.#readInfo());
  readonly #pinInLabel: boolean;
  readonly #lastStatus = new Map<PinRole, PinStatus>();

  /** @param pinInLabel Whether the card has several tokens, which their PINs tell apart. */
  constructor(card: TokenCard, cardToken: CardToken, slotID: number, pinInLabel: boolean, contents: TokenContents) {
    this.copies = new CardCopies((object, life) => contents(object, this, life));
    this.card = card;
    this.cardToken = cardToken;
    this.slotID = slotID;
    this.#pinInLabel = pinInLabel;
  }

  /** How a PIN stands. While a caller keeps the card for one use of a key: as it was seen last. */
  async pinStatus(role: PinRole): Promise<PinStatus> {
    const last = this.card.isHeld ? this.#lastStatus.get(role) : undefined;
    const status = last ?? (await this.cardToken.pinStatus(role));
    this.#lastStatus.set(role, status);
    return status;
  }

  /** The card took the user's PIN, which has all its tries again. */
  userVerified(): void {
    this.#lastStatus.set("user", { triesLeft: undefined, maxTries: 0, verified: true });
  }

  /**
   * The user's PIN was changed, or may have been: what the applications keep of it would cost a try each.
   * @param pin The card refused this one; an application may keep a newer one.
   */
  dropKeptPins(pin?: Uint8Array): void {
    for (const application of this.loggedIn) application.dropKeptPin(this, pin);
  }

  /** Has the card forget the PIN, unless an application is logged in. */
  async logoutIfUnused(): Promise<void> {
    if (this.loggedIn.size === 0 && !this.card.gone) await this.cardToken.logout();
  }

  /** The label of the card application was changed: its tokens read what they are called again. */
  renamed(): void {
    for (const token of this.card.knownTokens) {
      token.info.clear();
      token.copies.tokenChanged();
    }
  }

  async #readInfo(): Promise<CardTokenInfo> {
    const info = await this.cardToken.info();
    return this.#pinInLabel ? { ...info, label: `${info.label}${pinSuffix(info)}` } : info;
  }

  /** The token's name in a label: without the name of its PIN, which is put behind it where the card has several tokens. */
  async nameIn(label: string): Promise<string> {
    const suffix = pinSuffix(await this.info());
    return this.#pinInLabel && label.endsWith(suffix) ? label.slice(0, -suffix.length) : label;
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
