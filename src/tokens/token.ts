import type { CallOptions } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import type { CK_MECHANISM_INFO, CK_SESSION_HANDLE, CryptokiFunctions } from "../cryptoki/index.ts";
import type { TokenCrypto } from "../webcrypto/index.ts";
import type { TokenAccess } from "./access.ts";
import { Certificates } from "./certificates.ts";
import { DataObjects } from "./data-objects.ts";
import { Keys } from "./keys.ts";
import { type Pin, pinBytes, type PinSource, type PinState, type TokenInfo } from "./pin.ts";
import { checked } from "./error.ts";

/**
 * What one PIN of a card guards, from the insertion of the card to its removal. When the card goes, every call ends with TOKEN_GONE and
 * the token stays dead; the same card put in again is another token.
 */
export class Token implements AsyncDisposable {
  /** The number of the slot that the token is in. */
  readonly slot: number;
  readonly keys: Keys;
  readonly certificates: Certificates;
  readonly data: DataObjects;
  readonly #access: TokenAccess;

  /** @internal */
  constructor(access: TokenAccess) {
    this.#access = access;
    this.slot = access.slot;
    this.keys = new Keys(access);
    this.certificates = new Certificates(access);
    this.data = new DataObjects(access);
  }

  /** Aborts when the card goes, as soon as this process sees it. */
  get removed(): AbortSignal {
    return this.#access.removed;
  }

  /** What the token says of itself; asked for once. */
  async info(options: CallOptions = {}): Promise<TokenInfo> {
    const { signal } = checked(options);
    return this.#access.run(() => this.#access.info(signal), signal);
  }

  /** How the user's PIN stands. No try is spent. */
  async pinState(options: CallOptions = {}): Promise<PinState> {
    const { signal } = checked(options);
    return this.#access.run(() => this.#access.pinState(signal), signal);
  }

  /**
   * Logs the user in now, also after a wrong PIN. You need not call it: what needs a login asks for the PIN by itself.
   * @param pin The PIN, or a source for this once; default: the source that openTokens was given.
   * @throws {TokenError} CKR_PIN_INCORRECT with `triesLeft`, CKR_PIN_LOCKED, NO_PIN_SOURCE.
   */
  async login(pin?: PinSource | Pin, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    return this.#access.run(() => this.#access.login.now(pin, signal), signal);
  }

  /** Ends the login. What needs it next asks for the PIN again. */
  logout(): Promise<void> {
    return this.#access.run(() => this.#access.login.logout());
  }

  /**
   * Changes the user's PIN.
   * @throws {TokenError} CKR_PIN_INCORRECT for the old PIN, with `triesLeft`; CKR_PIN_LEN_RANGE and CKR_PIN_INVALID for the new one, before
   *   the card sees either.
   */
  async changePin(change: { readonly old: Pin; readonly new: Pin }, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    const { cryptoki } = this.#access;
    return this.#setPin(
      change.old,
      change.new,
      (session, old, pin) => cryptoki.C_SetPIN(session, old, pin, { signal }),
      signal,
    );
  }

  /**
   * Unblocks the user's PIN with the PUK, and sets it.
   * @throws {TokenError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED speak of the PUK, with its `triesLeft`.
   */
  async unblockPin(unblock: { readonly puk: Pin; readonly new: Pin }, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    const { cryptoki } = this.#access;
    return this.#setPin(
      unblock.puk,
      unblock.new,
      (session, puk, pin) => cryptoki.C_UnlockPIN(session, puk, pin, { signal }),
      signal,
    );
  }

  async #setPin(
    known: Pin,
    wanted: Pin,
    set: (session: CK_SESSION_HANDLE, known: Uint8Array | null, wanted: Uint8Array | null) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void> {
    const [old, pin] = [pinBytes(known), pinBytes(wanted)];
    try {
      await this.#access.inSession((session) => set(session, old, pin), signal);
      this.#access.login.forgive();
    } finally {
      for (const bytes of [old, pin]) if (bytes) wipe(bytes);
    }
  }

  /** The Web Cryptography API with the keys of this token, for libraries that take a `crypto`. It ends with the token. */
  async webCrypto(options: CallOptions = {}): Promise<TokenCrypto> {
    const { signal } = checked(options);
    return this.#access.run(() => this.#access.webCrypto(signal), signal);
  }

  /** The mechanisms that the token offers, by their number (CKM). */
  async mechanisms(options: CallOptions = {}): Promise<ReadonlyMap<number, CK_MECHANISM_INFO>> {
    const { signal } = checked(options);
    const { cryptoki, slot } = this.#access;
    return this.#access.run(async () => {
      const found = new Map<number, CK_MECHANISM_INFO>();
      for (const type of await cryptoki.C_GetMechanismList(slot, { signal })) {
        found.set(type, await cryptoki.C_GetMechanismInfo(slot, type, { signal }));
      }
      return found;
    }, signal);
  }

  /** Random bytes from the token. @throws {TokenError} CKR_RANDOM_NO_RNG if it makes none. */
  async random(length: number, options: CallOptions = {}): Promise<Uint8Array> {
    const { signal } = checked(options);
    const { cryptoki } = this.#access;
    return this.#access.inSession((session) => cryptoki.C_GenerateRandom(session, length, { signal }), signal);
  }

  /**
   * Runs `work` with a session of its own, for what this layer does not have; it is closed afterwards. The user may be logged in.
   */
  async withSession<T>(
    work: (session: CK_SESSION_HANDLE, cryptoki: CryptokiFunctions) => Promise<T>,
    options: CallOptions = {},
  ): Promise<T> {
    const { signal } = checked(options);
    const { cryptoki, pool } = this.#access;
    return this.#access.run(() => pool.runAlone((session) => work(session, cryptoki), signal), signal);
  }

  /** Closes the sessions with the token, and with them its login. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#access.close();
  }
}
