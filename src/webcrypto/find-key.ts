import type { PublicKey } from "../crypto/index.ts";
import { CKA, CKO, type Template } from "../cryptoki/index.ts";
import { refusal } from "./error.ts";
import type { KeyAbilities } from "./key-algorithm.ts";
import { publicHalf } from "./public-half.ts";
import { StoredKey } from "./stored-key.ts";
import type { TokenSession } from "./token-session.ts";

/** A private key, found and described. */
export interface FoundKey {
  readonly stored: StoredKey;
  readonly publicKey: PublicKey;
  readonly abilities: KeyAbilities;
}

const FACTS = [CKA.ID, CKA.LABEL, CKA.KEY_TYPE, CKA.PRIVATE, CKA.SIGN, CKA.DECRYPT, CKA.DERIVE];

/**
 * The only private key that fits.
 * @throws {DOMException} NotFoundError if none does; DataError if several do.
 */
export async function findKey(session: TokenSession, template: Template): Promise<FoundKey> {
  const handle = await findHandle(session, template);
  const known = await session.known(handle, FACTS);
  const { [CKA.ID]: id = new Uint8Array(), [CKA.LABEL]: label = "", [CKA.KEY_TYPE]: keyType } = known;
  const again: Template = {
    [CKA.CLASS]: CKO.PRIVATE_KEY,
    ...(keyType !== undefined && { [CKA.KEY_TYPE]: keyType }),
    [CKA.ID]: id,
    [CKA.LABEL]: label,
  };
  return {
    stored: new StoredKey(session, handle, { label, template: again, private: known[CKA.PRIVATE] ?? true }),
    publicKey: await publicHalf(session, handle, id),
    abilities: {
      sign: known[CKA.SIGN] ?? false,
      decrypt: known[CKA.DECRYPT] ?? false,
      derive: known[CKA.DERIVE] ?? false,
    },
  };
}

/** The only public key that fits. @throws {DOMException} as {@link findKey}. */
export async function findPublicKey(
  session: TokenSession,
  template: Template,
): Promise<Pick<FoundKey, "publicKey" | "abilities">> {
  const handle = only(await session.find(template), "public");
  const known = await session.known(handle, [CKA.ID, CKA.VERIFY, CKA.ENCRYPT]);
  const { [CKA.ID]: id = new Uint8Array(), [CKA.VERIFY]: sign = false, [CKA.ENCRYPT]: decrypt = false } = known;
  return { publicKey: await publicHalf(session, handle, id), abilities: { sign, decrypt, derive: true } };
}

/** What is seen without a PIN is not asked a PIN for. */
async function findHandle(session: TokenSession, template: Template): Promise<number> {
  const found = await session.find(template);
  if (found.length > 0 || !session.pins.canAsk || (await session.pins.isLoggedIn())) return only(found, "private");
  await session.pins.login();
  return only(await session.find(template), "private");
}

function only(found: readonly number[], what: string): number {
  const [one, ...others] = found;
  if (one === undefined) throw refusal("NotFoundError", `no such ${what} key on the token`);
  if (others.length > 0) throw refusal("DataError", `${found.length} ${what} keys fit; name one by its id or label`);
  return one;
}
