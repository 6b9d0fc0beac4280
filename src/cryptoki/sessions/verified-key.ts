import { type AuthenticatedUse, checkedResult, type KeyPrimitive } from "../../card/index.ts";
import type { KeyShape, PublicKey } from "../../crypto/index.ts";
import type { PrivateKey } from "../objects/key.ts";

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
