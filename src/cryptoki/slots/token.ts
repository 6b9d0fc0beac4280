import type { CardObject, CardToken, CardTokenInfo, PinRole, PinStatus } from "../../card/index.ts";
import { memoizeAsync, SerialQueue } from "../../async/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { cancelled } from "../errors.ts";
import { CardCopies } from "../objects/card-copies.ts";
import type { ObjectContents, ObjectLife } from "../objects/object-copy.ts";
import { fitText } from "../structures.ts";
import type { Reservation } from "./reservation.ts";

/** The card of a token, from its insertion to its removal. */
export interface TokenCard {
  /** The card was removed, or the connection to it broke: nothing of it is valid any more. */
  readonly gone: boolean;
  /** Number of resets by any program; verified PINs are forgotten at each. */
  readonly resets: number;
  /** Its tokens; empty before the card was examined. */
  readonly knownTokens: readonly Token[];
  /** The caller that holds the card across several calls (C_UnlockBegin). */
  readonly reservation: Reservation;
  /** Whether the card is reserved for one use of a key: other callers wait. */
  readonly isHeld: boolean;
  /** Keeps other programs away from it, until the result is disposed of. */
  hold(signal?: AbortSignal): Promise<AsyncDisposable>;
  /** Its answer to reset, while connected. */
  readonly atr: Uint8Array | undefined;
  /** Lets other programs use the card at once, after the pending calls. */
  release(): void;
  /** Ends the connection, after the pending calls. */
  end(): Promise<void>;
}

/** Creates the contents of an object of a card's token. */
export type TokenContents = (object: CardObject, token: Token, life: Readonly<ObjectLife>) => ObjectContents;

/** A logged-in application, which may keep the user's PIN until its logout. */
export interface LoggedIn {
  /** Drops the PIN that it keeps for the token. @param pin Only if it is this one. */
  dropKeptPin(token: Token, pin?: Uint8Array): void;
}

/** The part of an inserted card that one PIN protects, in its slot. Shared by all applications of this process. */
export class Token {
  readonly card: TokenCard;
  readonly cardToken: CardToken;
  readonly slotID: number;
  /** The logged-in applications. With the last logout the card forgets the PIN. */
  readonly loggedIn = new Set<LoggedIn>();
  /**
   * The user's logins that applications with single sign-on share, and {@link Card.resets} at their last verification:
   * a login with a lower number has ended, even if unnoticed.
   */
  readonly shared = new Map<object, { readonly resets: number }>();
  /**
   * Runs logins and logouts one after the other: one application's logout must not undo another's login in progress.
   */
  readonly loginQueue = new SerialQueue(cancelled);
  /** Its objects, with their cached contents. */
  readonly copies: CardCopies;
  /** Read once. The label is "<token name> (<PIN name>)" if the card has several tokens, in full. */
  readonly info = memoizeAsync(() => this.#readInfo());
  readonly #pinInLabel: boolean;
  readonly #lastStatus = new Map<PinRole, PinStatus>();

  /** @param pinInLabel Whether the card has several tokens, which their PINs distinguish. */
  constructor(card: TokenCard, cardToken: CardToken, slotID: number, pinInLabel: boolean, contents: TokenContents) {
    this.copies = new CardCopies((object, life) => contents(object, this, life));
    this.card = card;
    this.cardToken = cardToken;
    this.slotID = slotID;
    this.#pinInLabel = pinInLabel;
  }

  /** The state of a PIN. While the card is reserved for one use of a key: the last known state. */
  async pinStatus(role: PinRole): Promise<PinStatus> {
    const last = this.card.isHeld ? this.#lastStatus.get(role) : undefined;
    const status = last ?? (await this.cardToken.pinStatus(role));
    this.#lastStatus.set(role, status);
    return status;
  }

  /** The card accepted the user's PIN, which has all its tries again. */
  userVerified(): void {
    this.#lastStatus.set("user", { triesLeft: undefined, maxTries: 0, verified: true });
  }

  /**
   * The user's PIN was changed, or may have been: applications drop their copies, each of which would spend a try.
   * @param pin The card refused this one; an application may keep a newer one.
   */
  dropKeptPins(pin?: Uint8Array): void {
    for (const application of this.loggedIn) application.dropKeptPin(this, pin);
  }

  /** Makes the card forget the PIN, unless an application is logged in. */
  async logoutIfUnused(): Promise<void> {
    if (this.loggedIn.size === 0 && !this.card.gone) await this.cardToken.logout();
  }

  /** The label of the card application was changed: its tokens read their labels again. */
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

  /** The token's name in a label, without the name of its PIN, which is added if the card has several tokens. */
  async nameIn(label: string): Promise<string> {
    const suffix = pinSuffix(await this.info());
    return this.#pinInLabel && label.endsWith(suffix) ? label.slice(0, -suffix.length) : label;
  }

  /**
   * CK_TOKEN_INFO.label: at most 32 bytes. Truncates the token's name, not the PIN's, which distinguishes it from the
   * others.
   */
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
