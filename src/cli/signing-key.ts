import type { EcPublicKey, PublicKey, RsaPublicKey } from "../crypto/index.ts";
import { UsageError } from "./failure.ts";

/** Keys that sign and verify here. */
export type SigningKey = RsaPublicKey | EcPublicKey;

/** @throws {UsageError} for a key on another kind of curve. */
export function requireSigningKey(key: PublicKey): SigningKey {
  if (key.type === "rsa" || key.type === "ec") return key;
  throw new UsageError(`the key is on ${key.curve}; this command works with RSA keys and P-256, P-384 and P-521`);
}
