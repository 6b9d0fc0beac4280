import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Token, TokenCard } from "../slots/token.ts";
import { Session } from "./session.ts";

/** The sessions of one application. A handle is never used again, so that an old one cannot mean a new session. */
export class SessionTable {
  readonly #sessions = new Map<number, Session>();
  #next = 1;
  #ended = false;

  /** @throws {CryptokiError} CKR_CRYPTOKI_NOT_INITIALIZED after {@link end}. */
  open(token: Token, readWrite: boolean): Session {
    if (this.#ended) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile");
    const session = new Session(this.#next++, token, readWrite);
    this.#sessions.set(session.handle, session);
    return session;
  }

  /** Those that are open stay for their calls under way; no more are opened. */
  end(): void {
    this.#ended = true;
  }

  /** @throws {CryptokiError} CKR_SESSION_HANDLE_INVALID. */
  get(handle: number): Session {
    const session = this.#sessions.get(handle);
    if (!session) throw new CryptokiError(CKR.SESSION_HANDLE_INVALID);
    return session;
  }

  has(session: Session): boolean {
    return this.#sessions.has(session.handle);
  }

  close(session: Session): void {
    session.operations.cancelAll();
    this.#sessions.delete(session.handle);
  }

  /** The sessions with one token, or with all tokens of a card. */
  with(place: Token | TokenCard): readonly Session[] {
    return this.all.filter(({ token }) => token === place || token.card === place);
  }

  get all(): readonly Session[] {
    return [...this.#sessions.values()];
  }
}
