import type { PublicKey } from "../../crypto/index.ts";
import { CKA, CKO, CKR, CryptokiError } from "../../cryptoki/index.ts";
import type { TokenCrypto, TokenKeyPair } from "../../webcrypto/index.ts";
import { NotFoundError, UsageError } from "../output/failures.ts";
import type { ObjectEntry, TokenSession } from "../session.ts";
import { placeName } from "./key-place.ts";

/** As WebCrypto names it. */
interface SignatureAlgorithm {
  readonly name: string;
  readonly hash: string;
}

/** A key of a token as the library for certificates uses it. */
export interface CertificateSigner {
  readonly crypto: TokenCrypto;
  readonly keys: TokenKeyPair;
  readonly algorithm: SignatureAlgorithm;
}

/**
 * The public half of the key with a CKA_ID.
 * @throws {NotFoundError} if the token shows none.
 */
async function requireKey(session: TokenSession, id: Uint8Array): Promise<ObjectEntry> {
  const [found] = await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: id });
  if (found) return found;
  const name = placeName(session.token, id);
  throw new NotFoundError(
    `there is no key in ${name}, or the card does not show its public key; see: cryptoki key list`,
  );
}

/**
 * Has the key with a CKA_ID sign; the PIN is asked for when the card wants it.
 * @throws {NotFoundError} if there is no such key; {@link UsageError} if it signs nothing.
 */
export async function certificateSigner(session: TokenSession, id: Uint8Array): Promise<CertificateSigner> {
  const entry = await requireKey(session, id);
  const publicKey = await session.publicKey(entry);
  const name = placeName(session.token, id);
  const algorithm = algorithmOf(publicKey);
  if (!algorithm) throw new UsageError(`the X25519 key in ${name} agrees on secrets, and cannot sign`);
  if (!(await session.flag(entry.handle, CKA.VERIFY))) {
    throw new UsageError(`the key in ${name} is for agreeing on secrets: the card does not sign with it`);
  }
  const crypto = await session.webCrypto();
  return { crypto, keys: await orCryptokiError(crypto.keyStorage.pair({ id, algorithm })), algorithm };
}

/** As everybody verifies it: PKCS #1 v1.5 with SHA-256, ECDSA with the hash of the curve's length. */
function algorithmOf(key: PublicKey): SignatureAlgorithm | undefined {
  switch (key.type) {
    case "rsa":
      return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    case "ec":
      return {
        name: "ECDSA",
        hash: ({ "P-256": "SHA-256", "P-384": "SHA-384", "P-521": "SHA-512" } as const)[key.curve],
      };
    case "edwards":
      return { name: "Ed25519", hash: "SHA-512" };
    case "montgomery":
      return undefined;
  }
}

/** What the card refused, in its own words: WebCrypto has it as the cause. */
export async function orCryptokiError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const cause: unknown = typeof error === "object" && error !== null && "cause" in error ? error.cause : undefined;
    if (cause instanceof CryptokiError) throw cause;
    throw error;
  }
}

/** Ends the user's login, if there is one: the card may want its officer next. */
export async function endLogin(session: TokenSession): Promise<void> {
  try {
    await session.cryptoki.C_Logout(session.handle);
  } catch (error) {
    if (!(error instanceof CryptokiError && error.rv === CKR.USER_NOT_LOGGED_IN)) throw error;
  }
}
