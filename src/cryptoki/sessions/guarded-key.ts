import { untilAborted } from "../../async/index.ts";
import type { KeyPrimitive } from "../../card/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { cancelled } from "../error-map.ts";
import type { KeyUser } from "../mechanisms/scheme.ts";
import type { PrivateKey } from "../objects/key.ts";
import type { Token } from "../slots/token.ts";
import type { Login, Logins } from "./logins.ts";

/** A private key for one operation: nobody uses it who is not logged in, or has not given the PIN that each use wants. */
export class GuardedKey implements KeyUser {
  readonly #key: PrivateKey;
  readonly #token: Token;
  readonly #logins: Logins;
  /** The login in which the PIN was given for the next use. */
  #authenticated: Login | undefined;

  constructor(key: PrivateKey, token: Token, logins: Logins) {
    this.#key = key;
    this.#token = token;
    this.#logins = logins;
  }

  get primitives(): readonly KeyPrimitive[] {
    return this.#key.primitives;
  }

  get alwaysAuthenticate(): boolean {
    return this.#key.alwaysAuthenticate;
  }

  /** The PIN was verified for the next use. */
  authenticate(): void {
    this.#authenticated = this.#logins.current(this.#token);
  }

  /** @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN; CKR_KEY_FUNCTION_NOT_PERMITTED; what the card throws. */
  async use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const key = this.#key;
    if (!key.primitives.includes(primitive)) throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED);
    // Frees the session at an abort, also while the card is read for it, which is done for all callers.
    const use = (): Promise<Uint8Array> => untilAborted(key.use(primitive, input, signal), signal, cancelled);
    if (!key.needsLogin) return use();
    const authenticated =
      this.#authenticated !== undefined && this.#authenticated === this.#logins.current(this.#token);
    this.#authenticated = undefined;
    if (key.alwaysAuthenticate && !authenticated) {
      throw new CryptokiError(
        CKR.USER_NOT_LOGGED_IN,
        "this key wants its PIN before each use: C_Login with CKU_CONTEXT_SPECIFIC after the ...Init",
      );
    }
    return this.#logins.use(this.#token, key.alwaysAuthenticate, use);
  }
}
