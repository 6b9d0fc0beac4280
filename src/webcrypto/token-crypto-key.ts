import type { Key } from "../tokens/parts.ts";
import { type KeyUsage, refusal } from "./platform.ts";
import { algorithmNamed, type TokenKeyAlgorithm } from "./algorithms.ts";

/**
 * A private key that stays on its token, as a CryptoKey for one algorithm. One key of the card may be several of these.
 * Every {@link TokenCrypto} can use it.
 */
export class TokenCryptoKey {
  readonly type = "private";
  /** It never leaves the token. */
  readonly extractable = false;
  readonly algorithm: TokenKeyAlgorithm;
  readonly usages: KeyUsage[];
  readonly #key: Key;

  /** @internal */
  constructor(key: Key, algorithm: TokenKeyAlgorithm, usages: readonly KeyUsage[]) {
    this.algorithm = algorithm;
    this.usages = [...usages];
    this.#key = key;
  }

  /** The same as for the host's keys, because libraries check it. */
  readonly [Symbol.toStringTag] = "CryptoKey";

  /**
   * Checks that a use fits the key: the algorithm must be the key's, and the use one of its own.
   * @throws {DOMException} NotSupportedError for an unknown algorithm; InvalidAccessError otherwise.
   * @internal
   */
  static require(key: TokenCryptoKey, algorithm: unknown, usage: KeyUsage): Key {
    const name = algorithmNamed(algorithm);
    if (name !== key.algorithm.name) {
      throw refusal("InvalidAccessError", `the key works with ${key.algorithm.name}`);
    }
    if (!key.usages.includes(usage)) throw refusal("InvalidAccessError", `the key does not allow "${usage}"`);
    return key.#key;
  }
}
