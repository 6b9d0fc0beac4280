import { CKF_TOKEN } from "../cryptoki/index.ts";
import type { CommandContext } from "./context.ts";
import { namesObject, searchTemplate, type Selection, withoutType } from "./selection.ts";
import { TokenSession } from "./session.ts";
import { fittingTokens, onlyToken, type Token } from "./token.ts";

/**
 * A session with the token to use: the one that the URI or --token describes, the only one, or the only one of several
 * that shows an object of the name that is wanted. A card with two PINs is two tokens, and `--id 01` is on one of them.
 * @throws {NotFoundError} if there is none; {@link UsageError} if there are several.
 */
export async function openSessionFor(
  context: CommandContext,
  selection: Selection,
  uri?: string,
  access?: number,
): Promise<TokenSession> {
  const fitting = await fittingTokens(context, uri);
  // A token that is not initialised, such as SoftHSM's free slot, holds nothing that could be meant.
  const initialised = fitting.filter(({ flags }) => (flags & CKF_TOKEN.TOKEN_INITIALIZED) !== 0);
  const tokens = initialised.length > 0 ? initialised : fitting;
  const open = (token: Token): Promise<TokenSession> => TokenSession.open(context, token, uri, access);
  if (tokens.length === 1 || !namesObject(selection)) return open(onlyToken(tokens));
  const search = searchTemplate(withoutType(selection));
  const holders: TokenSession[] = [];
  for (const token of tokens) {
    const session = await open(token);
    if ((await session.find(search)).length > 0) holders.push(session);
  }
  const [first, ...more] = holders;
  if (first && more.length === 0) return first;
  if (first) return open(onlyToken(holders.map(({ token }) => token)));
  // What shows only after login may be on any of them.
  return open(onlyToken(tokens, `none of ${tokens.length} tokens shows that object before login`));
}
