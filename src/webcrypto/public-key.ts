import { encodePublicKey, type PublicKey, withoutLimits } from "../crypto/index.ts";
import { hostSubtle } from "./host.ts";
import { type TokenKeyAlgorithm, usagesOf } from "./key-algorithm.ts";
import type { CryptoKey } from "./types.ts";

/** A public key as a key of the host's, for an algorithm. */
export function hostPublicKey(key: PublicKey, algorithm: TokenKeyAlgorithm): Promise<CryptoKey> {
  const spki = encodePublicKey(withoutLimits(key));
  return hostSubtle.importKey("spki", spki, algorithm, true, usagesOf(algorithm.name, "publicUsages"));
}
