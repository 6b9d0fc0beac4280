import { isKeyResult, type KeyPrimitive, WrongResultError } from "../../card/index.ts";
import { wipe } from "../../bytes/index.ts";
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
  readonly #key: PrivateKey;
  readonly #publicKey: PublicKey;

  private constructor(key: PrivateKey, publicKey: PublicKey) {
    this.primitives = key.primitives;
    this.needsLogin = key.needsLogin;
    this.alwaysAuthenticate = key.alwaysAuthenticate;
    this.#key = key;
    this.#publicKey = publicKey;
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
  async use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const result = await this.#key.use(primitive, input, signal);
    if (isKeyResult(this.#publicKey, primitive, input, result) !== false) return result;
    wipe(result);
    throw new WrongResultError();
  }
}
