import { type CardFinding, type FindingSink, LoginRequiredError } from "../card/index.ts";
import { CKR } from "./constants/ckr.ts";
import { Engines } from "./engines.ts";
import { CryptokiError } from "./error.ts";
import { isGone, toCryptokiError } from "./error-map.ts";
import { ObjectTable } from "./objects/object-table.ts";
import type { StoredObject } from "./objects/stored-object.ts";
import { Logins } from "./sessions/logins.ts";
import type { Session } from "./sessions/session.ts";
import { SavedStates } from "./sessions/saved-states.ts";
import { SessionTable } from "./sessions/session-table.ts";
import { SlotEvents } from "./slots/slot-events.ts";
import type { SlotListener, SlotTable } from "./slots/slot-table.ts";
import type { ReaderSource } from "./slots/reader-source.ts";
import { SlotView, type TokenChoice } from "./slots/slot-view.ts";
import type { Token, TokenCard } from "./slots/token.ts";
import { untilAborted } from "./turns.ts";
import type { CK_VERSION } from "./structures.ts";

/** What an application wants to be different. */
export interface ApplicationOptions {
  /** What C_GetInfo says of the standard. */
  readonly version: CK_VERSION;
  /** See {@link SlotView}. */
  readonly singleSlot?: TokenChoice;
  /** See {@link Detour}. */
  readonly unlockBy?: readonly Detour[];
}

/**
 * How an application that knows no C_UnlockPIN unblocks a PIN. C_SetPIN: in a session in which nobody is logged in, its old PIN is
 * the PUK. C_InitPIN: C_Login with CKU_SO takes the PUK, which is kept for it.
 */
export type Detour = "C_SetPIN" | "C_InitPIN";

/**
 * One application in the sense of the standard, between C_Initialize and C_Finalize: its sessions, logins and objects, which it
 * shares with nobody. Slots and cards it shares with every other application of the same {@link SlotTable}.
 */
export class Application implements SlotListener {
  readonly slots: SlotTable;
  /** The same slots as this application sees them. */
  readonly view: SlotView;
  readonly #options: ApplicationOptions;
  readonly sessions = new SessionTable();
  readonly objects = new ObjectTable();
  readonly logins = new Logins((token) => {
    this.objects.endPrivate(token);
  });
  readonly savedStates = new SavedStates();
  readonly events = new SlotEvents();

  /** What it computes itself. */
  readonly engines = new Engines();
  /** Readers that it brought along, and takes with it. */
  readonly added = new Set<ReaderSource>();
  /** What C_SetVariable said. */
  readonly variables = new Map<string, string>();
  readonly #findings: FindingSink;

  /** @param findings Hears of what is wrong on cards. */
  constructor(slots: SlotTable, options: ApplicationOptions, findings: FindingSink) {
    this.slots = slots;
    this.#findings = findings;
    this.view = new SlotView(slots, options.singleSlot);
    this.#options = options;
  }

  /** CK_INFO.cryptokiVersion. */
  get version(): CK_VERSION {
    return this.#options.version;
  }

  unlocksBy(detour: Detour): boolean {
    return this.#options.unlockBy?.includes(detour) ?? false;
  }

  async start(): Promise<void> {
    await this.slots.attach(this);
    // "When an application initially calls C_Initialize, every slot's event flag is cleared."
    this.events.clear();
  }

  /** Closes what is open, after the calls under way. */
  async end(): Promise<void> {
    this.events.end();
    this.sessions.end();
    await Promise.allSettled([...this.added].map((source) => this.slots.remove(source)));
    const tokens = new Set(this.sessions.all.map(({ token }) => token));
    await Promise.allSettled([...tokens].map((token) => this.closeAllSessions(token)));
    this.slots.release(this);
    await this.slots.detach(this);
  }

  slotChanged(slotID: number): void {
    this.events.add(this.view.seen(slotID));
  }

  slotsFound(first: number, further: readonly number[]): void {
    // Of a card that was in before C_Initialize there is no event.
    if (!this.events.had(first)) return;
    for (const slotID of further) if (this.view.seen(slotID) === slotID) this.events.add(slotID);
  }

  cardFinding(finding: CardFinding, reader: string): void {
    this.#findings(finding, reader);
  }

  usesToken(token: Token): boolean {
    return this.sessions.with(token).length > 0;
  }

  cardRemoved(card: TokenCard): void {
    for (const session of this.sessions.with(card)) this.sessions.close(session);
    for (const token of card.knownTokens) this.logins.forget(token);
    this.objects.endCard(card);
  }

  /**
   * Runs `work` in a session, after the calls on it that were made before.
   * @param unlocks It is a part of unblocking a PIN, for which the application may have the card for itself, or needs no card.
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
      return await session.turns.take(async () => {
        if (!unlocks) await token.card.reservation.pass(signal);
        if (!this.sessions.has(session)) throw new CryptokiError(CKR.SESSION_HANDLE_INVALID);
        return work(session);
      }, signal);
    } catch (error) {
      // The card has forgotten the PIN, whoever made it: the application must be able to log in again. An object that is
      // refused for another reason says nothing about the login.
      if (error instanceof LoginRequiredError) this.logins.forget(token);
      throw this.#explain(error, token.card, signal);
    }
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
      const token = await untilAborted(this.view.token(slotID), signal);
      if (!unlocks) await token.card.reservation.pass(signal);
      return await work(token);
    } catch (error) {
      throw this.#explain(error, card, signal);
    }
  }

  #explain(error: unknown, card: TokenCard | undefined, signal?: AbortSignal): CryptokiError {
    if (error instanceof CryptokiError) return error;
    if (card && (card.gone || isGone(error))) {
      this.slots.lost(card);
      return new CryptokiError(CKR.DEVICE_REMOVED, undefined, { cause: error });
    }
    // Nothing else: an abort that came too late must not hide that a try of the PIN is spent.
    if (signal?.aborted && error === signal.reason)
      return new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause: error });
    return toCryptokiError(error);
  }

  /** An object that the user who is logged in, if anybody is, may see. SO sees public objects only (PKCS#11 3.1, users). */
  isVisible(object: StoredObject): boolean {
    return !object.private || this.logins.userOf(object.token) === "user";
  }

  /** Closes a session, with the objects it made. With the last one the login ends. */
  async closeSession(session: Session): Promise<void> {
    this.#drop(session);
    if (this.sessions.with(session.token).length === 0) await this.#endToken(session.token);
  }

  /** Closes all sessions with a token, each after its calls under way. */
  async closeAllSessions(token: Token): Promise<void> {
    await Promise.all(
      this.sessions.with(token).map((session) =>
        session.turns.take(() => {
          this.#drop(session);
        }),
      ),
    );
    await this.#endToken(token);
  }

  /** Ends a login, and the names of private objects with it. */
  async logout(token: Token): Promise<void> {
    this.objects.endLogin(token);
    await this.logins.logout(token);
  }

  #drop(session: Session): void {
    this.sessions.close(session);
    this.objects.endSession(session);
  }

  /** The sessions are closed whatever the card says to it: a card that cannot be asked to forget is no longer this caller's concern. */
  async #endToken(token: Token): Promise<void> {
    token.card.reservation.release(this);
    if (this.logins.userOf(token)) await this.logout(token).catch(() => undefined);
  }
}
