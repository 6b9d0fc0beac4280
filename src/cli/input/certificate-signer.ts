import {
  CertificateError,
  type CertificateSigner,
  primitiveSigner,
  signatureAlgorithmOf,
  tokenSigner,
} from "../../certificates/index.ts";
import { copySecret } from "../../bytes/index.ts";
import { SW } from "../../apdu/index.ts";
import {
  type CardPrivateKey,
  type CardToken,
  type KeyPrimitive,
  StatusError,
  UnsupportedError,
} from "../../card/index.ts";
import { parsePublicKey } from "../../crypto/index.ts";
import { CKM, CKR, CryptokiError } from "../../cryptoki/index.ts";
import type { CommandContext } from "../context.ts";
import { TokenSession } from "../session.ts";
import { requirePrivateKey } from "./card-administration.ts";
import { requireCurrentKey } from "./card-key.ts";
import { type KeyPlaceOptions, placeName, referenceOf, refuseLabelOnPiv, requiredPlace } from "./key-place.ts";
import { warnOfFactoryPin } from "./officer.ts";
import { chooseToken, listTokens, onCardToken } from "./token.ts";

/** Opens a session with the token that the command line names, and finds the key's place on it. */
export async function openKeySession(
  context: CommandContext,
  options: KeyPlaceOptions & { readonly label?: string },
  uri: string | undefined,
): Promise<{ readonly session: TokenSession; readonly id: Uint8Array }> {
  const token = await chooseToken(context, uri);
  const id = requiredPlace(token, options);
  refuseLabelOnPiv(token, options.label);
  return { session: await TokenSession.open(context, token, uri), id };
}

/**
 * Has the key with a CKA_ID sign; the PIN is asked for when the card wants it.
 * @throws {NotFoundError} if there is no such key; {@link CertificateError} if it signs nothing.
 */
export async function certificateSigner(session: TokenSession, id: Uint8Array): Promise<CertificateSigner> {
  const { spki, signs } = await requireCurrentKey(session, id);
  const publicKey = parsePublicKey(spki);
  const name = placeName(session.token, id);
  const algorithm = signatureAlgorithmOf(publicKey, name);
  if (signs) {
    const pin = async (): Promise<Uint8Array> => copySecret(await judgedPin(session));
    const { cryptoki, handle } = session;
    if (publicKey.type === "ec" && !(await offersEcdsa(session))) throw signsOtherwise(name, algorithm);
    return orCryptokiError(tokenSigner({ cryptoki, session: handle, id, algorithm, pin }));
  }
  // The key in 9D agrees on secrets (SP 800-73-4 part 1 table 5). YubiKeys sign with it too, and so it can have a request of its own.
  const isManagementKey = referenceOf(session.token, id) !== undefined && session.context.options.server === undefined;
  if (publicKey.type !== "ec" || !isManagementKey) throw agreesOnly(name);
  return primitiveSigner(publicKey, (digest) => signOnCard(session, id, digest));
}

const judged = new WeakSet<TokenSession>();

/** The user's PIN. Says once that it is a new card's, where cards come with one that everybody knows. */
async function judgedPin(session: TokenSession): Promise<Uint8Array> {
  const pin = await session.pin();
  const isPiv = referenceOf(session.token, Uint8Array.of(1)) !== undefined;
  if (isPiv && !judged.has(session)) warnOfFactoryPin(session.context, pin);
  judged.add(session);
  return pin;
}

export const agreesOnly = (name: string, cause?: unknown): CertificateError =>
  new CertificateError("CANNOT_SIGN", `the key in ${name} is for agreeing on secrets: the card does not sign with it`, {
    cause,
  });

/** Mechanisms with which an EC key signs for X.509. Some cards hash by themselves, with SHA-1 only. */
const ECDSA: readonly number[] = [CKM.ECDSA, CKM.ECDSA_SHA256, CKM.ECDSA_SHA384, CKM.ECDSA_SHA512];

async function offersEcdsa({ cryptoki, token }: TokenSession): Promise<boolean> {
  // Every PIV card does.
  if (referenceOf(token, Uint8Array.of(1)) !== undefined) return true;
  const offered = await cryptoki.C_GetMechanismList(token.slotID);
  return ECDSA.some((mechanism) => offered.includes(mechanism));
}

const signsOtherwise = (name: string, { name: algorithm, hash }: CertificateSigner["algorithm"]): CertificateError =>
  new CertificateError(
    "CANNOT_SIGN",
    `the card does not sign with ${algorithm} and ${hash} with the key in ${name}, as requests and certificates need it; make a key of ` +
      "another type (cryptoki mechanisms lists what the card can do)",
  );

/** Uses a key by the card's own command. The PIN is asked for where the key wants it. */
export async function useOnCard(
  session: TokenSession,
  cardToken: CardToken,
  key: CardPrivateKey,
  primitive: KeyPrimitive,
  input: Uint8Array,
): Promise<Uint8Array> {
  const { signal } = session.context;
  if (key.alwaysAuthenticate && cardToken.authenticate) {
    await using use = await cardToken.authenticate(key, await judgedPin(session), { signal });
    return await use.use(primitive, input, { signal });
  }
  if (key.needsLogin) await cardToken.login("user", await judgedPin(session), { signal });
  return await cardToken.use(key, primitive, input, { signal });
}

/** Signs with the card's own command, which asks for no CKA_SIGN. */
async function signOnCard(session: TokenSession, id: Uint8Array, digest: Uint8Array): Promise<Uint8Array> {
  const { context, token } = session;
  const all = await listTokens(context);
  const here = all.find(({ slotID }) => slotID === token.slotID) ?? token;
  return onCardToken(context, here, all.includes(here) ? all : [here], async (cardToken) => {
    const key = await requirePrivateKey(token, cardToken, id);
    try {
      return await useOnCard(session, cardToken, key, "ecdsa", digest);
    } catch (error) {
      // Cards of the standard refuse the data: they want another party's point with this key.
      const isRefused = error instanceof StatusError && error.sw === SW.WRONG_DATA;
      if (isRefused || error instanceof UnsupportedError) throw agreesOnly(placeName(token, id), error);
      throw error;
    }
  });
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

/** Ends the login, if there is one: the card may want another user next. */
export async function endLogin(session: TokenSession): Promise<void> {
  try {
    await session.cryptoki.C_Logout(session.handle);
  } catch (error) {
    if (!(error instanceof CryptokiError && error.rv === CKR.USER_NOT_LOGGED_IN)) throw error;
  }
}
