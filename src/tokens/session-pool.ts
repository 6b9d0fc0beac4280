import { Condition } from "../async/index.ts";
import { CKF_SESSION, CKR, type CK_SESSION_HANDLE, CryptokiError, type CryptokiFunctions } from "../cryptoki/index.ts";
import { isGone } from "./error.ts";

/** Sessions that work at the same time, at most: a card does one thing after the other anyway. */
const MOST_WORKERS = 4;

/**
 * The sessions with one token. One is kept open for the login, which ends with the last session of a token; the others work, since a
 * session has one operation of each kind at a time.
 */
export class SessionPool {
  readonly #cryptoki: CryptokiFunctions;
  readonly #slot: number;
  readonly #flags: number;
  readonly #idle: CK_SESSION_HANDLE[] = [];
  readonly #freed = new Condition();
  #keeper: CK_SESSION_HANDLE | undefined;
  #workers = 0;
  #most = MOST_WORKERS;
  /** Whether all sessions are closed for work that allows none. */
  #isSuspended = false;

  private constructor(cryptoki: CryptokiFunctions, slot: number, flags: number, keeper: CK_SESSION_HANDLE) {
    this.#cryptoki = cryptoki;
    this.#slot = slot;
    this.#flags = flags;
    this.#keeper = keeper;
  }

  /**
   * Opens the session that is kept, for reading and writing where the token allows it.
   * @throws {CryptokiError} as C_OpenSession: CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED.
   */
  static async open(cryptoki: CryptokiFunctions, slot: number, signal?: AbortSignal): Promise<SessionPool> {
    const readWrite = CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION;
    try {
      return new SessionPool(cryptoki, slot, readWrite, await cryptoki.C_OpenSession(slot, readWrite, { signal }));
    } catch (error) {
      if (!(error instanceof CryptokiError && error.is("CKR_TOKEN_WRITE_PROTECTED"))) throw error;
      const flags = CKF_SESSION.SERIAL_SESSION;
      return new SessionPool(cryptoki, slot, flags, await cryptoki.C_OpenSession(slot, flags, { signal }));
    }
  }

  /** The session that is kept: for C_Login and what else concerns the whole token. */
  get keeper(): CK_SESSION_HANDLE {
    if (this.#keeper === undefined) throw new CryptokiError(CKR.SESSION_CLOSED);
    return this.#keeper;
  }

  /** Runs `work` with a session of its own. A session whose work failed is closed, with what was left under way in it. */
  async run<T>(work: (session: CK_SESSION_HANDLE) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const session = await this.#take(signal);
    let isSound = false;
    try {
      const result = await work(session);
      isSound = true;
      return result;
    } finally {
      await this.#giveBack(session, isSound);
    }
  }

  /**
   * Runs `work` with a session that nothing else uses, before or after. It does not count among the workers, so that `work` may do anything
   * with the token.
   */
  async runAlone<T>(work: (session: CK_SESSION_HANDLE) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const session = await this.openAlone(signal);
    try {
      return await work(session);
    } finally {
      await this.closeAlone(session);
    }
  }

  /** A session as {@link runAlone} has one, to be closed with {@link closeAlone}. */
  openAlone(signal?: AbortSignal): Promise<CK_SESSION_HANDLE> {
    return this.#openSession(signal);
  }

  async closeAlone(session: CK_SESSION_HANDLE): Promise<void> {
    // With a card that is gone, its sessions are closed already.
    await this.#cryptoki.C_CloseSession(session).catch(() => undefined);
  }

  /**
   * Runs `work` while the pool has no session open: those that work are waited for, and new work waits. Afterwards the kept session is
   * opened again.
   */
  async withoutSessions<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#isSuspended = true;
    try {
      while (this.#workers > this.#idle.length) await this.#freed.wait(undefined, signal);
      const sessions = [...this.#idle.splice(0), this.keeper];
      this.#workers = 0;
      for (const session of sessions) await this.closeAlone(session);
      try {
        return await work();
      } finally {
        this.#keeper = await this.#cryptoki.C_OpenSession(this.#slot, this.#flags).catch(() => undefined);
      }
    } finally {
      this.#isSuspended = false;
      this.#freed.notifyAll();
    }
  }

  async #take(signal?: AbortSignal): Promise<CK_SESSION_HANDLE> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#isSuspended) {
        await this.#freed.wait(undefined, signal);
        continue;
      }
      const idle = this.#idle.pop();
      if (idle !== undefined) return idle;
      if (this.#keeper === undefined) throw new CryptokiError(CKR.SESSION_CLOSED);
      if (this.#workers < this.#most) {
        const session = await this.#open(signal);
        if (session !== undefined) return session;
      }
      await this.#freed.wait(undefined, signal);
    }
  }

  /** Undefined if the token has no more sessions than those that are open. */
  async #open(signal?: AbortSignal): Promise<CK_SESSION_HANDLE | undefined> {
    this.#workers++;
    try {
      return await this.#openSession(signal);
    } catch (error) {
      this.#workers--;
      this.#freed.notifyAll();
      const isFull = error instanceof CryptokiError && error.is("CKR_SESSION_COUNT");
      if (!isFull || this.#workers === 0) throw error;
      this.#most = this.#workers;
      return undefined;
    }
  }

  /** @throws {CryptokiError} CKR_SESSION_CLOSED if another card is in the slot now. */
  async #openSession(signal?: AbortSignal): Promise<CK_SESSION_HANDLE> {
    const session = await this.#cryptoki.C_OpenSession(this.#slot, this.#flags, { signal });
    if (await this.isAlive()) return session;
    await this.#cryptoki.C_CloseSession(session).catch(() => undefined);
    throw new CryptokiError(CKR.SESSION_CLOSED);
  }

  async #giveBack(session: CK_SESSION_HANDLE, isSound: boolean): Promise<void> {
    if (isSound && this.#keeper !== undefined) this.#idle.push(session);
    else {
      this.#workers--;
      // With a card that is gone, its sessions are closed already.
      await this.#cryptoki.C_CloseSession(session).catch(() => undefined);
    }
    this.#freed.notifyAll();
  }

  /** Whether the sessions are still there: they end with the card. */
  async isAlive(): Promise<boolean> {
    if (this.#isSuspended) return true;
    if (this.#keeper === undefined) return false;
    try {
      await this.#cryptoki.C_GetSessionInfo(this.#keeper);
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  /** The card is gone, and its sessions with it: lets those go that wait for one. */
  abandon(): void {
    this.#idle.length = 0;
    this.#keeper = undefined;
    this.#freed.notifyAll();
  }

  /** Closes all sessions, those at work as soon as they are done. The login ends with them. */
  async close(): Promise<void> {
    const sessions = [...this.#idle.splice(0), ...(this.#keeper === undefined ? [] : [this.#keeper])];
    this.abandon();
    for (const session of sessions) await this.#cryptoki.C_CloseSession(session).catch(() => undefined);
  }
}
