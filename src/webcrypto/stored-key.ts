import { encodePublicKey, type PublicKey, withoutLimits } from "../crypto/index.ts";
import {
  type CK_MECHANISM,
  CKA,
  CKF_MECHANISM,
  CKO,
  CKR,
  CryptokiError,
  publicHalfOf,
  type Template,
} from "../cryptoki/index.ts";
import { type KeyAbilities, type TokenKeyAlgorithm, usagesOf } from "./algorithms.ts";
import { type CryptoKey, hostSubtle, refusal } from "./platform.ts";
import type { TokenSession } from "./token-session.ts";

/** What finding and using a private key of a token takes. */
export interface StoredKeyFacts {
  readonly label: string;
  /** Fits this key and no other of the token. */
  readonly template: Template;
  /** CKA_PRIVATE: nobody sees it who is not logged in. */
  readonly private: boolean;
}

/** An operation of two calls: `begin` names the key, `end` has the token compute. */
interface Operation {
  readonly flag: number;
  readonly begin: (key: number) => Promise<void>;
  readonly end: () => Promise<Uint8Array>;
}

/** A login that the token has forgotten, and handles that ended with it. */
const FORGOTTEN: ReadonlySet<number> = new Set([
  CKR.USER_NOT_LOGGED_IN,
  CKR.KEY_HANDLE_INVALID,
  CKR.OBJECT_HANDLE_INVALID,
]);

/** A private key on a token, and the PINs that it wants. */
export class StoredKey {
  readonly session: TokenSession;
  readonly #facts: StoredKeyFacts;
  #handle: number;
  /** The login that the handle is of. */
  #login: number;
  /** CKA_ALWAYS_AUTHENTICATE, once it is known. */
  #alwaysAuthenticate: boolean | undefined;

  constructor(session: TokenSession, handle: number, facts: StoredKeyFacts) {
    this.session = session;
    this.#handle = handle;
    this.#login = session.pins.logins;
    this.#facts = facts;
  }

  sign(mechanism: CK_MECHANISM, data: Uint8Array): Promise<Uint8Array> {
    const { cryptoki, handle } = this.session;
    return this.#operate({
      flag: CKF_MECHANISM.SIGN,
      begin: (key) => cryptoki.C_SignInit(handle, mechanism, key),
      end: () => cryptoki.C_Sign(handle, data),
    });
  }

  decrypt(mechanism: CK_MECHANISM, ciphertext: Uint8Array): Promise<Uint8Array> {
    const { cryptoki, handle } = this.session;
    return this.#operate({
      flag: CKF_MECHANISM.DECRYPT,
      begin: (key) => cryptoki.C_DecryptInit(handle, mechanism, key),
      end: () => cryptoki.C_Decrypt(handle, ciphertext),
    });
  }

  #operate(operation: Operation): Promise<Uint8Array> {
    return this.use(async (key) => {
      // Asked when the key is used first, since an officer who has it made cannot see it.
      this.#alwaysAuthenticate ??= await this.#wantsPin(key);
      await operation.begin(key);
      if (this.#alwaysAuthenticate) await this.#authenticate(operation);
      return operation.end();
    });
  }

  async #wantsPin(key: number): Promise<boolean> {
    const known = await this.session.known(key, [CKA.ALWAYS_AUTHENTICATE]);
    return known[CKA.ALWAYS_AUTHENTICATE] ?? false;
  }

  async #authenticate({ flag, end }: Operation): Promise<void> {
    const { cryptoki, handle, pins } = this.session;
    try {
      await pins.authenticate(this.#facts.label);
    } catch (error) {
      // The operation must not stand in the way of the next. A module before PKCS#11 3.0 ends it by refusing to go on.
      await cryptoki.C_SessionCancel(handle, flag).catch(() => end().catch(() => undefined));
      throw error;
    }
  }

  /** Has the session to itself, and the user logged in where the key wants that. A login that was forgotten is made again, once. */
  async use<T>(work: (key: number) => Promise<T>): Promise<T> {
    try {
      return await this.#useOnce(work, false);
    } catch (error) {
      if (!(error instanceof CryptokiError && FORGOTTEN.has(error.rv))) throw error;
      if (await this.session.pins.isOfficer()) {
        const advice = "the security officer is logged in, who uses no private keys; log out, and in as user";
        throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, advice, { cause: error });
      }
      return this.#useOnce(work, true);
    }
  }

  async #useOnce<T>(work: (key: number) => Promise<T>, forgotten: boolean): Promise<T> {
    const { session } = this;
    const { pins } = session;
    if (forgotten || this.#facts.private) await pins.login(this.#facts.label);
    return session.exclusively(async () => {
      // A handle of a private object ends with the login, and a module may give its number to another object.
      if (forgotten || (this.#facts.private && this.#login !== pins.logins)) await this.#findAgain();
      return work(this.#handle);
    });
  }

  async #findAgain(): Promise<void> {
    const { logins } = this.session.pins;
    const [handle, ...others] = await this.session.findInTurn(this.#facts.template);
    if (handle === undefined || others.length > 0) {
      throw refusal("OperationError", `the key "${this.#facts.label}" is not on the token any more, or not alone`);
    }
    this.#handle = handle;
    this.#login = logins;
  }
}

/**
 * The public half of a key object, as publicHalfOf finds it.
 * @throws {DOMException} NotFoundError if nothing tells it.
 */
export async function publicHalf(session: TokenSession, object: number, id: Uint8Array): Promise<PublicKey> {
  const found = await publicHalfOf(session, object, id);
  if (found) return found;
  throw refusal("NotFoundError", "neither a public key nor a certificate with the key's CKA_ID is on the token");
}

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

/** A public key as a key of the host's, for an algorithm. */
export function hostPublicKey(key: PublicKey, algorithm: TokenKeyAlgorithm): Promise<CryptoKey> {
  const spki = encodePublicKey(withoutLimits(key));
  return hostSubtle.importKey("spki", spki, algorithm, true, usagesOf(algorithm.name, "publicUsages"));
}
