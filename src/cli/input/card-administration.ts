import { equalBytes, wipe } from "../../bytes/index.ts";
import type { CardPrivateKey, CardToken } from "../../card/index.ts";
import type { CommandContext } from "../context.ts";
import { NotFoundError, UnsuitableCardError, UsageError } from "../output/failures.ts";
import { visible } from "../output/printer.ts";
import { type OfficerOptions, SO_PIN } from "../session.ts";
import { placeName } from "./key-place.ts";
import { warnOfKnownKey } from "./officer.ts";
import { readPin, secret } from "./pin.ts";
import { listTokens, onCardToken, onlyToken, selectTokens, noToken, type Token } from "./token.ts";

/** A token that is administered by what PKCS #11 has no function for. */
export interface AdministeredToken {
  readonly token: Token;
  /** Runs `work` with the token of the card. */
  readonly run: <T>(work: (cardToken: CardToken) => Promise<T>) => Promise<T>;
}

/**
 * The token to use, as {@link chooseToken} chooses it.
 * @throws {UsageError} with --server, which reaches no card.
 */
export async function administeredToken(context: CommandContext, uri?: string): Promise<AdministeredToken> {
  if (context.options.server !== undefined)
    throw new UsageError("--server reaches tokens, and no cards; use the card's own reader");
  const all = await listTokens(context);
  const fitting = await selectTokens(context, all, uri);
  if (fitting.length === 0) throw await noToken(context, uri);
  const token = await onlyToken(context, fitting);
  return { token, run: (work) => onCardToken(context, token, all, work) };
}

/** The method of a token that not every card has. @throws {UnsuitableCardError} if this one has not. */
export function requireMethod<Name extends keyof CardToken>(
  token: CardToken,
  name: Name,
  what: string,
): NonNullable<CardToken[Name]> {
  const method = token[name];
  if (method === undefined) throw new UnsuitableCardError(`this card does not ${what}`);
  return (typeof method === "function" ? (method.bind(token) as CardToken[Name]) : method) as NonNullable<
    CardToken[Name]
  >;
}

/** Asks for the officer's PIN or management key, and logs in. */
export async function logInOfficer(
  context: CommandContext,
  token: Token,
  cardToken: CardToken,
  { soPinSource }: OfficerOptions,
): Promise<void> {
  const question = `SO PIN or management key of ${visible(token.label)}`;
  const pin = await readPin(secret(SO_PIN, question, soPinSource), context.environment);
  try {
    await cardToken.login("so", pin, { signal: context.signal });
    warnOfKnownKey(context, pin);
  } finally {
    wipe(pin);
  }
}

/** The private key with a CKA_ID. @throws {NotFoundError} if there is none. */
export async function requirePrivateKey(token: Token, cardToken: CardToken, id: Uint8Array): Promise<CardPrivateKey> {
  const found = await findPrivateKey(cardToken, id);
  if (found) return found;
  throw new NotFoundError(`there is no key in ${placeName(token, id)}; see them with: cryptoki key list`);
}

/** The private key with a CKA_ID, if it is on the card. */
export async function findPrivateKey(cardToken: CardToken, id: Uint8Array): Promise<CardPrivateKey | undefined> {
  for (const object of await cardToken.objects(["private-key"])) {
    if (object.class !== "private-key" || !equalBytes(object.id, id)) continue;
    if (await object.isPresent({ explicitlyRequested: true })) return object;
  }
  return undefined;
}
