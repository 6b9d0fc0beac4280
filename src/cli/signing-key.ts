import type { EcPublicKey, EdwardsPublicKey, PublicKey, RsaPublicKey } from "../crypto/index.ts";
import { UsageError } from "./failure.ts";

/** Keys that sign and verify here. */
export type SigningKey = RsaPublicKey | EcPublicKey | EdwardsPublicKey;

/** @throws {UsageError} for a key that agrees on secrets, and signs nothing. */
export function requireSigningKey(key: PublicKey): SigningKey {
  if (key.type !== "montgomery") return key;
  throw new UsageError(`the key is on ${key.curve}; this command works with RSA, EC and Ed25519 keys`);
}
