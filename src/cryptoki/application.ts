import { Deadline, throwIfAborted, untilAborted } from "../async/index.ts";
import {
  type CardFinding,
  type FindingSink,
  LoginRequiredError,
  PinUncertainError,
  StatusError,
} from "../card/index.ts";
import { CKR } from "./constants/ckr.ts";
import { Engines } from "./engines.ts";
import { cancelled, CryptokiError, isGone, toCryptokiError } from "./errors.ts";
import { ObjectTable } from "./objects/object-table.ts";
import type { StoredObject } from "./objects/stored-object.ts";
import { Logins } from "./sessions/logins.ts";
import { type Session, SessionTable } from "./sessions/session.ts";
import { SavedStates } from "./sessions/operations.ts";
import { SlotEvents, SlotView, type TokenChoice } from "./slots/slot-view.ts";
import type { SlotListener, SlotTable } from "./slots/slot-table.ts";
import type { ReaderSource } from "./slots/readers.ts";
import type { Token, TokenCard } from "./slots/token.ts";
import type { CK_VERSION } from "./structures.ts";

/** Milliseconds that C_Finalize waits for the cards to forget the PINs. */
const LOGOUT_GRACE = 2_000;

/** Options of an application. */
export interface ApplicationOptions {
  /** The version of the standard that C_GetInfo reports. */
  readonly version: CK_VERSION;
  /**
   * The application sees one slot for each reader, which holds the card's token that this chooses. For programs that take the first slot of
   * a reader only.
   */
  readonly singleSlot?: TokenChoice;
  /** See {@link Detour}. */
  readonly unlockBy?: readonly Detour[];
  /**
   * Single sign-on: applications with this option that share their slots share the user's login too. An application
   * with a session is logged in as soon as the user logged in to one of them; the card forgets the PIN when the last of
   * them has logged out or closed its sessions, and at C_Reinitialize. Default: false. Only for applications of the
   * same user.
   */
  readonly singleSignOn?: boolean;
  /**
   * Keeps the PIN of C_Login in memory until the logout, and gives it to the card for each use of a key that needs its
   * PIN before each use, if there was no C_Login with CKU_CONTEXT_SPECIFIC. For programs that never call that (Java,
   * ssh-agent). The risk: any code that may use the session signs with such keys without a further prompt, which these
   * keys are meant to prevent. Default: false.
   */
  readonly keepPin?: boolean;
  /** See {@link ResultVerification}. Default: "known". */
  readonly verifyResults?: ResultVerification;
}

/**
 * Which results of private keys are verified with the public key. "known": signatures and RSA results of keys whose
 * public key is available without an exchange with the card. "always": all signatures and raw RSA results; an unknown
 * public key is read once, when an operation begins, and a key without one cannot be used. A faulty RSA signature
 * reveals the private key.
 */
export type ResultVerification = "known" | "always";

/**
 * How an application without C_UnlockPIN unblocks a PIN. C_SetPIN: without a login, its old PIN is the PUK. C_InitPIN:
 * C_Login with CKU_SO takes the PUK, which is kept for it.
 */
export type Detour = "C_SetPIN" | "C_InitPIN";

/**
 * One application in the sense of the standard, between C_Initialize and C_Finalize: its own sessions, logins and
 * objects. It shares slots and cards with all applications of the same {@link SlotTable}.
 */
export class Application implements SlotListener {
  readonly slots: SlotTable;
  /** The slots as this application sees them. */
  readonly view: SlotView;
  readonly #options: ApplicationOptions;
  readonly sessions = new SessionTable();
  readonly objects = new ObjectTable();
  readonly logins: Logins;
  readonly savedStates = new SavedStates();
  readonly events = new SlotEvents();

  /** The application's own engines. */
  readonly engines = new Engines();
  /** Readers that it added; they are removed with it. */
  readonly added = new Set<ReaderSource>();
  /** The values of C_SetVariable. */
  readonly variables = new Map<string, string>();
  readonly #findings: FindingSink;
  #ended = false;

  /** @param findings Receives the findings on cards. */
  constructor(slots: SlotTable, options: ApplicationOptions, findings: FindingSink) {
    this.slots = slots;
    this.#findings = findings;
    this.view = new SlotView(slots, options.singleSlot);
    this.#options = options;
    const ended = (token: Token): void => {
      this.objects.endPrivate(token);
    };
    // Without a session no event would end an adopted login.
    const mayJoin = options.singleSignOn ? (token: Token): boolean => this.usesToken(token) : undefined;
    this.logins = new Logins(ended, { mayJoin, keepsPin: options.keepPin });
  }

  /** CK_INFO.cryptokiVersion. */
  get version(): CK_VERSION {
    return this.#options.version;
  }

  get verifiesResults(): boolean {
    return this.#options.verifyResults === "always";
  }

  unlocksBy(detour: Detour): boolean {
    return this.#options.unlockBy?.includes(detour) ?? false;
  }

  async start(signal?: AbortSignal): Promise<void> {
    try {
      await untilAborted(this.slots.attach(this), signal, cancelled);
    } catch (error) {
      void this.slots.detach(this);
      throw error;
    }
    // "When an application initially calls C_Initialize, every slot's event flag is cleared."
    this.events.clear();
  }

  /** Closes all sessions, after the pending calls. An abort abandons those. */
  async end(signal?: AbortSignal): Promise<void> {
    this.#ended = true;
    this.events.end();
    this.sessions.end();
    await untilAborted(this.#closeAll(), signal, cancelled).catch(() => undefined);
    this.slots.release(this);
    await this.slots.detach(this);
  }

  async #closeAll(): Promise<void> {
    await Promise.allSettled([...this.added].map((source) => this.slots.remove(source)));
    await Promise.allSettled(
      this.sessions.tokens().map(async (token) => {
        await this.#dropAll(token);
        // Another call may have abandoned an exchange that never ends, and the logout waits for it.
        await new Deadline(LOGOUT_GRACE).race(this.#endToken(token), () => undefined);
      }),
    );
  }

  slotChanged(slotID: number): void {
    this.events.add(this.view.visibleSlotId(slotID));
  }

  slotsFound(first: number, further: readonly number[]): void {
    // A card that was present before C_Initialize causes no event.
    if (!this.events.had(first)) return;
    for (const slotID of further) if (this.view.visibleSlotId(slotID) === slotID) this.events.add(slotID);
  }

  cardFinding(finding: CardFinding, reader: string): void {
    this.#findings(finding, reader);
  }

  usesToken(token: Token): boolean {
    return this.sessions.count(token).total > 0;
  }

  sharedLoginLeft(token: Token): void {
    // Adopts a shared login.
    this.logins.current(token);
  }

  cardRemoved(card: TokenCard): void {
    for (const token of this.sessions.tokens(card)) {
      for (const session of this.sessions.with(token)) this.sessions.close(session);
    }
    for (const token of card.knownTokens) this.logins.forget(token);
    this.objects.endCard(card);
    this.savedStates.forget(card);
  }

  /**
   * Runs `work` in a session, after earlier calls on it. An abort cancels a waiting call; work that has begun is
   * finished, and the next call on the session runs after it.
   * @param unlocks Whether it is a part of unblocking a PIN, for which the application may have reserved the card, or
   *   needs no card.
   * @throws {CryptokiError} only: CKR_SESSION_HANDLE_INVALID; CKR_DEVICE_REMOVED if the card goes meanwhile.
   */
  async inSession<T>(
    handle: number,
    work: (session: Session) => T | Promise<T>,
    signal?: AbortSignal,
    unlocks = false,
  ): Promise<T> {
    const session = this.sessions.get(handle);
    const { token } = session;
    try {
      return await session.queue.run(async () => {
        const { reservation } = token.card;
        if (!unlocks && reservation.isTaken) await reservation.waitUntilFree(signal);
        throwIfAborted(signal, cancelled);
        if (session.closed) throw new CryptokiError(CKR.SESSION_HANDLE_INVALID);
        return work(session);
      }, signal);
    } catch (error) {
      // The card has forgotten the PIN: the application must be able to log in again.
      if (error instanceof LoginRequiredError) this.logins.forget(token);
      else await this.refused(token, error instanceof CryptokiError ? error.cause : error);
      throw this.#explain(error, token.card, signal);
    }
  }

  /**
   * Handles an unreadable object. If the card withheld it because the user's PIN is not verified any more, the
   * application is logged out, so that it can log in again. The card may have another reason, so it is asked, which
   * spends no try.
   */
  async refused(token: Token, error: unknown): Promise<void> {
    if (!(error instanceof StatusError && error.sw === SECURITY_STATUS_NOT_SATISFIED)) return;
    if (this.logins.userOf(token) !== "user") return;
    const { cardToken } = token;
    const forgotten = cardToken.hasForgottenPin?.() ?? cardToken.pinStatus("user").then(({ verified }) => !verified);
    if (await forgotten.catch(() => false)) this.logins.forget(token);
  }

  /** Runs `work` with the token in a slot. Errors as {@link inSession}, and those of {@link SlotTable.token}. */
  async withToken<T>(
    slotID: number,
    work: (token: Token) => T | Promise<T>,
    signal?: AbortSignal,
    unlocks = false,
  ): Promise<T> {
    const { card } = this.view.slot(slotID).reader;
    try {
      const token = await untilAborted(this.view.token(slotID), signal, cancelled);
      if (!unlocks) await token.card.reservation.waitUntilFree(signal);
      throwIfAborted(signal, cancelled);
      return await work(token);
    } catch (error) {
      throw this.#explain(error, card, signal);
    }
  }

  #explain(error: unknown, card: TokenCard | undefined, signal?: AbortSignal): CryptokiError {
    if (error instanceof CryptokiError) return error;
    if (card && (card.gone || isGone(error))) {
      if (this.#ended) return finalized(error);
      this.slots.lost(card);
      const detail = error instanceof PinUncertainError ? error.message : undefined;
      return new CryptokiError(CKR.DEVICE_REMOVED, detail, { cause: error });
    }
    // A profile may throw the reason itself.
    if (signal?.aborted && error === signal.reason) return cancelled(error);
    return toCryptokiError(error);
  }

  /** An object that the application may see in its login state. SO sees public objects only (PKCS#11 3.1, users). */
  isVisible(object: StoredObject): boolean {
    return !object.private || this.logins.userOf(object.token) === "user";
  }

  /**
   * Whether the application may look at an object that is not visible, change and destroy it: a private key that only the officer can destroy.
   * It may not use such a key.
   */
  isManaged({ card, token }: StoredObject): boolean {
    const isOfficers = card?.class === "private-key" && card.destroyable === true && token.cardToken.changedBy === "so";
    return isOfficers && this.logins.userOf(token) === "so";
  }

  /** Closes a session with its objects. With the last one the login ends. */
  async closeSession(session: Session): Promise<void> {
    this.#drop(session);
    if (!this.usesToken(session.token)) await this.#endToken(session.token);
    session.token.card.release();
  }

  /** Closes all sessions with a token, each after its pending calls. An abort leaves open those that still have one. */
  async closeAllSessions(token: Token, signal?: AbortSignal): Promise<void> {
    await this.#dropAll(token, signal);
    if (!this.usesToken(token)) await this.#endToken(token);
  }

  async #dropAll(token: Token, signal?: AbortSignal): Promise<void> {
    await Promise.all(
      this.sessions.with(token).map((session) =>
        session.queue.run(() => {
          this.#drop(session);
        }, signal),
      ),
    );
  }

  /** Ends a login, and the handles of private objects with it. */
  async logout(token: Token): Promise<void> {
    if (this.logins.shares(token)) this.slots.leaveSharedLogin(token);
    this.objects.endLogin(token);
    await this.logins.logout(token);
    token.card.release();
  }

  #drop(session: Session): void {
    this.sessions.close(session);
    this.objects.endSession(session);
  }

  /** Closes the sessions even if the card's logout fails. */
  async #endToken(token: Token): Promise<void> {
    token.card.reservation.release(this);
    this.logins.accept(token);
    if (this.logins.userOf(token)) await this.logout(token).catch(() => undefined);
  }
}

/** ISO/IEC 7816-4 table 6. */
const SECURITY_STATUS_NOT_SATISFIED = 0x6982;

const finalized = (cause: unknown): CryptokiError =>
  new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile", { cause });
