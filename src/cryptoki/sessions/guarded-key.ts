import { type CallOptions, untilAborted } from "../../async/index.ts";
import { wipe } from "../../bytes/index.ts";
import { afterReset, type AuthenticatedUse, CardError, checkedResult, type KeyPrimitive } from "../../card/index.ts";
import type { HashName, KeyShape, PublicKey } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import type { KeyUser, MessageSigner } from "../mechanisms/family.ts";
import type { ObjectLife, PrivateKey } from "../objects/object-copy.ts";
import type { Token } from "../slots/token.ts";
import type { Login, Logins, Pin } from "./logins.ts";

/** A private key for one operation, with its access checks: the login, and the PIN for each use. */
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
  /** The use for which the PIN was given, while the card is reserved for it. */
  #held: AuthenticatedUse | undefined;

  /**
   * @param key Its public half was read before: some cards report the PIN policy only then.
   * @param life Whether the key was destroyed or replaced since.
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

  /** Whether the key needs its PIN, and no PIN was given yet, neither a right nor a wrong one. */
  get awaitsPin(): boolean {
    return this.alwaysAuthenticate && !this.#wasAsked;
  }

  /**
   * Verifies the PIN for the next use, and reserves the card for it until {@link release}. Errors as for {@link
   * Logins.authenticate}.
   */
  async authenticate(pin: Pin, signal?: AbortSignal): Promise<void> {
    this.#wasAsked = true;
    // A second PIN would wait for the release of the first.
    this.release();
    this.#held = await this.#logins.authenticate(this.#token, this.#key, pin, signal);
    this.#authenticated = this.#logins.current(this.#token);
  }

  /** Uses the PIN of the login, if the application keeps it; not after a context login. */
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

  /** Releases the card: the operation is over, or begins anew with its PIN. */
  release(): void {
    // The card's own queue releases it before all later calls.
    this.#held?.[Symbol.asyncDispose]().catch(() => undefined);
    this.#held = undefined;
    this.#authenticated = undefined;
  }

  /**
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN; CKR_KEY_FUNCTION_NOT_PERMITTED; CKR_KEY_HANDLE_INVALID if the key
   *   was replaced before this use; the card's errors.
   */
  async use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    if (!this.primitives.includes(primitive)) throw new CryptokiError(CKR.KEY_FUNCTION_NOT_PERMITTED);
    return this.#guarded((user) => user.use(primitive, input, { signal }), signal);
  }

  /** Its `sign` is a {@link use} of the key. */
  ecdsaSigner(hash: HashName): MessageSigner | undefined {
    const signer = this.#key.ecdsaSigner?.(hash);
    return (
      signer && {
        update: (part) => {
          signer.update(part);
        },
        sign: (signal) => this.#guarded(() => signer.sign(signal), signal),
      }
    );
  }

  async #guarded(work: Work, signal?: AbortSignal): Promise<Uint8Array> {
    let result: Uint8Array;
    try {
      result = await this.#use(work, signal);
    } catch (cause) {
      // The new key may give a wrong result, or refuse a number that is too large for it.
      if (!(cause instanceof CardError && this.#life.ended)) throw cause;
      throw new CryptokiError(CKR.KEY_HANDLE_INVALID, REPLACED, { cause });
    }
    if (!this.#life.ended) return result;
    wipe(result);
    throw new CryptokiError(CKR.KEY_HANDLE_INVALID, REPLACED);
  }

  async #use(work: Work, signal?: AbortSignal): Promise<Uint8Array> {
    const key = this.#key;
    // Frees the session at an abort, also during a read of the card, which continues for all callers.
    let user: Pick<PrivateKey, "use"> = key;
    const use = (): Promise<Uint8Array> => untilAborted(work(user), signal, cancelled);
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

/** A use of the key itself, or of the key for which the card is kept. */
type Work = (user: Pick<PrivateKey, "use">) => Promise<Uint8Array>;

const REPLACED = "the key was destroyed or replaced meanwhile; find it again with C_FindObjects";
const PIN_FIRST = "this key needs its PIN before each use: C_Login with CKU_CONTEXT_SPECIFIC after the ...Init";
const GIVEN_BACK =
  "this key needs its PIN before each use, and the use came too late after it: the card was released; repeat C_Login with CKU_CONTEXT_SPECIFIC";

/**
 * A private key whose results are all verified with its public half (option `verifyResults: "always"`): a card profile
 * itself only checks with keys that it happens to know.
 */
export class VerifiedKey implements PrivateKey {
  readonly primitives: readonly KeyPrimitive[];
  readonly needsLogin: boolean;
  readonly alwaysAuthenticate: boolean;
  /** Left out where the key has none. The use that the card is kept for is verified as every other. */
  readonly authenticate?: (pin: Uint8Array | null, options?: CallOptions) => Promise<AuthenticatedUse>;
  readonly #key: PrivateKey;
  readonly #publicKey: PublicKey;

  private constructor(key: PrivateKey, publicKey: PublicKey) {
    this.primitives = key.primitives;
    this.needsLogin = key.needsLogin;
    this.alwaysAuthenticate = key.alwaysAuthenticate;
    this.#key = key;
    this.#publicKey = publicKey;
    const authenticate = key.authenticate?.bind(key);
    if (authenticate) this.authenticate = async (pin, options) => this.#verifying(await authenticate(pin, options));
  }

  /**
   * Reads the public key from the card, unless it is cached.
   * @throws {CardError} if there is none, because nothing could be verified.
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
  use(primitive: KeyPrimitive, input: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return this.#verified(this.#key, primitive, input, options);
  }

  #verifying(held: AuthenticatedUse): AuthenticatedUse {
    return {
      get ended() {
        return held.ended;
      },
      use: (primitive, input, options) => this.#verified(held, primitive, input, options),
      [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
    };
  }

  async #verified(
    user: Pick<PrivateKey, "use">,
    primitive: KeyPrimitive,
    input: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    return checkedResult(this.#publicKey, primitive, input, await user.use(primitive, input, options));
  }
}
