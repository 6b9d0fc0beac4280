import { encodePublicKey, type PublicKey } from "../crypto/index.ts";
import { hostSubtle } from "./host.ts";
import { type TokenKeyAlgorithm, usagesOf } from "./key-algorithm.ts";
import type { CryptoKey } from "./types.ts";

/** A public key as a key of the host's, for an algorithm. */
export function hostPublicKey(key: PublicKey, algorithm: TokenKeyAlgorithm): Promise<CryptoKey> {
  return hostSubtle.importKey("spki", encodePublicKey(key), algorithm, true, usagesOf(algorithm.name, "publicUsages"));
}
