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

/** The data for finding and using a private key of a token. */
export interface StoredKeyFacts {
  readonly label: string;
  /** A template that matches only this key of the token. */
  readonly template: Template;
  /** CKA_PRIVATE: the object is visible only after login. */
  readonly private: boolean;
}

/** An operation of two calls: `begin` names the key, `end` makes the token compute. */
interface Operation {
  readonly flag: number;
  readonly begin: (key: number) => Promise<void>;
  readonly end: () => Promise<Uint8Array>;
}

/** Errors of a token that has lost its login, or of handles that ended with it. */
const FORGOTTEN: ReadonlySet<number> = new Set([
  CKR.USER_NOT_LOGGED_IN,
  CKR.KEY_HANDLE_INVALID,
  CKR.OBJECT_HANDLE_INVALID,
]);

/** A private key on a token, with the logins that it needs. */
export class StoredKey {
  readonly session: TokenSession;
  readonly #facts: StoredKeyFacts;
  #handle: number;
  /** The login during which the handle was found. */
  #login: number;
  /** CKA_ALWAYS_AUTHENTICATE; undefined until it was read. */
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
      // Reads it at the first use: a security officer, who may have generated the key, cannot see it.
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
      // Ends the operation, so that the next one can begin. A module before PKCS#11 3.0 ends it when a further call
      // fails.
      await cryptoki.C_SessionCancel(handle, flag).catch(() => end().catch(() => undefined));
      throw error;
    }
  }

  /** Runs `work` alone in the session, with the user logged in if the key needs that. Repeats a lost login once. */
  async use<T>(work: (key: number) => Promise<T>): Promise<T> {
    try {
      return await this.#useOnce(work, false);
    } catch (error) {
      if (!(error instanceof CryptokiError && FORGOTTEN.has(error.rv))) throw error;
      if (await this.session.pins.isOfficer()) {
        const advice = "the security officer is logged in and cannot use private keys; log out, then log in as user";
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
      // The handle of a private object ends with the login, and a module may give its number to another object.
      if (forgotten || (this.#facts.private && this.#login !== pins.logins)) await this.#findAgain();
      return work(this.#handle);
    });
  }

  async #findAgain(): Promise<void> {
    const { logins } = this.session.pins;
    const [handle, ...others] = await this.session.findInTurn(this.#facts.template);
    if (handle === undefined || others.length > 0) {
      throw refusal(
        "OperationError",
        `the key "${this.#facts.label}" has been deleted from the token, or another key matches too`,
      );
    }
    this.#handle = handle;
    this.#login = logins;
  }
}

/**
 * The public half of a key object, found by publicHalfOf.
 * @throws {DOMException} NotFoundError if the token has none.
 */
export async function publicHalf(session: TokenSession, object: number, id: Uint8Array): Promise<PublicKey> {
  const found = await publicHalfOf(session, object, id);
  if (found) return found;
  throw refusal("NotFoundError", "the token has neither a public key nor a certificate with the key's CKA_ID");
}

/** A private key, found and described. */
export interface FoundKey {
  readonly stored: StoredKey;
  readonly publicKey: PublicKey;
  readonly abilities: KeyAbilities;
}

const FACTS = [CKA.ID, CKA.LABEL, CKA.KEY_TYPE, CKA.PRIVATE, CKA.SIGN, CKA.DECRYPT, CKA.DERIVE];

/**
 * Finds the only private key that matches.
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

/** Finds the only public key that matches. @throws {DOMException} as {@link findKey}. */
export async function findPublicKey(
  session: TokenSession,
  template: Template,
): Promise<Pick<FoundKey, "publicKey" | "abilities">> {
  const handle = only(await session.find(template), "public");
  const known = await session.known(handle, [CKA.ID, CKA.VERIFY, CKA.ENCRYPT]);
  const { [CKA.ID]: id = new Uint8Array(), [CKA.VERIFY]: sign = false, [CKA.ENCRYPT]: decrypt = false } = known;
  return { publicKey: await publicHalf(session, handle, id), abilities: { sign, decrypt, derive: true } };
}

/** Asks for the PIN only if the object is not visible without it. */
async function findHandle(session: TokenSession, template: Template): Promise<number> {
  const found = await session.find(template);
  if (found.length > 0 || !session.pins.canAsk || (await session.pins.isLoggedIn())) return only(found, "private");
  await session.pins.login();
  return only(await session.find(template), "private");
}

function only(found: readonly number[], what: string): number {
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
