import { createHash } from "node:crypto";
import type { CallOptions } from "../async/index.ts";
import {
  type CkrName,
  type Key,
  type LayerCode,
  type PublicKey,
  type Token,
  TokenError,
  type TokenInfo,
  type TokenSource,
} from "../tokens/index.ts";

/** A token as the service names it. */
export interface ServedToken {
  /** The first 32 hexadecimal digits of SHA-256 over its URI, and over the reader's name too where two tokens have one URI. */
  readonly name: string;
  readonly info: TokenInfo;
  readonly token: Token;
}

/** A private key, named by the SHA-256 of its SubjectPublicKeyInfo, hexadecimal. */
export interface ServedKey {
  readonly fingerprint: string;
  readonly key: Key;
  readonly publicKey: PublicKey;
  readonly served: ServedToken;
}

const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 32);

/** The tokens that are in, and their keys, by the names that clients use. */
export class Directory {
  readonly #source: TokenSource;
  /** A token's keys are read once, until something is written to it or its card goes. */
  readonly #keys = new WeakMap<Token, Promise<readonly ServedKey[]>>();

  constructor(source: TokenSource) {
    this.#source = source;
  }

  /** The tokens that are in. */
  async tokens(options: CallOptions = {}): Promise<readonly ServedToken[]> {
    const found: { readonly token: Token; readonly info: TokenInfo }[] = [];
    for await (const token of this.#source.tokens(undefined, options)) {
      found.push({ token, info: await token.info(options) });
    }
    const uses = (uri: string): number => found.filter(({ info }) => info.uri === uri).length;
    return found.map(({ token, info }) => ({
      name: digestOf(uses(info.uri) > 1 ? `${info.uri}\n${info.reader}` : info.uri),
      info,
      token,
    }));
  }

  /** @throws {TokenError} NO_TOKEN. */
  async token(name: string, options: CallOptions = {}): Promise<ServedToken> {
    const found = (await this.tokens(options)).find((one) => one.name === name);
    if (!found) throw new TokenError("NO_TOKEN", `no token ${name} is in a reader`);
    return found;
  }

  /** The private keys of a token whose public half it shows. */
  keys(served: ServedToken, options: CallOptions = {}): Promise<readonly ServedKey[]> {
    const { token } = served;
    let keys = this.#keys.get(token);
    if (!keys) {
      keys = readKeys(served, options);
      this.#keys.set(token, keys);
      keys.catch(() => {
        this.#keys.delete(token);
      });
    }
    return keys;
  }

  /** Reads the token's keys anew when they are next wanted: something was written to it. */
  forget({ token }: ServedToken): void {
    this.#keys.delete(token);
  }

  /** The keys with a fingerprint, one for each card that holds it. A token that does not answer hides no other. */
  async holders(fingerprint: string, options: CallOptions = {}): Promise<readonly ServedKey[]> {
    const holders: ServedKey[] = [];
    for (const served of await this.tokens(options)) {
      const keys = await this.keys(served, options).catch((error: unknown) => {
        options.signal?.throwIfAborted();
        if (error instanceof TokenError) return [];
        throw error;
      });
      const found = keys.find((one) => one.fingerprint === fingerprint);
      if (found) holders.push(found);
    }
    if (holders.length === 0) throw new TokenError("NO_OBJECT", `no token in a reader has the key ${fingerprint}`);
    return holders;
  }

  /** @throws {TokenError} NO_OBJECT. */
  async keyOf(served: ServedToken, fingerprint: string, options: CallOptions = {}): Promise<ServedKey> {
    const found = (await this.keys(served, options)).find((one) => one.fingerprint === fingerprint);
    if (!found) throw new TokenError("NO_OBJECT", `the token ${served.name} has no key ${fingerprint}`);
    return found;
  }
}

async function readKeys(served: ServedToken, options: CallOptions): Promise<readonly ServedKey[]> {
  const keys: ServedKey[] = [];
  try {
    for await (const key of served.token.keys.find({}, options)) {
      const publicKey = await key.publicKey(options).catch(unlessNamed("NO_OBJECT", "BAD_INPUT"));
      if (publicKey) keys.push({ fingerprint: publicKey.fingerprint(), key, publicKey, served });
    }
  } catch (error) {
    // Its keys are private altogether, and there is no PIN for it here.
    if (!(error instanceof TokenError && error.is("NO_PIN_SOURCE", "PIN_DECLINED"))) throw error;
  }
  return keys;
}

const unlessNamed =
  (...codes: readonly (LayerCode | CkrName)[]) =>
  (error: unknown): undefined => {
    if (!(error instanceof TokenError && error.is(...codes))) throw error;
  };
