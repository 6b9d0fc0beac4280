import { CKA, CKO } from "../cryptoki/index.ts";
import { Token, type TokenAccess } from "../tokens/parts.ts";
import {
  type CryptoKey,
  type EcKeyGenParameters,
  type KeyUsage,
  refusing,
  type RsaKeyGenParameters,
} from "./platform.ts";
import { findKey, findObjects, findPublicKey, type FoundKey, hostPublicKey, knownOf, logIn } from "./found-key.ts";
import { generateOnToken, type KeyPlace, type TokenKeyPair } from "./generate.ts";
import { keyAlgorithm, type KeyQuery, keyTemplate, type TokenKeyAlgorithm, usagesOf } from "./algorithms.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";

/** A key on the token. */
export interface KeyEntry {
  readonly type: "private" | "public";
  /** CKA_ID. */
  readonly id: Uint8Array;
  /** CKA_LABEL. */
  readonly label: string;
  /** The PKCS #11 URI of this key on this token. */
  readonly uri: () => Promise<string>;
}

/** The key pair algorithms of subtle.generateKey. */
export type TokenKeyGenAlgorithm = RsaKeyGenParameters | EcKeyGenParameters | { name: "Ed25519" | "X25519" };

/** The keys on a token. */
export class KeyStorage {
  readonly #token: Token;
  readonly #access: TokenAccess;

  constructor(token: Token) {
    this.#token = token;
    this.#access = Token.accessOf(token);
  }

  /**
   * Lists the private and public keys on the token without reading them. Private keys are visible only after login, so
   * it asks for the PIN if there is a PIN source.
   */
  list(type?: KeyEntry["type"]): Promise<KeyEntry[]> {
    return refusing(async () => {
      const access = this.#access;
      const types = type === undefined ? (["private", "public"] as const) : [type];
      if (types.includes("private")) await logIn(access);
      const entries: KeyEntry[] = [];
      for (const each of types) {
        const objectClass = each === "private" ? CKO.PRIVATE_KEY : CKO.PUBLIC_KEY;
        for (const object of await findObjects(access, { [CKA.CLASS]: objectClass })) {
          const known = await knownOf(access, object, [CKA.ID, CKA.LABEL]);
          const { [CKA.ID]: id = new Uint8Array(), [CKA.LABEL]: label = "" } = known;
          const uri = (): Promise<string> => access.run(() => access.uri({ class: objectClass, id, label }));
          entries.push({ type: each, id, label, uri });
        }
      }
      return entries;
    });
  }

  /**
   * Finds a private key, for one algorithm.
   * @throws {DOMException} NotFoundError if no key matches; DataError if several do; NotSupportedError or
   *   InvalidAccessError if the key does not support or allow the algorithm.
   */
  privateKey(query: KeyQuery = {}): Promise<TokenCryptoKey> {
    return refusing(async () => {
      const found = await this.#find(query);
      return tokenKey(found, keyAlgorithm(found.publicKey, found.abilities, query.algorithm));
    });
  }

  /**
   * Finds a public key of the token and returns it as a key of the host: it verifies, encrypts and can be exported at
   * once. Needs no PIN.
   * @throws {DOMException} as {@link privateKey}.
   */
  publicKey(query: KeyQuery = {}): Promise<CryptoKey> {
    return refusing(async () => {
      const access = this.#access;
      const { publicKey, abilities } = await findPublicKey(access, await keyTemplate(query, access, "public"));
      // With a named algorithm, CKA_VERIFY and CKA_ENCRYPT of the public key are not checked.
      const allowed = query.algorithm === undefined ? abilities : { sign: true, decrypt: true, derive: true };
      return hostPublicKey(publicKey, keyAlgorithm(publicKey, allowed, query.algorithm));
    });
  }

  /** Finds both keys of a pair. @throws {DOMException} as {@link privateKey}. */
  pair(query: KeyQuery = {}): Promise<TokenKeyPair> {
    return refusing(async () => {
      const found = await this.#find(query);
      const algorithm = keyAlgorithm(found.publicKey, found.abilities, query.algorithm);
      return { privateKey: tokenKey(found, algorithm), publicKey: await hostPublicKey(found.publicKey, algorithm) };
    });
  }

  /**
   * Generates a key pair on the token; `extractable` is false. Most tokens need the PIN. A PIV card needs its
   * security officer: there open with a `session` in which CKU_SO is logged in.
   * @param algorithm As for subtle.generateKey: `{ name: "ECDSA", namedCurve: "P-256" }`.
   * @throws {DOMException} NotSupportedError, SyntaxError, OperationError.
   */
  generate(algorithm: TokenKeyGenAlgorithm, usages: readonly KeyUsage[], place: KeyPlace = {}): Promise<TokenKeyPair> {
    return refusing(() => generateOnToken(this.#token, algorithm, usages, place));
  }

  async #find(query: KeyQuery): Promise<FoundKey> {
    return findKey(this.#access, await keyTemplate(query, this.#access, "private"));
  }
}

function tokenKey({ key }: FoundKey, algorithm: TokenKeyAlgorithm): TokenCryptoKey {
  return new TokenCryptoKey(key, algorithm, usagesOf(algorithm.name, "privateUsages"));
}
