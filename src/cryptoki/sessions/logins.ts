import { throwIfAborted, untilAborted } from "../../async/index.ts";
import {
  type AuthenticatedUse,
  CardError,
  CardResetError,
  LoginRequiredError,
  PinError,
  type PinUser,
  UnsupportedError,
} from "../../card/index.ts";
import { copySecret, equalBytes, secretUtf8, wipe } from "../../bytes/index.ts";
import { CHANNELS } from "../../channels/index.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import type { PrivateKey } from "../objects/object-copy.ts";
import { publishLogin } from "./login-outcome.ts";
import type { LoggedIn, Token } from "../slots/token.ts";

/**
 * A PIN from a caller: text is encoded as UTF-8; null means that the user types it on the reader
 * (CKF_PROTECTED_AUTHENTICATION_PATH).
 */
export type Pin = string | Uint8Array | null;

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD: callers in JavaScript have no types. */
export function requirePin(pin: Pin, what = "the PIN"): void {
  if (typeof pin === "string" || pin === null || (pin as unknown) instanceof Uint8Array) return;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, `${what} is a string or a Uint8Array`);
}

/**
 * Copies a PIN; the driver owns and wipes the copy.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD for null, if the caller must give a PIN.
 */
function copyPin(pin: Pin): Uint8Array {
  if (pin !== null) return typeof pin === "string" ? secretUtf8(pin) : copySecret(pin);
  throw new CryptokiError(
    CKR.ARGUMENTS_BAD,
    "null leaves the PIN to the keys of a reader, and this one has none for it",
  );
}

/** Runs `work` with a copy of a PIN, and wipes it. Errors as for {@link copyPin}, and those of `work`. */
export async function withPin<T>(pin: Pin, work: (copy: Uint8Array) => Promise<T>): Promise<T> {
  const copy = copyPin(pin);
  try {
    return await work(copy);
  } finally {
    wipe(copy);
  }
}

/** One login, from C_Login until it ends. */
export interface Login {
  readonly user: PinUser;
  /** {@link Card.resets} at the last verification: the card forgets the PIN at the next reset. */
  resets: number;
  /** Whether it was adopted from another application (single sign-on). */
  readonly joined?: true;
  /** The PUK that was given instead of an officer's PIN: owned and wiped here. */
  puk?: Uint8Array;
  /** The PIN that logged the user in, if the application keeps it: owned and wiped here. */
  pin?: Uint8Array;
  /** The last use of a key for which the PIN was given and the card is reserved. */
  held?: AuthenticatedUse;
}

export interface LoginOptions {
  /**
   * Single sign-on: whether this application may adopt a shared login. Absent: it neither adopts a login nor shares its
   * own.
   */
  readonly mayJoin?: ((token: Token) => boolean) | undefined;
  /** Keeps the user's PIN until the login ends, for keys that need it before each use. Default: false. */
  readonly keepsPin?: boolean | undefined;
}

/**
 * The logins of one application by token. Only its own C_Login counts: a PIN that the card holds as verified, for
 * another application or program, is not a login.
 */
export class Logins implements LoggedIn {
  readonly #logins = new Map<Token, Login>();
  readonly #ended: (token: Token) => void;
  readonly #mayJoin: ((token: Token) => boolean) | undefined;
  readonly #keepsPin: boolean;
  /** Tokens whose user logged out here: shared logins are not adopted again. */
  readonly #declined = new WeakSet<Token>();

  /** @param ended Called for every login that ends, for whatever reason. */
  constructor(ended: (token: Token) => void, { mayJoin, keepsPin = false }: LoginOptions = {}) {
    this.#ended = ended;
    this.#mayJoin = mayJoin;
    this.#keepsPin = keepsPin;
  }

  /** Who is logged in to `token`. Costs no exchange: the next use of the card notices a reset. */
  userOf(token: Token): PinUser | undefined {
    return this.current(token)?.user;
  }

  /** The login to `token`, as {@link userOf}. A new object after each C_Login, even for the same user. */
  current(token: Token): Login | undefined {
    const login = this.#logins.get(token);
    if (login?.resets === token.card.resets) return login;
    if (login) this.#leave(token);
    // Another application's user may have logged in, also since a reset.
    return token.shared.size > 0 ? this.#join(token) : undefined;
  }

  /** Whether the user's login to `token` is shared with other applications. */
  shares(token: Token): boolean {
    return token.shared.has(this);
  }

  /**
   * Adopts the login of another application's user. It then is this application's own: it continues when the other
   * one's ends.
   */
  #join(token: Token): Login | undefined {
    if (this.#declined.has(token) || this.#mayJoin?.(token) !== true) return undefined;
    const { resets } = token.card;
    // A login from before a reset, or on a removed card, is invalid.
    if (token.card.gone || ![...token.shared.values()].some((shared) => shared.resets === resets)) return undefined;
    return this.#begin(token, { user: "user", resets, joined: true });
  }

  #begin(token: Token, login: Login): Login {
    this.#logins.set(token, login);
    token.loggedIn.add(this);
    if (this.#mayJoin && login.user === "user") token.shared.set(this, login);
    return login;
  }

  /** The user logged out here: shared logins are not adopted until the next C_Login or {@link accept}. */
  decline(token: Token): void {
    this.#declined.add(token);
  }

  /** The application has closed its sessions with the token: when it returns, it may adopt shared logins. */
  accept(token: Token): void {
    this.#declined.delete(token);
  }

  /**
   * Verifies the PIN, once. A verification that completes after an abort is undone in the background.
   * @throws {CryptokiError} CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_TYPE_INVALID for
   *   an officer whom the card does not have, CKR_PIN_INCORRECT for a PIN of a wrong length, CKR_DEVICE_REMOVED,
   *   CKR_FUNCTION_CANCELED; the card's errors.
   */
  login(token: Token, user: PinUser, pin: Pin, signal?: AbortSignal): Promise<void> {
    const login = token.loginQueue.run(async () => {
      this.#requireNobody(token, user);
      try {
        await verify(token, user, pin, signal);
        throwIfAborted(signal, cancelled);
      } catch (error) {
        // If the card did not refuse the PIN, it may have verified it.
        if (signal?.aborted && !isRefusal(error)) await token.logoutIfUnused().catch(() => undefined);
        throw error;
      }
      if (token.card.gone) throw new CryptokiError(CKR.DEVICE_REMOVED);
      const kept = this.#keepsPin && user === "user" && pin !== null;
      this.#begin(token, { user, resets: token.card.resets, ...(kept && { pin: copyPin(pin) }) });
      this.#declined.delete(token);
    }, signal);
    return untilAborted(login, signal, cancelled);
  }

  /**
   * Accepts the PUK instead of an officer's PIN, unverified: no card compares one without setting a PIN.
   * @throws {CryptokiError} as {@link login}.
   */
  loginWithPuk(token: Token, puk: Pin, signal?: AbortSignal): Promise<void> {
    return token.loginQueue.run(() => {
      this.#requireNobody(token, "so");
      this.#logins.set(token, { user: "so", resets: token.card.resets, puk: copyPin(puk) });
    }, signal);
  }

  /** The PUK of an officer's login, until it is used. */
  pukOf(token: Token): Uint8Array | undefined {
    return this.#logins.get(token)?.puk;
  }

  /** Drops the PUK after its use. The officer stays logged in. */
  dropPuk(token: Token): void {
    const login = this.#logins.get(token);
    if (!login?.puk) return;
    wipe(login.puk);
    delete login.puk;
  }

  /** The PIN of the user's login, while it is kept. The login owns it. */
  keptPin(token: Token): Uint8Array | undefined {
    return this.current(token)?.pin;
  }

  /** Drops the kept PIN, because it was changed or refused. The user stays logged in. @param pin Only this one. */
  dropKeptPin(token: Token, pin?: Uint8Array): void {
    const login = this.#logins.get(token);
    if (!login?.pin || (pin && !equalBytes(pin, login.pin))) return;
    wipe(login.pin);
    delete login.pin;
  }

  #requireNobody(token: Token, user: PinUser): void {
    // Its logins were removed with the card: this one would remain.
    if (token.card.gone) throw new CryptokiError(CKR.DEVICE_REMOVED);
    const login = this.current(token);
    // An application with an adopted login may verify the PIN as well.
    if (!login || (login.joined && user === "user")) return;
    const present = login.user;
    throw new CryptokiError(present === user ? CKR.USER_ALREADY_LOGGED_IN : CKR.USER_ANOTHER_ALREADY_LOGGED_IN);
  }

  /**
   * Verifies the PIN for one use of a key, and reserves the card for it. The login stays; its end releases the card.
   * @returns Undefined if no reservation is needed.
   */
  authenticate(token: Token, key: PrivateKey, pin: Pin, signal?: AbortSignal): Promise<AuthenticatedUse | undefined> {
    const turn = token.loginQueue.run(() => this.#authenticate(token, key, pin, signal), signal);
    return untilAborted(turn, signal, cancelled);
  }

  /**
   * As {@link authenticate}, with the kept PIN of the user's login. A refused one is dropped within the same turn, so
   * that waiting callers spend no second try on it.
   * @returns The use for which the card is reserved, if it is; undefined if no PIN is kept, or not any more at this
   *   call's turn.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN if the card refuses the kept PIN; as {@link authenticate}.
   */
  async authenticateWithKept(
    token: Token,
    key: PrivateKey,
    signal?: AbortSignal,
  ): Promise<{ readonly held: AuthenticatedUse | undefined } | undefined> {
    // No need to wait.
    if (!this.keptPin(token)) return undefined;
    const turn = token.loginQueue.run(async () => {
      // Only in its turn: dropping the PIN wipes it.
      const pin = this.keptPin(token);
      if (!pin) return undefined;
      try {
        return { held: await this.#authenticate(token, key, pin, signal) };
      } catch (error) {
        if (!(error instanceof PinError)) throw error;
        // Other applications keep it as well, and each would spend a try on it.
        await withPin(pin, (refused) => {
          token.dropKeptPins(refused);
          return Promise.resolve();
        });
        const message = `the card refuses the kept PIN: ${error.message}`;
        throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, message, { cause: error });
      }
    }, signal);
    return untilAborted(turn, signal, cancelled);
  }

  async #authenticate(
    token: Token,
    key: PrivateKey,
    pin: Pin,
    signal?: AbortSignal,
  ): Promise<AuthenticatedUse | undefined> {
    const held = await verifyForUse(token, key, pin, signal);
    const login = this.#logins.get(token);
    if (login) login.resets = token.card.resets;
    if (!held) return undefined;
    if (login && !signal?.aborted) login.held = held;
    // Logged out, or finalised, in the meantime.
    else await held[Symbol.asyncDispose]();
    return held;
  }

  /** Removes a login that has ended by itself: by a reset, a removal, a blocked PIN. Sends nothing to the card. */
  forget(token: Token): void {
    // Applications that share it notice it themselves; it is not adopted any more.
    if (token.shared.has(this)) token.shared.clear();
    this.#leave(token);
  }

  #leave(token: Token): void {
    this.dropPuk(token);
    token.shared.delete(this);
    this.dropKeptPin(token);
    this.#logins
      .get(token)
      ?.held?.[Symbol.asyncDispose]()
      .catch(() => undefined);
    token.loggedIn.delete(this);
    if (token.loggedIn.size === 0) token.copies.forgetPrivate();
    if (this.#logins.delete(token)) this.#ended(token);
  }

  /** Ends the login; the card forgets the PIN unless another application of this process is still logged in. */
  logout(token: Token): Promise<void> {
    const onCard = token.loggedIn.has(this);
    this.#leave(token);
    return token.loginQueue.run(async () => {
      if (!onCard) return;
      // Waits for a running challenge-response unlock; a logout in between would invalidate it.
      await token.card.reservation.waitUntilFree().catch(() => undefined);
      await token.logoutIfUnused();
    });
  }

  /**
   * Runs one use of a key that needs a login. If the card has forgotten it, by a reset or otherwise, the application is
   * logged out: CKR_USER_NOT_LOGGED_IN, never CKR_PIN_INCORRECT.
   * @param authenticated Whether the key needs its PIN before each use, so that its refusal says nothing about the
   *   login.
   */
  async use<T>(token: Token, authenticated: boolean, work: () => Promise<T>): Promise<T> {
    if (this.current(token)?.user !== "user") throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
    try {
      return await work();
    } catch (error) {
      const reset = error instanceof CardResetError;
      if (!reset && !(error instanceof LoginRequiredError)) throw error;
      if (reset || !authenticated) this.forget(token);
      throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, error.message, { cause: error });
    }
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof CardError || (error instanceof CryptokiError && error.cause instanceof CardError);

async function verifyForUse(
  token: Token,
  key: PrivateKey,
  pin: Pin,
  signal?: AbortSignal,
): Promise<AuthenticatedUse | undefined> {
  const authenticate = key.authenticate?.bind(key);
  if (!authenticate) {
    await verify(token, "user", pin, signal);
    return undefined;
  }
  const byReader = pin === null && token.cardToken.pinPad !== undefined;
  try {
    const held = await (byReader
      ? authenticate(null, { signal })
      : withPin(pin, (copy) => authenticate(copy, { signal })));
    token.userVerified();
    if (CHANNELS.login.hasSubscribers) publishLogin(token, "user");
    return held;
  } catch (error) {
    publishLogin(token, "user", error);
    throw loginError("user", error);
  }
}

/** Wipes the copy that the card gets. Without a PIN, the user types it on the reader. */
async function verify(token: Token, user: PinUser, pin: Pin, signal?: AbortSignal): Promise<void> {
  const { cardToken } = token;
  const { pinPad } = cardToken;
  const copy = pin === null && pinPad ? undefined : copyPin(pin);
  try {
    await (copy ? cardToken.login(user, copy, { signal }) : pinPad?.login(user, { signal }));
    if (CHANNELS.login.hasSubscribers) publishLogin(token, user);
  } catch (error) {
    publishLogin(token, user, error);
    throw loginError(user, error);
  } finally {
    if (copy) wipe(copy);
  }
}

/**
 * The error of a login with a PIN whose length the card does not accept, without sending it: it is wrong.
 * CKR_PIN_LEN_RANGE "only applies to functions which attempt to set a PIN" (PKCS#11 3.1 section 5.1.6). For a user whom
 * the card does not have: CKR_USER_TYPE_INVALID.
 */
function loginError(user: PinUser, error: unknown): unknown {
  if (error instanceof PinError && error.reason === "length") {
    return new CryptokiError(CKR.PIN_INCORRECT, error.message, { cause: error });
  }
  if (user === "so" && error instanceof UnsupportedError) {
    return new CryptokiError(CKR.USER_TYPE_INVALID, `${error.message}; log in as user`, { cause: error });
  }
  return error;
}
