import { wipe } from "../bytes/index.ts";
import { type HostPrivateKey, randomBytes } from "../crypto/index.ts";
import {
  type CK_OBJECT_HANDLE,
  type CK_SESSION_HANDLE,
  CKA,
  CKO,
  CKR,
  CryptokiError,
  mechanismOf,
  type Template,
} from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenError } from "./error.ts";
import { privateKeyAttributes, publicKeyAttributes } from "./key-material.ts";
import { type CheckedKey, generation, keyTemplates, listOf } from "./new-key.ts";
import { replacing, type WriteSession } from "./replacing.ts";
import type { Writer } from "./writer.ts";

/** CKA_ID of a key without one is random, of so many bytes. */
const ID_LENGTH = 8;

const randomId = (): Uint8Array => randomBytes(ID_LENGTH);

/** The objects that a key with this CKA_ID has: the private key first. */
const keysWith = (id: Uint8Array | undefined): Template[] =>
  id ? [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY].map((objectClass) => ({ [CKA.CLASS]: objectClass, [CKA.ID]: id })) : [];

/** A key that is on the token now. */
export interface WrittenKey {
  readonly id: Uint8Array;
  readonly label: string;
  /** CKA_UNIQUE_ID, where the token has it. */
  readonly unique: string;
}

async function described(
  access: TokenAccess,
  session: CK_SESSION_HANDLE,
  handle: CK_OBJECT_HANDLE,
  id: Uint8Array | undefined,
): Promise<WrittenKey> {
  const known = await access.known(session, handle, [CKA.ID, CKA.LABEL, CKA.UNIQUE_ID]);
  const { [CKA.ID]: own, [CKA.LABEL]: label = "", [CKA.UNIQUE_ID]: unique = "" } = known;
  return { id: own ?? id ?? new Uint8Array(), label, unique };
}

/** Has the token make a key pair. */
export async function generateKey(
  access: TokenAccess,
  writer: Writer,
  key: CheckedKey,
  signal?: AbortSignal,
): Promise<WrittenKey> {
  const { mechanism, parameters } = generation(key.algorithm);
  const token = await access.run(() => access.description(signal), signal);
  const { id, privateKey, publicKey } = keyTemplates(key, token, randomId);
  return writer.write(async (session) => {
    const [made] = await replacing({ access, session, signal }, keysWith(id), key.replace, async () => {
      const pair = await access.cryptoki.C_GenerateKeyPair(
        session,
        mechanismOf(mechanism),
        { ...publicKey, ...parameters },
        privateKey,
        { signal },
      );
      return [pair.publicKey, pair.privateKey] as const;
    });
    return described(access, session, made, id);
  }, signal);
}

/** Writes a private key to the token, and its public half if the token does not show that by itself. */
export async function importKey(
  access: TokenAccess,
  writer: Writer,
  key: CheckedKey & { readonly material: HostPrivateKey },
  signal?: AbortSignal,
): Promise<WrittenKey> {
  const token = await access.run(() => access.description(signal), signal);
  const { id, privateKey, publicKey } = keyTemplates(key, token, randomId);
  const { template, secrets } = privateKeyAttributes(key.material);
  const publicHalf = { ...publicKey, ...publicKeyAttributes(key.material.publicKey) };
  try {
    return await writer.write(async (session) => {
      const make = async (): Promise<readonly [CK_OBJECT_HANDLE, CK_OBJECT_HANDLE]> => {
        const { cryptoki } = access;
        const made = await cryptoki.C_CreateObject(session, [...listOf(template), ...privateKey], { signal });
        try {
          const own = await shownHalf(access, session, id, publicHalf);
          return [made, own ?? (await cryptoki.C_CreateObject(session, publicHalf, { signal }))];
        } catch (error) {
          await cryptoki.C_DestroyObject(session, made).catch(() => undefined);
          throw error;
        }
      };
      const [, shown] = await replacing({ access, session, signal }, keysWith(id), key.replace, make);
      // The security officer sees the public half only.
      return described(access, session, shown, id);
    }, signal);
  } finally {
    wipe(...secrets);
  }
}

/** The public key object that a token shows for a key which was just written, if it does. */
async function shownHalf(
  access: TokenAccess,
  session: CK_SESSION_HANDLE,
  id: Uint8Array | undefined,
  publicKey: Template,
): Promise<CK_OBJECT_HANDLE | undefined> {
  const { [CKA.MODULUS]: modulus, [CKA.EC_POINT]: point } = publicKey;
  const numbers = { ...(modulus && { [CKA.MODULUS]: modulus }), ...(point && { [CKA.EC_POINT]: point }) };
  const [found] = await access.find(session, {
    [CKA.CLASS]: CKO.PUBLIC_KEY,
    ...(id && { [CKA.ID]: id }),
    ...numbers,
  });
  return found;
}

/** A key as its deletion needs it. */
export interface DeletableKey {
  readonly name: string;
  /** Handles of its objects of a class. */
  objects(session: CK_SESSION_HANDLE, objectClass: number, signal?: AbortSignal): Promise<CK_OBJECT_HANDLE[]>;
}

/** Deletes a private key and its public half; the certificate stays. */
export function deleteKey(access: TokenAccess, writer: Writer, key: DeletableKey, signal?: AbortSignal): Promise<void> {
  const { cryptoki } = access;
  return writer.write(async (session) => {
    const [privateKey, ...others] = await key.objects(session, CKO.PRIVATE_KEY, signal);
    if (others.length > 0) throw new TokenError("SEVERAL_OBJECTS", `several private keys are ${key.name}`);
    if (privateKey !== undefined) await cryptoki.C_DestroyObject(session, privateKey, { signal });
    else await deleteByPublicHalf({ access, session, signal }, writer, key);
    for (const handle of await key.objects(session, CKO.PUBLIC_KEY)) {
      // That of a card which shows it only with its private key has ended, or cannot be deleted.
      const { [CKA.DESTROYABLE]: destroyable } = await access.known(session, handle, [CKA.DESTROYABLE]);
      if (destroyable !== false) await cryptoki.C_DestroyObject(session, handle).catch(() => undefined);
    }
  }, signal);
}

/** The security officer, and a user before the login, see the public half only. */
async function deleteByPublicHalf(
  { access, session, signal }: WriteSession,
  writer: Writer,
  key: DeletableKey,
): Promise<void> {
  const [publicKey] = await key.objects(session, CKO.PUBLIC_KEY, signal);
  try {
    if (publicKey !== undefined) {
      await access.cryptoki.C_DestroyPrivateKey(session, publicKey, { signal });
      return;
    }
  } catch (error) {
    const isUnknown = error instanceof CryptokiError && error.is("CKR_FUNCTION_NOT_SUPPORTED");
    if (!isUnknown || !writer.asksUser) throw error;
  }
  if (!(await access.login.isLoggedIn())) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
  throw new TokenError("NO_OBJECT", `there is no private key for ${key.name} on the token`);
}
