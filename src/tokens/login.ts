import { onAbort, SerialQueue, untilAborted } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import { type CK_SESSION_HANDLE, CKR, CKS, CKU, CryptokiError, type CryptokiFunctions } from "../cryptoki/index.ts";
import { TokenError, toTokenError } from "./error.ts";
import {
  type KeyInfo,
  type Pin,
  pinBytes,
  type PinRequest,
  type PinSource,
  type PinState,
  type TokenInfo,
} from "./pin.ts";
import type { SessionPool } from "./session-pool.ts";

/** What a login needs of its token. */
export interface LoginTarget {
  readonly cryptoki: CryptokiFunctions;
  readonly pool: SessionPool;
  /** Aborts when the token ends. */
  readonly removed: AbortSignal;
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  info(signal?: AbortSignal): Promise<TokenInfo>;
  pinState(signal?: AbortSignal): Promise<PinState>;
}

const OFFICER_IN = "the security officer is logged in and cannot use private keys; log out, then log in as user";

const LOGGED_IN: ReadonlySet<number> = new Set([CKS.RO_USER_FUNCTIONS, CKS.RW_USER_FUNCTIONS]);

const isWrongPin = (error: CryptokiError): boolean =>
  ["CKR_PIN_INCORRECT", "CKR_PIN_INVALID", "CKR_PIN_LEN_RANGE", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED"].includes(
    error.code,
  );

/** How a PIN is asked for. */
interface Question {
  readonly purpose: PinRequest["purpose"];
  readonly key?: KeyInfo | undefined;
  readonly source: PinSource | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Verifies the PIN for the operation that has just begun in a session. */
export type VerifyForUse = (session: CK_SESSION_HANDLE) => Promise<void>;

/**
 * The user's login to one token. One PIN at a time is asked for and verified. The source is asked once for each login, however many
 * operations wait for it, and never again after a wrong PIN until the program says so: no number of operations spends more than one try.
 */
export class TokenLogin {
  readonly #access: LoginTarget;
  readonly #source: PinSource | undefined;
  readonly #queue = new SerialQueue();
  #refused: CryptokiError | undefined;
  /** Whether no PIN was right since the last wrong one. */
  #wasWrong = false;
  /** PINs that were wrong, and questions that the source did not answer. */
  #failures = 0;
  #failure: unknown;
  #count = 0;

  constructor(access: LoginTarget, source: PinSource | undefined) {
    this.#access = access;
    this.#source = source;
  }

  /** Whether there is a way to ask for a PIN. */
  get canAsk(): boolean {
    return this.#source !== undefined;
  }

  /** Asks for a PIN as the source of this token does, for another way to the same token. */
  async ask(purpose: PinRequest["purpose"]): Promise<Pin> {
    return this.#inTurn((before) => this.#answer({ purpose, source: this.#source }, before));
  }

  /** How many logins and logouts were begun. Handles of private objects end with their login. */
  get count(): number {
    return this.#count;
  }

  /** Costs no exchange with the card. */
  async isLoggedIn(): Promise<boolean> {
    const { state } = await this.#access.cryptoki.C_GetSessionInfo(this.#access.pool.keeper);
    return LOGGED_IN.has(state);
  }

  /**
   * Logs the user in, unless the user is. Call it without a session of the pool: the wait for a PIN may be long.
   * @param key The key that wants it.
   * @returns The PIN, where this call asked for it: it serves the operation that caused the login too. The caller wipes it.
   */
  ensure(key: KeyInfo | undefined, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const question = { purpose: "login", key, source: this.#source, signal } as const;
    return this.#inTurn((before) => this.#login(question, before), signal);
  }

  async #login(question: Question, before: number): Promise<Uint8Array | undefined> {
    const { state } = await this.#access.cryptoki.C_GetSessionInfo(this.#access.pool.keeper);
    if (LOGGED_IN.has(state)) return undefined;
    if (state === CKS.RW_SO_FUNCTIONS) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, OFFICER_IN);
    const pin = await this.#answer(question, before);
    try {
      await this.#verify(this.#access.pool.keeper, CKU.USER, pin, question.signal);
      return pin ?? undefined;
    } catch (error) {
      if (pin) wipe(pin);
      throw error;
    }
  }

  /** Logs in now, also after a wrong PIN. @param given The PIN, which is wiped, or the source for this once. */
  async now(given: PinSource | Pin | undefined, signal?: AbortSignal): Promise<void> {
    const source: PinSource | undefined =
      given === undefined ? this.#source : typeof given === "function" ? given : (): Pin => given;
    try {
      await this.#inTurn(async (before) => {
        // A PIN that was wrong while this call waited is news for the program: no other try is spent.
        this.#requireNoFailure(before);
        this.#refused = undefined;
        const pin = await this.#login({ purpose: "login", source, signal }, before);
        if (pin) wipe(pin);
      }, signal);
    } finally {
      if (given instanceof Uint8Array) wipe(given);
    }
  }

  /**
   * Runs an operation whose key wants the PIN for each use. The PIN is asked for before it begins.
   * @param given The PIN that the login for this operation took.
   * @param work Gets what verifies the PIN for the operation that it has begun.
   */
  async use<T>(
    key: KeyInfo,
    given: Uint8Array | undefined,
    work: (verify: VerifyForUse) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const verify =
      (pin: Uint8Array | null): VerifyForUse =>
      (session) =>
        this.#verify(session, CKU.CONTEXT_SPECIFIC, pin, signal);
    if (given) return work(verify(given));
    return this.#inTurn(async (before) => {
      const pin = await this.#answer({ purpose: "use", key, source: this.#source, signal }, before);
      try {
        return await work(verify(pin));
      } finally {
        if (pin) wipe(pin);
      }
    }, signal);
  }

  /** Logs the security officer in; the user's login ends. Call it while no work of the user's is under way. */
  loginOfficer(pin: Uint8Array | null, signal?: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      await this.logout();
      this.#count++;
      const { cryptoki, pool } = this.#access;
      await cryptoki.C_Login(pool.keeper, CKU.SO, pin, { signal });
    }, signal);
  }

  /** Ends the officer's login. */
  async logoutOfficer(): Promise<void> {
    this.#count++;
    const { cryptoki, pool } = this.#access;
    await cryptoki.C_Logout(pool.keeper);
  }

  async logout(): Promise<void> {
    if (!(await this.isLoggedIn())) return;
    this.#count++;
    try {
      await this.#access.cryptoki.C_Logout(this.#access.pool.keeper);
    } catch (error) {
      // Another logout was quicker.
      if (!(error instanceof CryptokiError && error.is("CKR_USER_NOT_LOGGED_IN"))) throw error;
    }
  }

  /** The program has set the PIN: what was wrong before says nothing about it. */
  forgive(): void {
    this.#refused = undefined;
  }

  /** @param work Gets how many questions had failed when its turn was asked for. */
  #inTurn<T>(work: (before: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#failures;
    return this.#queue.run(() => work(before), [signal, this.#access.removed]);
  }

  /** @returns The PIN that the source gives; the caller wipes it. Null: it is typed on the keys of the reader. */
  async #answer({ purpose, key, source, signal }: Question, before: number): Promise<Uint8Array | null> {
    this.#requireNoRefusal();
    this.#requireNoFailure(before);
    if (!source) throw noSource();
    const access = this.#access;
    const over = new AbortController();
    const signals = [signal, access.removed];
    const stop = onAbort(signals, (reason) => {
      over.abort(reason);
    });
    const request: PinRequest = {
      purpose,
      again: this.#wasWrong,
      key,
      token: () => access.run(() => access.info(signal), signal),
      pinState: () => access.run(() => access.pinState(signal), signal),
      signal: over.signal,
    };
    const asked = (async () => source(request))();
    try {
      return pinBytes(await untilAborted(asked, signals));
    } catch (error) {
      // A PIN that comes after the abort.
      asked.then(wipePin, () => undefined);
      if (!over.signal.aborted) this.#fail(error);
      throw error;
    } finally {
      stop();
    }
  }

  #fail(error: unknown): void {
    this.#failures++;
    this.#failure = error;
  }

  /** One answer that the source refuses to give is the answer for all who waited for it. */
  #requireNoFailure(before: number): void {
    if (this.#failures > before) throw this.#failure;
  }

  #requireNoRefusal(): void {
    if (!this.#refused) return;
    const told = toTokenError(this.#refused);
    const reason = told instanceof TokenError ? told : undefined;
    throw new TokenError(reason?.code ?? "PIN_DECLINED", `${this.#refused.message}; token.login() asks again`, {
      rv: this.#refused.rv,
      triesLeft: reason?.triesLeft,
      cause: this.#refused,
    });
  }

  async #verify(session: CK_SESSION_HANDLE, user: number, pin: Uint8Array | null, signal?: AbortSignal): Promise<void> {
    // Also if it fails: after an abort the card may log in behind the caller.
    if (user === CKU.USER) this.#count++;
    try {
      await this.#access.cryptoki.C_Login(session, user, pin, { signal });
      this.#wasWrong = false;
    } catch (error) {
      if (error instanceof CryptokiError) {
        // Another session of this application was quicker.
        if (error.is("CKR_USER_ALREADY_LOGGED_IN")) return;
        if (isWrongPin(error)) {
          this.#refused = error;
          this.#wasWrong = true;
          this.#fail(error);
        }
      }
      throw error;
    }
  }
}

function wipePin(pin: Pin): void {
  if (pin instanceof Uint8Array) wipe(pin);
}

function noSource(): TokenError {
  return new TokenError("NO_PIN_SOURCE", "the token wants its PIN; give openTokens a `pin` that asks for it");
}
