import { type KeyUsage, refusal } from "./platform.ts";
import { algorithmNamed, type TokenKeyAlgorithm } from "./algorithms.ts";
import type { StoredKey } from "./stored-key.ts";

/**
 * A private key that stays on its token, as a CryptoKey for one algorithm. The same key of the card may be several of these. Every
 * {@link TokenCrypto} uses it, whichever gave it.
 */
export class TokenCryptoKey {
  readonly type = "private";
  /** It never leaves the token. */
  readonly extractable = false;
  readonly algorithm: TokenKeyAlgorithm;
  readonly usages: KeyUsage[];
  readonly #stored: StoredKey;

  /** @internal */
  constructor(stored: StoredKey, algorithm: TokenKeyAlgorithm, usages: readonly KeyUsage[]) {
    this.algorithm = algorithm;
    this.usages = [...usages];
    this.#stored = stored;
  }

  /** As of the host's keys: libraries look at it. */
  readonly [Symbol.toStringTag] = "CryptoKey";

  /**
   * Checks that a use fits the key: the algorithm must be the key's, and the use one of its own.
   * @throws {DOMException} NotSupportedError for an unknown algorithm; InvalidAccessError otherwise.
   * @internal
   */
  static require(key: TokenCryptoKey, algorithm: unknown, usage: KeyUsage): StoredKey {
    const name = algorithmNamed(algorithm);
    if (name !== key.algorithm.name) {
      throw refusal("InvalidAccessError", `the key is for ${key.algorithm.name}`);
    }
    if (!key.usages.includes(usage)) throw refusal("InvalidAccessError", `the key is not for "${usage}"`);
    return key.#stored;
  }
}
