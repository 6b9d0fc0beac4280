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
import { equalBytes, wipe } from "../../bytes/index.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import type { PrivateKey } from "../objects/object-copy.ts";
import type { LoggedIn, Token } from "../slots/token.ts";
import { copyPin, type Pin, withPin } from "../arguments.ts";

/** One login, from C_Login until it ends. */
export interface Login {
  readonly user: PinUser;
  /** The card's resets when the PIN was verified last: it forgets with the next one. */
  resets: number;
  /** It is another application's, whose user this one shares. */
  readonly joined?: true;
  /** The PUK that was given in place of an officer's PIN: owned and wiped here. */
  puk?: Uint8Array;
  /** The PIN that logged the user in, where the application has it kept: owned and wiped here. */
  pin?: Uint8Array;
  /** The latest use of a key for which the PIN was given, and the card is kept. */
  held?: AuthenticatedUse;
}

export interface LoginOptions {
  /**
   * Single sign-on: whether this application may take up a login that another one shares. Left out, it neither takes up a login nor
   * shares its own.
   */
  readonly mayJoin?: ((token: Token) => boolean) | undefined;
  /** Keeps the user's PIN until the login ends, for keys that want it before each use. Default: false. */
  readonly keepsPin?: boolean | undefined;
}

/**
 * Who one application has logged in to which token. Its own C_Login alone decides: that the card holds a PIN as verified, for
 * another application or program, is no reason to let anybody in.
 */
export class Logins implements LoggedIn {
  readonly #logins = new Map<Token, Login>();
  readonly #ended: (token: Token) => void;
  readonly #mayJoin: ((token: Token) => boolean) | undefined;
  readonly #keepsPin: boolean;
  /** Tokens whose user logged out here: what others share is not taken up again. */
  readonly #declined = new WeakSet<Token>();

  /** @param ended Called for every login that ends, whatever ended it. */
  constructor(ended: (token: Token) => void, { mayJoin, keepsPin = false }: LoginOptions = {}) {
    this.#ended = ended;
    this.#mayJoin = mayJoin;
    this.#keepsPin = keepsPin;
  }

  /** Who is logged in to `token`. Costs nothing: a reset that nobody has noticed yet is noticed by the next use of the card. */
  userOf(token: Token): PinUser | undefined {
    return this.current(token)?.user;
  }

  /** The login to `token`, as {@link userOf}: another one after a logout, though it be the same user's. */
  current(token: Token): Login | undefined {
    const login = this.#logins.get(token);
    if (!login) return this.#join(token);
    if (login.resets === token.card.resets) return login;
    this.#leave(token);
    // Another application's user may have logged in since the reset.
    return this.#join(token);
  }

  /** Whether the user's login to `token` is shared with other applications. */
  shares(token: Token): boolean {
    return token.shared.has(this);
  }

  /** Takes up the login of another application's user. It then is this application's own: it stays when the other one's ends. */
  #join(token: Token): Login | undefined {
    if (token.shared.size === 0 || this.#declined.has(token) || this.#mayJoin?.(token) !== true) return undefined;
    const { resets } = token.card;
    // A login from before the card was reset, or on a card that is gone, is nobody's any more.
    if (token.card.gone || ![...token.shared.values()].some((shared) => shared.resets === resets)) return undefined;
    return this.#begin(token, { user: "user", resets, joined: true });
  }

  #begin(token: Token, login: Login): Login {
    this.#logins.set(token, login);
    token.loggedIn.add(this);
    if (this.#mayJoin && login.user === "user") token.shared.set(this, login);
    return login;
  }

  /** The user logged out here: logins that others share are not taken up, until the next C_Login or {@link accept}. */
  decline(token: Token): void {
    this.#declined.add(token);
  }

  /** The application is done with the token: when it comes back, it may take up what others share. */
  accept(token: Token): void {
    this.#declined.delete(token);
  }

  /**
   * Verifies the PIN, once. A verification that ends after an abort is undone behind the caller.
   * @throws {CryptokiError} CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_TYPE_INVALID for an officer whom
   *   the card does not know, CKR_PIN_INCORRECT for a PIN of a wrong length, CKR_DEVICE_REMOVED, CKR_FUNCTION_CANCELED;
   *   what the card throws.
   */
  login(token: Token, user: PinUser, pin: Pin, signal?: AbortSignal): Promise<void> {
    const login = token.loginQueue.run(async () => {
      this.#requireNobody(token, user);
      try {
        await verify(token, user, pin, signal);
        throwIfAborted(signal, cancelled);
      } catch (error) {
        // Where the card did not refuse the PIN, it may have verified it.
        if (signal?.aborted && !isRefusal(error)) await token.logoutIfUnused().catch(() => undefined);
        throw error;
      }
      if (token.card.gone) throw new CryptokiError(CKR.DEVICE_REMOVED);
      const kept = this.#keepsPin && user === "user" && pin !== null;
      this.#begin(token, { user, resets: token.card.resets, ...(kept && { pin: copyPin(pin) }) });
      this.accept(token);
    }, signal);
    return untilAborted(login, signal, cancelled);
  }

  /**
   * Takes the PUK in place of an officer's PIN, unproved: no card compares one without setting a PIN.
   * @throws {CryptokiError} as {@link login}.
   */
  loginWithPuk(token: Token, puk: Pin, signal?: AbortSignal): Promise<void> {
    return token.loginQueue.run(() => {
      this.#requireNobody(token, "so");
      this.#logins.set(token, { user: "so", resets: token.card.resets, puk: copyPin(puk) });
    }, signal);
  }

  /** The PUK with which somebody logged in as officer, until it is used. */
  pukOf(token: Token): Uint8Array | undefined {
    return this.#logins.get(token)?.puk;
  }

  /** It was used. The officer stays logged in, without it. */
  dropPuk(token: Token): void {
    const login = this.#logins.get(token);
    if (!login?.puk) return;
    wipe(login.puk);
    delete login.puk;
  }

  /** The PIN of the user's login, while it is kept. Stays the login's own. */
  keptPin(token: Token): Uint8Array | undefined {
    return this.current(token)?.pin;
  }

  /** The PIN was changed, or turned out to be another one by now. The user stays logged in, without it. @param pin Only this one. */
  dropKeptPin(token: Token, pin?: Uint8Array): void {
    const login = this.#logins.get(token);
    if (!login?.pin || (pin && !equalBytes(pin, login.pin))) return;
    wipe(login.pin);
    delete login.pin;
  }

  #requireNobody(token: Token, user: PinUser): void {
    // Its logins were forgotten when it went: this one would stay.
    if (token.card.gone) throw new CryptokiError(CKR.DEVICE_REMOVED);
    const login = this.current(token);
    // Who shares another's login may prove the PIN as well.
    if (!login || (login.joined && user === "user")) return;
    const present = login.user;
    throw new CryptokiError(present === user ? CKR.USER_ALREADY_LOGGED_IN : CKR.USER_ANOTHER_ALREADY_LOGGED_IN);
  }

  /**
   * Verifies the PIN for one use of a key, and keeps the card for it. Who is logged in stays as it is; the end of the login gives the
   * card back.
   * @returns Undefined where nothing needs to be kept: the use is as good later.
   */
  authenticate(token: Token, key: PrivateKey, pin: Pin, signal?: AbortSignal): Promise<AuthenticatedUse | undefined> {
    const turn = token.loginQueue.run(() => this.#authenticate(token, key, pin, signal), signal);
    return untilAborted(turn, signal, cancelled);
  }

  /**
   * As {@link authenticate}, with the PIN of the user's login, where it is kept. One that the card refuses is dropped before the turn
   * ends, so that those who wait for theirs spend no second try on it.
   * @returns The use that the card is kept for, if it is; undefined if no PIN is kept, or not any more at this call's turn.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN if the PIN is not the card's any more; as {@link authenticate}.
   */
  async authenticateWithKept(
    token: Token,
    key: PrivateKey,
    signal?: AbortSignal,
  ): Promise<{ readonly held: AuthenticatedUse | undefined } | undefined> {
    // Nothing to wait for.
    if (!this.keptPin(token)) return undefined;
    const turn = token.loginQueue.run(async () => {
      // Not before the turn: whoever drops it wipes it.
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
        const message = `the PIN that was kept is not the card's any more: ${error.message}`;
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
    // Logged out, or left, in the meantime.
    else await held[Symbol.asyncDispose]();
    return held;
  }

  /** The login is gone without anybody's doing: a reset, a removal, a blocked PIN. The card is not asked. */
  forget(token: Token): void {
    // Those who shared it notice for themselves; nobody takes it up any more.
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

  /** Ends the login; the card forgets the PIN unless another application of this process still is logged in. */
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
   * Runs one use of a key that needs a login. If the card has forgotten it, by a reset or otherwise, the application is logged
   * out: CKR_USER_NOT_LOGGED_IN, never CKR_PIN_INCORRECT.
   * @param authenticated The key wants its PIN before each use, so that its refusal says nothing about the login.
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
  const held = await orLoginError("user", () =>
    byReader ? authenticate(null, signal) : withPin(pin, (copy) => authenticate(copy, signal)),
  );
  token.userVerified();
  return held;
}

/** The copy that the card is given is wiped, whatever comes of it. Without a PIN, the reader's keys take it. */
async function verify({ cardToken }: Token, user: PinUser, pin: Pin, signal?: AbortSignal): Promise<void> {
  await orLoginError(user, async () => {
    if (pin === null && cardToken.pinPad) return cardToken.pinPad.login(user, signal);
    await withPin(pin, (copy) => cardToken.login(user, copy, signal));
  });
}

/**
 * What a login says of a PIN of a length that the card does not take, which the card was not shown: it is wrong. CKR_PIN_LEN_RANGE "only
 * applies to functions which attempt to set a PIN" (PKCS#11 3.1 section 5.1.6). A user whom the card does not know is no user type of it.
 */
async function orLoginError<T>(user: PinUser, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PinError && error.reason === "length") {
      throw new CryptokiError(CKR.PIN_INCORRECT, error.message, { cause: error });
    }
    if (user === "so" && error instanceof UnsupportedError) {
      throw new CryptokiError(CKR.USER_TYPE_INVALID, `${error.message}; log in as user`, { cause: error });
    }
    throw error;
  }
}
