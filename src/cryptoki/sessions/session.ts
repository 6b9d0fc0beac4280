import { SerialQueue } from "../../async/index.ts";
import type { PinUser } from "../../card/index.ts";
import { CKS } from "../constants/ck.ts";
import { CKF_SESSION } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import type { Token, TokenCard } from "../slots/token.ts";
import { Operations } from "./operations.ts";

/** A session of an application with a token. Calls on it run one after the other. */
export class Session {
  readonly handle: number;
  readonly token: Token;
  readonly readWrite: boolean;
  readonly operations = new Operations();
  readonly queue = new SerialQueue(cancelled);
  /** Whether {@link SessionTable.close} has ended it. */
  closed = false;

  constructor(handle: number, token: Token, readWrite: boolean) {
    this.handle = handle;
    this.token = token;
    this.readWrite = readWrite;
  }

  /** {@link CKF_SESSION}. */
  get flags(): number {
    return CKF_SESSION.SERIAL_SESSION | (this.readWrite ? CKF_SESSION.RW_SESSION : 0);
  }

  /** {@link CKS}, by the login to its token (PKCS#11 3.1, session states). */
  state(user: PinUser | undefined): number {
    if (user === "so") return CKS.RW_SO_FUNCTIONS;
    if (user === "user") return this.readWrite ? CKS.RW_USER_FUNCTIONS : CKS.RO_USER_FUNCTIONS;
    return this.readWrite ? CKS.RW_PUBLIC_SESSION : CKS.RO_PUBLIC_SESSION;
  }
}

/** The sessions with one token. */
interface TokenSessions {
  readonly all: Set<Session>;
  readWrite: number;
}

/** Number of open sessions. */
export interface SessionCount {
  readonly total: number;
  readonly readWrite: number;
}

/** The sessions of one application. A handle is never reused, so that an old one cannot mean a new session. */
export class SessionTable {
  readonly #sessions = new Map<number, Session>();
  /** The same sessions by token, so that opening and closing have a constant cost. */
  readonly #byToken = new Map<Token, TokenSessions>();
  #next = 1;
  #ended = false;

  /** @throws {CryptokiError} CKR_CRYPTOKI_NOT_INITIALIZED after {@link end}; CKR_DEVICE_REMOVED. */
  open(token: Token, readWrite: boolean): Session {
    if (this.#ended) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile");
    // The sessions with it were closed at its removal: this one would remain.
    if (token.card.gone) throw new CryptokiError(CKR.DEVICE_REMOVED);
    const session = new Session(this.#next++, token, readWrite);
    this.#sessions.set(session.handle, session);
    const mates = this.#byToken.get(token) ?? { all: new Set(), readWrite: 0 };
    mates.all.add(session);
    if (readWrite) mates.readWrite++;
    this.#byToken.set(token, mates);
    return session;
  }

  /** Keeps open sessions for their pending calls; no more are opened. */
  end(): void {
    this.#ended = true;
  }

  /** @throws {CryptokiError} CKR_SESSION_HANDLE_INVALID. */
  get(handle: number): Session {
    const session = this.#sessions.get(handle);
    if (!session) throw new CryptokiError(CKR.SESSION_HANDLE_INVALID);
    return session;
  }

  close(session: Session): void {
    session.operations.cancelAll();
    session.closed = true;
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

  /** The tokens with open sessions; of one card, or of all. */
  tokens(card?: TokenCard): readonly Token[] {
    return [...this.#byToken.keys()].filter((token) => card === undefined || token.card === card);
  }
}
