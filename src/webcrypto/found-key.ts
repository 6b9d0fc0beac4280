import { wipe } from "../bytes/index.ts";
import { encodePublicKey, type PublicKey, withoutLimits } from "../crypto/index.ts";
import { CKA, type CK_OBJECT_HANDLE, publicHalfOf, type Template } from "../cryptoki/index.ts";
import { Key, type TokenAccess } from "../tokens/parts.ts";
import { type KeyAbilities, type TokenKeyAlgorithm, usagesOf } from "./algorithms.ts";
import { type CryptoKey, hostSubtle, refusal } from "./platform.ts";

/** A private key, found and described. */
export interface FoundKey {
  readonly key: Key;
  readonly publicKey: PublicKey;
  readonly abilities: KeyAbilities;
}

/** Handles of the objects that match. */
export function findObjects(access: TokenAccess, template: Template): Promise<CK_OBJECT_HANDLE[]> {
  return access.inSession((session) => access.find(session, template));
}

/** Those of the attributes that an object has and shows. */
export function knownOf(access: TokenAccess, object: CK_OBJECT_HANDLE, types: readonly number[]): Promise<Template> {
  return access.inSession((session) => access.known(session, object, types));
}

/** Asks for the PIN, if there is a way to, and logs the user in. */
export function logIn(access: TokenAccess): Promise<void> {
  if (!access.login.canAsk) return Promise.resolve();
  return access.asUser(async () => {
    const pin = await access.login.ensure(undefined);
    if (pin) wipe(pin);
  });
}

/**
 * Finds the only private key that matches. Asks for the PIN only if the object is not visible without it.
 * @throws {DOMException} NotFoundError if none does; DataError if several do.
 */
export async function findKey(access: TokenAccess, template: Template): Promise<FoundKey> {
  let found = await findObjects(access, template);
  if (found.length === 0 && !(await access.run(() => access.login.isLoggedIn()))) {
    await logIn(access);
    found = await findObjects(access, template);
  }
  const handle = only(found, "private");
  const known = await knownOf(access, handle, [CKA.ID, CKA.LABEL, CKA.SIGN, CKA.DECRYPT, CKA.DERIVE]);
  const { [CKA.ID]: id = new Uint8Array(), [CKA.LABEL]: label = "" } = known;
  return {
    key: new Key(access, id, label, undefined),
    publicKey: await publicHalf(access, handle, id),
    abilities: {
      sign: known[CKA.SIGN] ?? false,
      decrypt: known[CKA.DECRYPT] ?? false,
      derive: known[CKA.DERIVE] ?? false,
    },
  };
}

/** Finds the only public key that matches. @throws {DOMException} as {@link findKey}. */
export async function findPublicKey(
  access: TokenAccess,
  template: Template,
): Promise<Pick<FoundKey, "publicKey" | "abilities">> {
  const handle = only(await findObjects(access, template), "public");
  const known = await knownOf(access, handle, [CKA.ID, CKA.VERIFY, CKA.ENCRYPT]);
  const { [CKA.ID]: id = new Uint8Array() } = known;
  const { [CKA.VERIFY]: sign = false, [CKA.ENCRYPT]: decrypt = false } = known;
  return { publicKey: await publicHalf(access, handle, id), abilities: { sign, decrypt, derive: true } };
}

/** The public half by the object itself, if it tells it: a certificate may be of an earlier key. */
async function publicHalf(access: TokenAccess, object: CK_OBJECT_HANDLE, id: Uint8Array): Promise<PublicKey> {
  const source = {
    find: (template: Template) => findObjects(access, template),
    known: (each: CK_OBJECT_HANDLE, types: readonly number[]) => knownOf(access, each, types),
  };
  const found = await publicHalfOf(source, object, id);
  if (found) return found;
  throw refusal("NotFoundError", "the token has neither a public key nor a certificate with the key's CKA_ID");
}

function only(found: readonly CK_OBJECT_HANDLE[], what: string): CK_OBJECT_HANDLE {
  const [one, ...others] = found;
  if (one === undefined) throw refusal("NotFoundError", `no such ${what} key on the token`);
  if (others.length > 0)
    throw refusal("DataError", `${found.length} ${what} keys match; choose one by its id or label`);
  return one;
}

/** Imports a public key into the host, for an algorithm. */
export function hostPublicKey(key: PublicKey, algorithm: TokenKeyAlgorithm): Promise<CryptoKey> {
  const spki = encodePublicKey(withoutLimits(key));
  return hostSubtle.importKey("spki", spki, algorithm, true, usagesOf(algorithm.name, "publicUsages"));
}
