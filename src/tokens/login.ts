import { untilAborted } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import { type CK_SESSION_HANDLE, CKS, CKU, CryptokiError, type CryptokiFunctions } from "../cryptoki/index.ts";
import { TokenError, toTokenError } from "./error.ts";
import type { KeyInfo, Pin, PinRequest, PinSource, PinState, TokenInfo } from "./pin.ts";
import type { SessionPool } from "./session-pool.ts";

/** What a login needs of its token. */
export interface LoginTarget {
  readonly cryptoki: CryptokiFunctions;
  readonly pool: SessionPool;
  info(signal?: AbortSignal): Promise<TokenInfo>;
  pinState(signal?: AbortSignal): Promise<PinState>;
}

const LOGGED_IN: ReadonlySet<number> = new Set([CKS.RO_USER_FUNCTIONS, CKS.RW_USER_FUNCTIONS]);

const isWrongPin = (error: CryptokiError): boolean =>
  ["CKR_PIN_INCORRECT", "CKR_PIN_INVALID", "CKR_PIN_LEN_RANGE", "CKR_PIN_LOCKED", "CKR_PIN_EXPIRED"].includes(
    error.code,
  );

/**
 * The user's login to one token. The source is asked once for each login, however many operations wait for it, and never again after
 * a wrong PIN until the program says so: no number of operations spends more than one try.
 */
export class TokenLogin {
  readonly #access: LoginTarget;
  readonly #source: PinSource | undefined;
  #underWay: Promise<void> | undefined;
  #refused: CryptokiError | undefined;
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
  ask(purpose: PinRequest["purpose"], key: KeyInfo | undefined): Pin | Promise<Pin> {
    if (!this.#source) throw noSource();
    return this.#source(this.#request(purpose, key, false));
  }

  #request(purpose: PinRequest["purpose"], key: KeyInfo | undefined, again: boolean, signal?: AbortSignal): PinRequest {
    const access = this.#access;
    return {
      purpose,
      again,
      key,
      token: () => access.info(signal),
      pinState: () => access.pinState(signal),
      signal,
    };
  }

  /** How many logins were made. Handles of private objects end with theirs. */
  get count(): number {
    return this.#count;
  }

  /** Costs no exchange with the card. */
  async isLoggedIn(): Promise<boolean> {
    const { state } = await this.#access.cryptoki.C_GetSessionInfo(this.#access.pool.keeper);
    return LOGGED_IN.has(state);
  }

  /**
   * Logs the user in, unless the user is.
   * @param key The key that wants it.
   * @returns The PIN, where this call asked for it: it serves the operation that caused the login too. The caller wipes it.
   */
  async ensure(key: KeyInfo | undefined, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    while (this.#underWay) {
      // What became of it shows below: the user is logged in, or the PIN was refused, or it was given up.
      await untilAborted(
        this.#underWay.catch(() => undefined),
        signal,
      );
    }
    let given: Uint8Array | undefined;
    this.#underWay = this.#login(key, signal)
      .then((pin) => {
        given = pin;
      })
      .finally(() => {
        this.#underWay = undefined;
      });
    await this.#underWay;
    return given;
  }

  async #login(key: KeyInfo | undefined, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    if (await this.isLoggedIn()) return undefined;
    return this.#ask("login", key, (pin) => this.#verify(this.#access.pool.keeper, CKU.USER, pin, signal), signal);
  }

  /** Logs in now, also after a wrong PIN. @param given The PIN, or the source for this once. */
  async now(given: PinSource | Pin | undefined, signal?: AbortSignal): Promise<void> {
    const again = this.#refused !== undefined;
    this.#refused = undefined;
    if (await this.isLoggedIn()) return;
    const source: PinSource | undefined =
      given === undefined ? this.#source : typeof given === "function" ? given : (): Pin => given;
    const keeper = this.#access.pool.keeper;
    const verified = this.#ask("login", undefined, (pin) => this.#verify(keeper, CKU.USER, pin, signal), signal, {
      source,
      again,
    });
    const pin = await verified;
    if (pin) wipe(pin);
  }

  /**
   * Verifies the PIN for the operation that has just begun in `session`.
   * @param given The PIN that the login for this operation took.
   */
  async authenticate(
    session: CK_SESSION_HANDLE,
    key: KeyInfo,
    given: Uint8Array | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const verify = (pin: Pin): Promise<void> => this.#verify(session, CKU.CONTEXT_SPECIFIC, pin, signal);
    if (given) {
      await verify(given);
      return;
    }
    const pin = await this.#ask("use", key, verify, signal);
    if (pin) wipe(pin);
  }

  async logout(): Promise<void> {
    if (!(await this.isLoggedIn())) return;
    await this.#access.cryptoki.C_Logout(this.#access.pool.keeper);
  }

  async #ask(
    purpose: PinRequest["purpose"],
    key: KeyInfo | undefined,
    verify: (pin: Pin) => Promise<void>,
    signal?: AbortSignal,
    { source = this.#source, again = false }: { source?: PinSource | undefined; again?: boolean } = {},
  ): Promise<Uint8Array | undefined> {
    this.#requireNoRefusal();
    if (!source) throw noSource();
    const pin = await source(this.#request(purpose, key, again, signal));
    // Another operation's PIN may have been refused while this one was typed.
    this.#requireNoRefusal();
    const bytes = typeof pin === "string" ? new TextEncoder().encode(pin) : pin;
    try {
      await verify(bytes);
      return bytes ?? undefined;
    } catch (error) {
      if (bytes) wipe(bytes);
      throw error;
    }
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

  async #verify(session: CK_SESSION_HANDLE, user: number, pin: Pin, signal?: AbortSignal): Promise<void> {
    try {
      await this.#access.cryptoki.C_Login(session, user, pin, { signal });
      if (user === CKU.USER) this.#count++;
    } catch (error) {
      if (error instanceof CryptokiError) {
        // Another session of this application was quicker.
        if (error.is("CKR_USER_ALREADY_LOGGED_IN")) return;
        if (isWrongPin(error)) this.#refused = error;
      }
      throw error;
    }
  }
}

function noSource(): TokenError {
  return new TokenError("NO_PIN_SOURCE", "the token wants its PIN; give openTokens a `pin` that asks for it");
}
