import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Token, TokenCard } from "../slots/token.ts";
import { Session } from "./session.ts";

/** The sessions with one token. */
interface TokenSessions {
  readonly all: Set<Session>;
  readWrite: number;
}

/** How many sessions are open. */
export interface SessionCount {
  readonly total: number;
  readonly readWrite: number;
}

/** The sessions of one application. A handle is never used again, so that an old one cannot mean a new session. */
export class SessionTable {
  readonly #sessions = new Map<number, Session>();
  /** The same sessions: to open or close one costs the same however many there are. */
  readonly #byToken = new Map<Token, TokenSessions>();
  #next = 1;
  #ended = false;

  /** @throws {CryptokiError} CKR_CRYPTOKI_NOT_INITIALIZED after {@link end}; CKR_DEVICE_REMOVED. */
  open(token: Token, readWrite: boolean): Session {
    if (this.#ended) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile");
    // The sessions with it were closed when it went: this one would stay.
    if (token.card.gone) throw new CryptokiError(CKR.DEVICE_REMOVED);
    const session = new Session(this.#next++, token, readWrite);
    this.#sessions.set(session.handle, session);
    const mates = this.#byToken.get(token) ?? { all: new Set(), readWrite: 0 };
    mates.all.add(session);
    if (readWrite) mates.readWrite++;
    this.#byToken.set(token, mates);
    return session;
  }

  /** Sessions that are open stay for their calls under way; no more are opened. */
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
    if (!this.#sessions.delete(session.handle)) return;
    const mates = this.#byToken.get(session.token);
    if (!mates) return;
    mates.all.delete(session);
    if (session.readWrite) mates.readWrite--;
    if (mates.all.size === 0) this.#byToken.delete(session.token);
  }

  /** The sessions with one token. */
  with(token: Token): readonly Session[] {
    return [...(this.#byToken.get(token)?.all ?? [])];
  }

  count(token: Token): SessionCount {
    const mates = this.#byToken.get(token);
    return { total: mates?.all.size ?? 0, readWrite: mates?.readWrite ?? 0 };
  }

  /** The tokens with which sessions are open; of one card, or of all. */
  tokens(card?: TokenCard): readonly Token[] {
    return [...this.#byToken.keys()].filter((token) => card === undefined || token.card === card);
  }
}
