import { CKA, CKO } from "../cryptoki/index.ts";
import {
  type CryptoKey,
  type EcKeyGenParameters,
  type KeyUsage,
  refusing,
  type RsaKeyGenParameters,
} from "./platform.ts";
import { findKey, findPublicKey, type FoundKey, hostPublicKey } from "./stored-key.ts";
import { generateOnToken, type KeyPlace, type TokenKeyPair } from "./generate.ts";
import { keyAlgorithm, type KeyQuery, keyTemplate, type TokenKeyAlgorithm, usagesOf } from "./algorithms.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";
import type { TokenSession } from "./token-session.ts";

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
  readonly #session: TokenSession;

  constructor(session: TokenSession) {
    this.#session = session;
  }

  /**
   * Lists the private and public keys on the token without reading them. Private keys are visible only after login, so
   * it asks for the PIN if there is a PIN source.
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
      const session = this.#session;
      const { publicKey, abilities } = await findPublicKey(session, await keyTemplate(query, session.slot, "public"));
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
   * Generates a key pair on the token; `extractable` is false. Most tokens need `readWrite` and the PIN. A PIV card
   * needs its security officer: open with a `session` in which CKU_SO is logged in.
   * @param algorithm As for subtle.generateKey: `{ name: "ECDSA", namedCurve: "P-256" }`.
   * @throws {DOMException} NotSupportedError, SyntaxError, OperationError.
   */
  generate(algorithm: TokenKeyGenAlgorithm, usages: readonly KeyUsage[], place: KeyPlace = {}): Promise<TokenKeyPair> {
    return refusing(() => generateOnToken(this.#session, algorithm, usages, place));
  }

  async #find(query: KeyQuery): Promise<FoundKey> {
    return findKey(this.#session, await keyTemplate(query, this.#session.slot, "private"));
  }
}

function tokenKey({ stored }: FoundKey, algorithm: TokenKeyAlgorithm): TokenCryptoKey {
  return new TokenCryptoKey(stored, algorithm, usagesOf(algorithm.name, "privateUsages"));
}
