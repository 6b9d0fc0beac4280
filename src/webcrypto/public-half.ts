import type { PublicKey } from "../crypto/index.ts";
import { publicHalfOf } from "../cryptoki/index.ts";
import { refusal } from "./error.ts";
import type { TokenSession } from "./token-session.ts";

/**
 * The public half of a key object, as publicHalfOf finds it.
 * @throws {DOMException} NotFoundError if nothing tells it.
 */
export async function publicHalf(session: TokenSession, object: number, id: Uint8Array): Promise<PublicKey> {
  const found = await publicHalfOf(session, object, id);
  if (found) return found;
  throw refusal("NotFoundError", "neither a public key nor a certificate with the key's CKA_ID is on the token");
}
