import { CKA, CKO } from "../cryptoki/index.ts";
import { refusing } from "./error.ts";
import { findKey, type FoundKey } from "./find-key.ts";
import { generateOnToken, type KeyPlace, type TokenKeyPair } from "./generate.ts";
import { algorithmNamed, keyAlgorithm, keyTypeFor, type TokenKeyAlgorithm, usagesOf } from "./key-algorithm.ts";
import { keyTemplate, type ObjectQuery } from "./key-query.ts";
import { hostPublicKey } from "./public-key.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";
import type { TokenSession } from "./token-session.ts";
import type { AlgorithmIdentifier, CryptoKey, EcKeyGenParameters, KeyUsage, RsaKeyGenParameters } from "./types.ts";

/** A key that is on the token. */
export interface KeyEntry {
  readonly type: "private" | "public";
  /** CKA_ID. */
  readonly id: Uint8Array;
  /** CKA_LABEL. */
  readonly label: string;
  /** The PKCS #11 URI of this key on this token. */
  readonly uri: () => Promise<string>;
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

/** What subtle.generateKey takes for a key pair. */
export type TokenKeyGenAlgorithm = RsaKeyGenParameters | EcKeyGenParameters | { name: "Ed25519" | "X25519" };

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
          const uri = (): Promise<string> => session.uri({ class: objectClass, id, label });
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
      const found = await this.#find(query);
      return tokenKey(found, keyAlgorithm(found.publicKey, found.abilities, query.algorithm));
    });
  }

  /** The public half of a private key of the token, as a key of the host: it verifies, encrypts and can be exported at once. */
  publicKey(query: KeyQuery = {}): Promise<CryptoKey> {
    return this.pair(query).then(({ publicKey }) => publicKey);
  }

  /** Both halves. @throws {DOMException} as {@link privateKey}. */
  pair(query: KeyQuery = {}): Promise<TokenKeyPair> {
    return refusing(async () => {
      const found = await this.#find(query);
      const algorithm = keyAlgorithm(found.publicKey, found.abilities, query.algorithm);
      return { privateKey: tokenKey(found, algorithm), publicKey: await hostPublicKey(found.publicKey, algorithm) };
    });
  }

  /**
   * Has the token make a key pair; `extractable` is false. Most tokens want `readWrite` and the PIN, a PIV card its officer: open with a
   * `session` in which CKU_SO is logged in.
   * @param algorithm As subtle.generateKey takes it: `{ name: "ECDSA", namedCurve: "P-256" }`.
   * @throws {DOMException} NotSupportedError, SyntaxError, OperationError.
   */
  generate(algorithm: TokenKeyGenAlgorithm, usages: readonly KeyUsage[], place: KeyPlace = {}): Promise<TokenKeyPair> {
    return refusing(() => generateOnToken(this.#session, algorithm, usages, place));
  }

  async #find(query: KeyQuery): Promise<FoundKey> {
    const name = query.algorithm === undefined ? undefined : algorithmNamed(query.algorithm);
    const type = name && keyTypeFor(name);
    return findKey(this.#session, await keyTemplate(query, this.#session.slot, type));
  }
}

function tokenKey({ stored }: FoundKey, algorithm: TokenKeyAlgorithm): TokenCryptoKey {
  return new TokenCryptoKey(stored, algorithm, usagesOf(algorithm.name, "privateUsages"));
}
