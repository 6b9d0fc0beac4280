import { type CallOptions, memoizeAsync, onAbort } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import type { PublicKey } from "../crypto/index.ts";
import {
  type Key,
  type PinSource,
  type SignatureScheme,
  type Token,
  TokenError,
  type TokenInfo,
  type TokenSource,
} from "../tokens/index.ts";
import type { Destination } from "./destinations.ts";
import { encodeKeyBlob } from "./public-key.ts";

/** What was asked for the keys of a card, by `ssh-add -c` and `ssh-add -h`. */
export interface Restriction {
  readonly confirm: boolean;
  readonly destinations: readonly Destination[];
}

const UNRESTRICTED: Restriction = { confirm: false, destinations: [] };

/** A key of a card that signs. */
export interface CardKey {
  readonly blob: Uint8Array;
  readonly publicKey: PublicKey;
  readonly comment: string;
  readonly restriction: Restriction;
  /** @throws {TokenError} as {@link Key.sign}. */
  readonly sign: (data: Uint8Array, scheme: SignatureScheme & CallOptions) => Promise<Uint8Array>;
}

interface LoadedKey {
  readonly key: Key;
  readonly blob: Uint8Array;
  readonly publicKey: PublicKey;
}

interface Card {
  readonly token: Token;
  /** Its keys, read once. */
  readonly load: (signal?: AbortSignal) => Promise<{ readonly info: TokenInfo; readonly keys: readonly LoadedKey[] }>;
}

export interface CardKeysOptions {
  readonly source: TokenSource;
  /** Which tokens are served; default: all. */
  readonly accepts?: (token: TokenInfo) => Promise<boolean>;
  /** Asks for the PIN again after a wrong one; default: the source that `source` was opened with. */
  readonly pin?: PinSource;
  /** How often the PIN is asked for when it was wrong; default: once. */
  readonly questions?: number;
  /** Forgets PINs that a source remembers. */
  readonly forgetPins?: () => void;
}

/**
 * The keys of all cards, kept in memory: a list costs no exchange while no card comes or goes. What another program changes on a card is
 * seen once the card was taken out, or after {@link CardKeys.reload}.
 */
export class CardKeys implements AsyncDisposable {
  readonly #options: CardKeysOptions;
  readonly #cards = new Map<Token, Card>();
  /** By the URI of the token, so that a card that comes back has its restriction again. */
  readonly #restrictions = new Map<string, Restriction>();
  readonly #closing = new AbortController();
  #watching: Promise<void> | undefined;
  #isComplete = false;

  constructor(options: CardKeysOptions) {
    this.#options = options;
  }

  /**
   * The keys of the cards that are in. No PIN is asked for.
   * @throws {TokenError} NO_SERVICE.
   */
  async list({ signal }: CallOptions = {}): Promise<readonly CardKey[]> {
    await this.#update(signal);
    const found: CardKey[] = [];
    for (const card of [...this.#cards.values()].sort((a, b) => a.token.slot - b.token.slot)) {
      try {
        const { info, keys } = await card.load(signal);
        found.push(...keys.map((key) => this.#entry(card.token, info, key)));
      } catch (error) {
        if (signal?.aborted) throw error;
        // A card that was taken out, or does not answer, keeps none of the others away.
        if (!(error instanceof TokenError)) throw error;
      }
    }
    return found;
  }

  /** Finds the tokens with this name: "cryptoki" for all, or a PKCS #11 URI. @throws {TokenError} BAD_INPUT for another name. */
  async tokens(name: string, { signal }: CallOptions = {}): Promise<readonly Token[]> {
    await this.#update(signal);
    if (name === "cryptoki") return [...this.#cards.keys()];
    if (!name.startsWith("pkcs11:")) {
      throw new TokenError(
        "BAD_INPUT",
        `${name} is not loaded: the name of the cards is "cryptoki", or a PKCS #11 URI`,
      );
    }
    const found: Token[] = [];
    for await (const token of this.#options.source.tokens(name, { signal }))
      if (this.#cards.has(token)) found.push(token);
    return found;
  }

  /** Restricts the keys of a token, or lifts what restricted them. Its login ends. */
  async restrict(token: Token, restriction: Restriction | undefined): Promise<void> {
    const { uri } = await token.info();
    this.#options.forgetPins?.();
    await token.logout();
    if (restriction) this.#restrictions.set(uri, restriction);
    else this.#restrictions.delete(uri);
  }

  /** Ends the logins to all cards. */
  async logout(): Promise<void> {
    this.#options.forgetPins?.();
    await Promise.allSettled([...this.#cards.keys()].map((token) => token.logout()));
  }

  /** Reads the keys of a card again when they are wanted next. */
  reload(token: Token): void {
    if (this.#cards.has(token)) this.#cards.set(token, this.#card(token));
  }

  #entry(token: Token, info: TokenInfo, { key, blob, publicKey }: LoadedKey): CardKey {
    return {
      blob,
      publicKey,
      comment: commentOf(key, info),
      restriction: this.#restrictions.get(info.uri) ?? UNRESTRICTED,
      sign: (data, { signal, ...scheme }) => this.#withPin(token, () => key.sign(data, { ...scheme, signal }), signal),
    };
  }

  /** Runs `work`. After a wrong PIN it asks again, as often as the options say. */
  async #withPin<T>(token: Token, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { questions = 1, pin } = this.#options;
    let needsLogin = false;
    for (let left = questions; ; left--) {
      try {
        if (needsLogin) await token.login(pin, { signal });
        return await work();
      } catch (error) {
        if (left <= 1 || !isWrongPin(error)) throw error;
        needsLogin = true;
      }
    }
  }

  /** Knows all cards that are in, and watches for those that come. */
  async #update(signal?: AbortSignal): Promise<void> {
    if (this.#watching && this.#isComplete) return;
    for await (const token of this.#options.source.tokens(undefined, { signal })) await this.#add(token);
    this.#isComplete = true;
    this.#watching ??= this.#watch();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    try {
      for await (const change of this.#options.source.changes({ signal })) {
        if (change.type === "inserted") await this.#add(change.token);
      }
    } catch {
      // The service has ended, or the module cannot wait: the next list looks again.
    } finally {
      this.#watching = undefined;
    }
  }

  async #add(token: Token): Promise<void> {
    if (this.#cards.has(token) || token.removed.aborted) return;
    const { accepts } = this.#options;
    try {
      if (accepts && !(await accepts(await token.info()))) return;
    } catch (error) {
      // It was taken out meanwhile.
      if (error instanceof TokenError) return;
      throw error;
    }
    if (this.#cards.has(token)) return;
    this.#cards.set(token, this.#card(token));
    onAbort(token.removed, () => this.#cards.delete(token));
  }

  #card(token: Token): Card {
    return { token, load: memoizeAsync(async () => ({ info: await token.info(), keys: await loadKeys(token) })) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }
}

/** Before a login a key has the label of its public half, which PIV cards of other modules end in "pubkey". */
function commentOf({ label, reference, id }: Key, info: TokenInfo): string {
  const name = label === "" ? (reference ?? id) : label.replace(/ pubkey$/u, " key");
  return `${name} (${info.label === "" ? info.model : info.label})`;
}

async function loadKeys(token: Token): Promise<readonly LoadedKey[]> {
  const found: LoadedKey[] = [];
  try {
    for await (const key of token.keys.find({ use: "sign" })) {
      const loaded = await load(key);
      if (loaded) found.push(loaded);
    }
  } catch (error) {
    // A token that shows its keys after a login only; none is asked for here.
    if (!(error instanceof TokenError && error.is("NO_PIN_SOURCE", "CKR_USER_NOT_LOGGED_IN"))) throw error;
  }
  return found;
}

/** Undefined for a key whose public half the token does not show, and for one that SSH does not know. */
async function load(key: Key): Promise<LoadedKey | undefined> {
  try {
    const { parsed } = await key.publicKey();
    return { key, publicKey: parsed, blob: encodeKeyBlob(parsed) };
  } catch (error) {
    if (error instanceof DataError) return undefined;
    if (error instanceof TokenError && error.is("NO_OBJECT", "BAD_INPUT")) return undefined;
    throw error;
  }
}

const isWrongPin = (error: unknown): boolean =>
  error instanceof TokenError && error.is("CKR_PIN_INCORRECT", "CKR_PIN_INVALID", "CKR_PIN_LEN_RANGE");
