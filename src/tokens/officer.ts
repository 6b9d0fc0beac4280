import type { CallOptions } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import { type CK_SESSION_HANDLE, CKR, CryptokiError, type CryptokiFunctions } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { Certificates } from "./certificates.ts";
import { DataObjects } from "./data-objects.ts";
import { checked, isGone, TokenError } from "./error.ts";
import { Keys } from "./keys.ts";
import { type Pin, pinBytes, type TokenInfo } from "./pin.ts";
import type { Writer } from "./writer.ts";

/** Milliseconds that the user's work waits for the end of the officer's scope. */
export const OFFICER_PATIENCE = 10_000;

/**
 * A token whose security officer is logged in, until its disposal. Meanwhile the token does nothing with the user's private keys: such work
 * waits for the end. Afterwards the user's PIN is asked for again.
 */
export class OfficerToken implements AsyncDisposable {
  /** Writes as security officer. A {@link Key} that it gives is the user's to use, after the scope. */
  readonly keys: Keys;
  readonly certificates: Certificates;
  readonly data: DataObjects;
  readonly #access: TokenAccess;
  readonly #endScope: () => void;
  #ended: Promise<void> | undefined;

  private constructor(access: TokenAccess, endScope: () => void) {
    this.#access = access;
    this.#endScope = endScope;
    const writer: Writer = {
      asksUser: false,
      write: (work, signal) => this.#run(() => access.inSession(work, signal)),
    };
    this.keys = new Keys(access, writer);
    this.certificates = new Certificates(access, writer);
    this.data = new DataObjects(access, writer);
  }

  /** @internal */
  static async begin(access: TokenAccess, pin: Pin, patience: number, signal?: AbortSignal): Promise<OfficerToken> {
    const bytes = pinBytes(pin);
    try {
      const endScope = await access.gate.beginOfficer(patience, [signal, access.removed]);
      try {
        await access.run(() => access.login.loginOfficer(bytes, signal), signal);
      } catch (error) {
        endScope();
        throw error;
      }
      return new OfficerToken(access, endScope);
    } finally {
      if (bytes) wipe(bytes);
    }
  }

  /** Aborts when the card goes. */
  get removed(): AbortSignal {
    return this.#access.removed;
  }

  async info(options: CallOptions = {}): Promise<TokenInfo> {
    const { signal } = checked(options);
    return this.#access.run(() => this.#access.info(signal), signal);
  }

  /**
   * Sets the user's PIN, with all its tries.
   * @throws {TokenError} CKR_FUNCTION_NOT_SUPPORTED on cards whose officer cannot: on a PIV card {@link Token.unblockPin} does, with the PUK.
   */
  async setUserPin(pin: Pin, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    const bytes = pinBytes(pin);
    const access = this.#access;
    try {
      await this.#run(() =>
        access.inSession((session) => access.cryptoki.C_InitPIN(session, bytes, { signal }), signal),
      );
      access.login.forgive();
    } finally {
      if (bytes) wipe(bytes);
    }
  }

  /** Changes the officer's own PIN; on a YubiKey the management key. */
  async changePin(change: { readonly old: Pin; readonly new: Pin }, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    const [old, pin] = [pinBytes(change.old), pinBytes(change.new)];
    const access = this.#access;
    try {
      await this.#run(() =>
        access.inSession((session) => access.cryptoki.C_SetPIN(session, old, pin, { signal }), signal),
      );
    } finally {
      for (const bytes of [old, pin]) if (bytes) wipe(bytes);
    }
  }

  /** Runs `work` with a session of its own, in which the security officer is logged in. */
  withSession<T>(
    work: (session: CK_SESSION_HANDLE, cryptoki: CryptokiFunctions) => Promise<T>,
    options: CallOptions = {},
  ): Promise<T> {
    const { signal } = checked(options);
    const access = this.#access;
    return this.#run(() =>
      access.run(() => access.pool.runAlone((session) => work(session, access.cryptoki), signal), signal),
    );
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#ended) return work();
    const advice = "the security officer's scope has ended; token.asOfficer() begins another one";
    return Promise.reject(new TokenError("CKR_USER_NOT_LOGGED_IN", advice, { rv: CKR.USER_NOT_LOGGED_IN }));
  }

  /** Logs the security officer out. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#logout();
    return this.#ended;
  }

  async #logout(): Promise<void> {
    try {
      await this.#access.login.logoutOfficer();
    } catch (error) {
      // With the card, or after a reset, the login has gone already.
      if (!(isGone(error) || (error instanceof CryptokiError && error.is("CKR_USER_NOT_LOGGED_IN")))) throw error;
    } finally {
      this.#endScope();
    }
  }
}
