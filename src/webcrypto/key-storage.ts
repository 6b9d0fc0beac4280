import { encodePublicKey, type PublicKey } from "../crypto/index.ts";
import { CKA, CKO, formatUri, objectUri, type Template } from "../cryptoki/index.ts";
import { refusal, refusing } from "./error.ts";
import { hostSubtle } from "./host.ts";
import {
  algorithmNamed,
  type KeyAbilities,
  keyAlgorithm,
  keyTypeFor,
  type TokenKeyAlgorithm,
  usagesOf,
} from "./key-algorithm.ts";
import { keyTemplate, type ObjectQuery } from "./key-query.ts";
import { publicHalf } from "./public-half.ts";
import { StoredKey } from "./stored-key.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";
import type { TokenSession } from "./token-session.ts";
import type { AlgorithmIdentifier, CryptoKey, CryptoKeyPair } from "./types.ts";

/** A key that is on the token. */
export interface KeyEntry {
  readonly type: "private" | "public";
  /** CKA_ID. */
  readonly id: Uint8Array;
  /** CKA_LABEL. */
  readonly label: string;
  /** The PKCS #11 URI of this key on this token. */
  readonly uri: string;
}

/** Which key is meant, and what for. */
export interface KeyQuery extends ObjectQuery {
  /**
   * The algorithm to use it with: `"ECDH"`, `{ name: "RSA-PSS", hash: "SHA-384" }`. Without it RSASSA-PKCS1-v1_5 or RSA-OAEP with
   * SHA-256, ECDSA or ECDH, Ed25519, X25519: the first that the key is meant for.
   */
  readonly algorithm?:
    (AlgorithmIdentifier & { readonly hash?: AlgorithmIdentifier; readonly namedCurve?: string }) | string;
}

/** A private key, found and described. */
interface Described {
  readonly stored: StoredKey;
  readonly publicKey: PublicKey;
  readonly abilities: KeyAbilities;
}

/** The keys on a token. */
export class KeyStorage {
  readonly #session: TokenSession;

  constructor(session: TokenSession) {
    this.#session = session;
  }

  /**
   * The private keys, and the public keys, that are on the token. Private keys are shown to who is logged in, so the PIN is asked for
   * if there is a way to ask. No key is read.
   */
  list(type?: KeyEntry["type"]): Promise<KeyEntry[]> {
    return refusing(async () => {
      const session = this.#session;
      const types = type === undefined ? (["private", "public"] as const) : [type];
      if (types.includes("private") && session.pins.canAsk) await session.pins.login();
      const entries: KeyEntry[] = [];
      for (const each of types) {
        const objectClass = each === "private" ? CKO.PRIVATE_KEY : CKO.PUBLIC_KEY;
        for (const object of await session.find({ [CKA.CLASS]: objectClass })) {
          const { [CKA.ID]: id, [CKA.LABEL]: label } = await session.attributes(object, [CKA.ID, CKA.LABEL]);
          const uri = formatUri(objectUri(session.token.description, { class: objectClass, id, label }));
          entries.push({ type: each, id, label, uri });
        }
      }
      return entries;
    });
  }

  /**
   * A private key for one algorithm.
   * @throws {DOMException} NotFoundError if no key fits; DataError if several do; NotSupportedError or InvalidAccessError if the key
   *   does not do, or is not meant for, the algorithm.
   */
  privateKey(query: KeyQuery = {}): Promise<TokenCryptoKey> {
    return refusing(async () => {
      const found = await this.#describe(query);
      return tokenKey(found, keyAlgorithm(found.publicKey, found.abilities, query.algorithm));
    });
  }

  /** The public half of a private key of the token, as a key of the host: it verifies, encrypts and can be exported at once. */
  publicKey(query: KeyQuery = {}): Promise<CryptoKey> {
    return this.pair(query).then(({ publicKey }) => publicKey);
  }

  /** Both halves. @throws {DOMException} as {@link privateKey}. */
  pair(query: KeyQuery = {}): Promise<CryptoKeyPair & { privateKey: TokenCryptoKey }> {
    return refusing(async () => {
      const found = await this.#describe(query);
      const algorithm = keyAlgorithm(found.publicKey, found.abilities, query.algorithm);
      return { privateKey: tokenKey(found, algorithm), publicKey: await hostPublicKey(found.publicKey, algorithm) };
    });
  }

  async #describe(query: KeyQuery): Promise<Described> {
    const session = this.#session;
    const name = query.algorithm === undefined ? undefined : algorithmNamed(query.algorithm);
    const type = name && keyTypeFor(name);
    const handle = await this.#findOne(keyTemplate(query, session.token.description, "private", type));
    const known = await session.known(handle, FACTS);
    const id = known[CKA.ID] ?? new Uint8Array();
    const label = known[CKA.LABEL] ?? "";
    const keyType = known[CKA.KEY_TYPE];
    const template: Template = {
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      ...(keyType !== undefined && { [CKA.KEY_TYPE]: keyType }),
      [CKA.ID]: id,
      [CKA.LABEL]: label,
    };
    return {
      stored: new StoredKey(session, handle, {
        label,
        template,
        private: known[CKA.PRIVATE] ?? true,
        alwaysAuthenticate: known[CKA.ALWAYS_AUTHENTICATE] ?? false,
      }),
      publicKey: await publicHalf(session, handle, id),
      abilities: {
        sign: known[CKA.SIGN] ?? false,
        decrypt: known[CKA.DECRYPT] ?? false,
        derive: known[CKA.DERIVE] ?? false,
      },
    };
  }

  /** What is seen without a PIN is not asked a PIN for. */
  async #findOne(template: Template): Promise<number> {
    const session = this.#session;
    let found = await session.find(template);
    if (found.length === 0 && session.pins.canAsk && !(await session.pins.isLoggedIn())) {
      await session.pins.login();
      found = await session.find(template);
    }
    const [only, ...others] = found;
    if (only === undefined) throw refusal("NotFoundError", "no such private key on the token");
    if (others.length > 0) throw refusal("DataError", `${found.length} private keys fit; name one by its id or label`);
    return only;
  }
}

const FACTS = [
  CKA.ID,
  CKA.LABEL,
  CKA.KEY_TYPE,
  CKA.PRIVATE,
  CKA.ALWAYS_AUTHENTICATE,
  CKA.SIGN,
  CKA.DECRYPT,
  CKA.DERIVE,
];

function tokenKey({ stored }: Described, algorithm: TokenKeyAlgorithm): TokenCryptoKey {
  return new TokenCryptoKey(stored, algorithm, usagesOf(algorithm.name, "privateUsages"));
}

function hostPublicKey(key: PublicKey, algorithm: TokenKeyAlgorithm): Promise<CryptoKey> {
  return hostSubtle.importKey("spki", encodePublicKey(key), algorithm, true, usagesOf(algorithm.name, "publicUsages"));
}
