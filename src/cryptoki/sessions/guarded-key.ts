import { untilAborted } from "../../async/index.ts";
import { wipe } from "../../bytes/index.ts";
import {
  afterReset,
  type AuthenticatedUse,
  checkedResult,
  type KeyPrimitive,
  WrongResultError,
} from "../../card/index.ts";
import type { KeyShape, PublicKey } from "../../crypto/index.ts";
import type { Pin } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import type { KeyUser } from "../mechanisms/family.ts";
import type { ObjectLife, PrivateKey } from "../objects/object-copy.ts";
import type { Token } from "../slots/token.ts";
import type { Login, Logins } from "./logins.ts";

/** A private key for one operation: nobody uses it who is not logged in, or has not given the PIN that each use wants. */
export class GuardedKey implements KeyUser {
  readonly primitives: readonly KeyPrimitive[];
  readonly #key: PrivateKey;
  readonly #token: Token;
  readonly #logins: Logins;
  readonly #life: Readonly<ObjectLife>;
  readonly #needsLogin: boolean;
  readonly alwaysAuthenticate: boolean;
  /** The login in which the PIN was given for the next use. */
  #authenticated: Login | undefined;
  #wasAsked = false;
  /** The use that the PIN was given for, while the card is kept for it. */
  #held: AuthenticatedUse | undefined;

  /**
   * @param key Its public half was read before: only then some cards have said when they want the PIN.
   * @param life Whether the key was destroyed since, or another one is in its place.
   */
  constructor(key: PrivateKey, token: Token, logins: Logins, life: Readonly<ObjectLife>) {
    this.#life = life;
    this.#key = key;
    this.#needsLogin = key.needsLogin;
    this.alwaysAuthenticate = key.alwaysAuthenticate;
    this.primitives = key.primitives;
    this.#token = token;
    this.#logins = logins;
  }

  /** The key wants its PIN, and no PIN was given yet, neither a right nor a wrong one. */
  get awaitsPin(): boolean {
    return this.alwaysAuthenticate && !this.#wasAsked;
  }

  /** Verifies the PIN for the next use, and keeps the card for it until {@link release}. Errors as of {@link Logins.authenticate}. */
  async authenticate(pin: Pin, signal?: AbortSignal): Promise<void> {
    this.#wasAsked = true;
    // Given twice: the second one would wait for the first.
    this.release();
    this.#held = await this.#logins.authenticate(this.#token, this.#key, pin, signal);
    this.#authenticated = this.#logins.current(this.#token);
  }

  /** With the PIN of the login, where the application has it kept; not once the context login was tried. */
  async #authenticateWithKept(signal?: AbortSignal): Promise<void> {
    if (this.#wasAsked) return;
    this.#wasAsked = true;
    try {
      const authenticated = await this.#logins.authenticateWithKept(this.#token, this.#key, signal);
      if (!authenticated) return;
      this.#held = authenticated.held;
      this.#authenticated = this.#logins.current(this.#token);
    } finally {
      this.#wasAsked = false;
    }
  }

  /** Gives the card back: the operation is over, or begins anew with its PIN. */
  release(): void {
    // The card's own queue gives it back before all calls that come after.
    this.#held?.[Symbol.asyncDispose]().catch(() => undefined);
    this.#held = undefined;
    this.#authenticated = undefined;
  }

  /**
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN; CKR_KEY_FUNCTION_NOT_PERMITTED; CKR_KEY_HANDLE_INVALID if the key gave way to another
   *   one before the card came to this use: the result would be that one's; what the card throws.
   */
  async use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    let result: Uint8Array;
    try {
      result = await this.#use(primitive, input, signal);
    } catch (cause) {
      if (!(cause instanceof WrongResultError && this.#life.ended)) throw cause;
      throw new CryptokiError(CKR.KEY_HANDLE_INVALID, REPLACED, { cause });
    }
    if (!this.#life.ended) return result;
    wipe(result);
    throw new CryptokiError(CKR.KEY_HANDLE_INVALID, REPLACED);
  }

  async #use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const key = this.#key;
    if (!this.primitives.includes(primitive)) throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED);
    // Frees the session at an abort, also while the card is read for it, which is done for all callers.
    let user: Pick<PrivateKey, "use"> = key;
    const use = (): Promise<Uint8Array> => untilAborted(user.use(primitive, input, signal), signal, cancelled);
    if (!this.#needsLogin) return afterReset(use);
    if (this.alwaysAuthenticate && !this.#held) await this.#authenticateWithKept(signal);
    const held = this.#held;
    const authenticated =
      this.#authenticated !== undefined && this.#authenticated === this.#logins.current(this.#token) && !held?.ended;
    this.#held = undefined;
    this.#authenticated = undefined;
    if (this.alwaysAuthenticate && !authenticated) {
      await held?.[Symbol.asyncDispose]();
      throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, held?.ended ? GIVEN_BACK : PIN_FIRST);
    }
    if (held) user = held;
    return this.#logins.use(this.#token, this.alwaysAuthenticate, use);
  }
}

const REPLACED = "the key was destroyed or replaced meanwhile; find it again with C_FindObjects";
const PIN_FIRST = "this key wants its PIN before each use: C_Login with CKU_CONTEXT_SPECIFIC after the ...Init";
const GIVEN_BACK =
  "this key wants its PIN before each use, and the use came too late after it: the card was given back; C_Login with CKU_CONTEXT_SPECIFIC once more";

/**
 * A private key whose results are all verified with its public half before anybody gets them (option `verifyResults: "always"`): what
 * a card profile checks by itself depends on what it happens to know.
 */
export class VerifiedKey implements PrivateKey {
  readonly primitives: readonly KeyPrimitive[];
  readonly needsLogin: boolean;
  readonly alwaysAuthenticate: boolean;
  /** Left out where the key has none. The use that the card is kept for is verified as every other. */
  readonly authenticate?: (pin: Uint8Array | null, signal?: AbortSignal) => Promise<AuthenticatedUse>;
  readonly #key: PrivateKey;
  readonly #publicKey: PublicKey;

  private constructor(key: PrivateKey, publicKey: PublicKey) {
    this.primitives = key.primitives;
    this.needsLogin = key.needsLogin;
    this.alwaysAuthenticate = key.alwaysAuthenticate;
    this.#key = key;
    this.#publicKey = publicKey;
    const authenticate = key.authenticate?.bind(key);
    if (authenticate) this.authenticate = async (pin, signal) => this.#verifying(await authenticate(pin, signal));
  }

  /**
   * Reads the public key from the card, unless it was read before.
   * @throws {CardError} if there is none: then nothing can be verified.
   */
  static async of(key: PrivateKey): Promise<VerifiedKey> {
    return new VerifiedKey(key, await key.publicKey());
  }

  shape(): Promise<KeyShape> {
    return this.publicKey();
  }

  publicKey(): Promise<PublicKey> {
    return Promise.resolve(this.#publicKey);
  }

  /** @throws {WrongResultError} for a result that is not the key's; as the key's own use. */
  use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#verified(this.#key, primitive, input, signal);
  }

  #verifying(held: AuthenticatedUse): AuthenticatedUse {
    return {
      get ended() {
        return held.ended;
      },
      use: (primitive, input, signal) => this.#verified(held, primitive, input, signal),
      [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
    };
  }

  async #verified(
    user: Pick<PrivateKey, "use">,
    primitive: KeyPrimitive,
    input: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return checkedResult(this.#publicKey, primitive, input, await user.use(primitive, input, signal));
  }
}
