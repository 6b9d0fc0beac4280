import { verify } from "node:crypto";
import { importPublicKey, type EdwardsPublicKey } from "./public-key.ts";

/** Whether `signature` (R || S) is the key's over `message` (RFC 8032 section 5.1.7). @throws {DataError} for a key that is none. */
export function verifyEddsa(key: EdwardsPublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return verify(null, message, importPublicKey(key), signature);
}
