import { toHex } from "../bytes/index.ts";
import { type CK_OBJECT_HANDLE, type CK_SESSION_HANDLE, CKA, CryptokiError, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenError } from "./error.ts";

/** An object whose place a new one takes. */
interface Former {
  readonly handle: CK_OBJECT_HANDLE;
  /** CKA_UNIQUE_ID, where the token has it. */
  readonly unique: string | undefined;
}

/** What a write needs of the token, in one session. */
export interface WriteSession {
  readonly access: TokenAccess;
  readonly session: CK_SESSION_HANDLE;
  readonly signal: AbortSignal | undefined;
}

async function formersOf(it: WriteSession, templates: readonly Template[]): Promise<Former[]> {
  const { access, session, signal } = it;
  const found: Former[] = [];
  for (const template of templates) {
    for (const handle of await access.find(session, template, signal)) {
      found.push({ handle, unique: await uniqueIdOf(it, handle) });
    }
  }
  return found;
}

async function uniqueIdOf({ access, session }: WriteSession, handle: CK_OBJECT_HANDLE): Promise<string | undefined> {
  try {
    const { [CKA.UNIQUE_ID]: unique } = await access.known(session, handle, [CKA.UNIQUE_ID]);
    return unique === "" ? undefined : unique;
  } catch (error) {
    // The security officer does not see the private key that was just written.
    if (error instanceof CryptokiError && error.is("CKR_OBJECT_HANDLE_INVALID")) return undefined;
    throw error;
  }
}

/**
 * Makes objects where others may be. On some cards the new ones take the place of the others; on others both are there, and the others are
 * deleted afterwards. If that fails, the new ones are deleted instead.
 * @param inTheWay Templates of the objects that the new ones replace; the private key first.
 * @param make Makes them, whole or not at all.
 * @throws {TokenError} OBJECT_EXISTS if there are any, and they must not be replaced.
 */
export async function replacing<T extends readonly CK_OBJECT_HANDLE[]>(
  it: WriteSession,
  inTheWay: readonly Template[],
  replace: boolean | undefined,
  make: () => Promise<T>,
): Promise<T> {
  const { access, session } = it;
  const formers = await formersOf(it, inTheWay);
  if (formers.length > 0 && replace !== true) throw objectExists(inTheWay);
  const made = await make();
  if (formers.length === 0) return made;
  const uniques = new Set(await Promise.all(made.map((handle) => uniqueIdOf(it, handle))));
  const others = formers.filter(
    ({ handle, unique }) => !made.includes(handle) && (unique === undefined || !uniques.has(unique)),
  );
  try {
    for (const { handle } of others) await destroy(it, handle);
  } catch (error) {
    for (const handle of made) await access.cryptoki.C_DestroyObject(session, handle).catch(() => undefined);
    throw error;
  }
  return made;
}

function objectExists([template]: readonly Template[]): TokenError {
  const id = template?.[CKA.ID];
  const name = id ? `with the CKA_ID ${toHex(id)}` : "with this name";
  return new TokenError("OBJECT_EXISTS", `there is an object ${name} on the token; { replace: true } overwrites it`);
}

/** Deletes an object that may have ended with another one. */
async function destroy({ access, session, signal }: WriteSession, handle: CK_OBJECT_HANDLE): Promise<void> {
  try {
    await access.cryptoki.C_DestroyObject(session, handle, { signal });
  } catch (error) {
    if (!(error instanceof CryptokiError && error.is("CKR_OBJECT_HANDLE_INVALID"))) throw error;
  }
}
