import { type CallOptions, memoizeAsync } from "../async/index.ts";
import { utf8, wipe } from "../bytes/index.ts";
import {
  type CK_MECHANISM_INFO,
  type CK_SESSION_HANDLE,
  CKF_SESSION,
  CKU,
  type CryptokiFunctions,
} from "../cryptoki/index.ts";
import type { TokenCrypto } from "../webcrypto/index.ts";
import type { TokenAccess } from "./access.ts";
import { Certificates } from "./certificates.ts";
import { DataObjects } from "./data-objects.ts";
import { checked, TokenError } from "./error.ts";
import { Keys } from "./keys.ts";
import { OFFICER_PATIENCE, OfficerToken } from "./officer.ts";
import { type Pin, pinBytes, type PinSource, type PinState, type TokenInfo } from "./pin.ts";
import { SecretKeys } from "./secret-keys.ts";
import { UserWriter } from "./writer.ts";

/** Of a token's label, in bytes of UTF-8. */
const LABEL_LENGTH = 32;

/** How a token is initialised. */
export interface TokenInitialisation {
  readonly officerPin: Pin;
  /** At most 32 bytes of UTF-8. */
  readonly label: string;
  /** The user's PIN; without it the token has none until {@link OfficerToken.setUserPin}. */
  readonly userPin?: Pin;
}

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
  readonly secretKeys: SecretKeys;
  readonly #access: TokenAccess;
  readonly #findAgain: (signal?: AbortSignal) => Promise<Token>;

  /**
   * @param findAgain Finds the token that is in the slot once this one was initialised.
   * @internal
   */
  constructor(access: TokenAccess, findAgain: (signal?: AbortSignal) => Promise<Token>) {
    this.#access = access;
    this.#findAgain = findAgain;
    access.openWebCrypto = this.#webCrypto;
    this.slot = access.slot;
    const writer = new UserWriter(access);
    this.keys = new Keys(access, writer);
    this.certificates = new Certificates(access, writer);
    this.data = new DataObjects(access, writer);
    this.secretKeys = new SecretKeys(access);
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
    return this.#access.asUser(() => this.#access.login.now(pin, signal), signal);
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

  /**
   * Changes the PUK.
   * @throws {TokenError} CKR_PIN_INCORRECT for the old PUK, with `triesLeft`; CKR_PIN_LEN_RANGE and CKR_PIN_INVALID for the new one;
   *   CKR_FUNCTION_NOT_SUPPORTED for a module that is not this driver, as PKCS #11 has no function for it.
   */
  async changePuk(change: { readonly old: Pin; readonly new: Pin }, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    const { cryptoki } = this.#access;
    return this.#setPin(
      change.old,
      change.new,
      (session, old, puk) => cryptoki.C_SetPUK(session, old, puk, { signal }),
      signal,
    );
  }

  /**
   * Logs the security officer in, for what the user may not do; the user's login ends. Dispose of the result: until then the user's work
   * waits.
   *
   *     await using officer = await token.asOfficer(managementKey);
   *     await officer.certificates.add(certificate, { reference: "9a" });
   *
   * @param pin The officer's PIN; the management key of a PIV card, in hexadecimal or as bytes.
   * @param options `patience`: milliseconds that the user's work waits before OFFICER_ACTIVE; default: 10,000.
   * @throws {TokenError} CKR_PIN_INCORRECT; CKR_USER_TYPE_INVALID for a token without an officer.
   */
  asOfficer(
    pin: Pin,
    { signal, patience = OFFICER_PATIENCE }: CallOptions & { readonly patience?: number } = {},
  ): Promise<OfficerToken> {
    return OfficerToken.begin(this.#access, pin, patience, signal);
  }

  /**
   * Makes the token new: its objects are deleted, and it gets a label and PINs.
   * @returns The new token; this one is TOKEN_GONE.
   * @throws {TokenError} CKR_PIN_INCORRECT for the officer's PIN of a token that has one already; CKR_FUNCTION_NOT_SUPPORTED for cards that
   *   are initialised by other means.
   */
  async initialize(init: TokenInitialisation, options: CallOptions = {}): Promise<Token> {
    const { signal } = checked(options);
    const { label, userPin } = init;
    const length = typeof label === "string" ? utf8(label).length : 0;
    if (length === 0 || length > LABEL_LENGTH)
      throw new TokenError("BAD_INPUT", `a label is text of 1 to ${LABEL_LENGTH} bytes of UTF-8`);
    const officerPin = pinBytes(init.officerPin);
    const pin = userPin === undefined ? undefined : pinBytes(userPin);
    try {
      if (pin) await this.#requireLength(pin, signal);
      const { cryptoki, slot } = this.#access;
      return await this.#renew(async () => {
        await cryptoki.C_InitToken(slot, officerPin, label, { signal });
        if (pin !== undefined) await this.#setFirstPin(officerPin, pin);
      }, signal);
    } finally {
      for (const bytes of [officerPin, pin]) if (bytes) wipe(bytes);
    }
  }

  /** Before anything is deleted: a PIN of a wrong length would leave the token without one. */
  async #requireLength(pin: Uint8Array, signal?: AbortSignal): Promise<void> {
    const { minLength, maxLength } = await this.pinState({ signal });
    if (pin.length >= minLength && pin.length <= maxLength) return;
    throw new TokenError("BAD_INPUT", `the user's PIN has ${minLength} to ${maxLength} bytes on this token`);
  }

  async #setFirstPin(officerPin: Uint8Array | null, pin: Uint8Array | null): Promise<void> {
    const { cryptoki, slot } = this.#access;
    const session = await cryptoki.C_OpenSession(slot, CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
    try {
      await cryptoki.C_Login(session, CKU.SO, officerPin);
      await cryptoki.C_InitPIN(session, pin);
      await cryptoki.C_Logout(session);
    } finally {
      await cryptoki.C_CloseSession(session).catch(() => undefined);
    }
  }

  /**
   * Makes the card as its maker delivered it, where it has a command for that: keys, certificates and PINs are gone.
   * @param confirm The label of the token, as {@link info} tells it; and the user's PIN, where the card wants it for that.
   * @returns The new token; this one is TOKEN_GONE.
   * @throws {TokenError} BAD_INPUT for another label; CKR_FUNCTION_NOT_SUPPORTED if the card cannot.
   */
  async reset(confirm: { readonly label: string; readonly pin?: Pin }, options: CallOptions = {}): Promise<Token> {
    const { signal } = checked(options);
    const pin = pinBytes(confirm.pin ?? null);
    try {
      const { label } = await this.info({ signal });
      if (confirm.label !== label)
        throw new TokenError(
          "BAD_INPUT",
          `reset destroys the token "${label}": repeat its label, not "${confirm.label}"`,
        );
      const { cryptoki, slot } = this.#access;
      return await this.#renew(() => cryptoki.C_ResetToken(slot, pin, { signal }), signal);
    } finally {
      if (pin) wipe(pin);
    }
  }

  /** Runs `work`, which makes the token new, while nothing else uses it and no session is open. */
  async #renew(work: () => Promise<void>, signal?: AbortSignal): Promise<Token> {
    const access = this.#access;
    const end = await access.gate.beginOfficer(OFFICER_PATIENCE, [signal, access.removed]);
    try {
      await access.run(() => access.pool.withoutSessions(work, signal), signal);
      await access.close("the token was made new; find it again");
    } finally {
      end();
    }
    return this.#findAgain(signal);
  }

  async #setPin(
    known: Pin,
    wanted: Pin,
    set: (session: CK_SESSION_HANDLE, known: Uint8Array | null, wanted: Uint8Array | null) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void> {
    const [old, pin] = [pinBytes(known), pinBytes(wanted)];
    const access = this.#access;
    try {
      // As the user: while the security officer is logged in, C_SetPIN changes the officer's PIN.
      await access.asUser(() => access.inSession((session) => set(session, old, pin), signal), signal);
      access.login.forgive();
    } finally {
      for (const bytes of [old, pin]) if (bytes) wipe(bytes);
    }
  }

  /** The Web Cryptography API with the keys of this token, for libraries that take a `crypto`. It ends with the token. */
  async webCrypto(options: CallOptions = {}): Promise<TokenCrypto> {
    const { signal } = checked(options);
    return this.#access.run(() => this.#webCrypto(signal), signal);
  }

  /** Loaded when it is wanted. */
  readonly #webCrypto = memoizeAsync(async () => (await import("../webcrypto/index.ts")).TokenCrypto.of(this));

  /** What the rooms above build on. @internal */
  static accessOf(token: Token): TokenAccess {
    return token.#access;
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
