import type { CallOptions } from "../async/index.ts";
import { Condition } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import { CKF_SLOT, CryptokiError, type CryptokiFunctions, isUri, matchesToken, parseUri } from "../cryptoki/index.ts";
import { TokenAccess } from "./access.ts";
import { asTokenErrors, isGone, noService, TokenError } from "./error.ts";
import type { PinSource } from "./pin.ts";
import { SessionPool } from "./session-pool.ts";
import { Token } from "./token.ts";

/** Which token is wanted: all that is given must be true of it. */
export interface TokenDescriptionQuery {
  readonly label?: string;
  readonly serialNumber?: string;
  readonly model?: string;
  readonly manufacturerID?: string;
  /** The name of the reader, or a part of it. */
  readonly reader?: string;
  readonly slot?: number;
}

/** A PKCS #11 URI, or a description. */
export type TokenQuery = string | TokenDescriptionQuery;

export type TokenChange =
  /** `initial`: it was in before the watch began. */
  | { readonly type: "inserted"; readonly token: Token; readonly initial: boolean }
  | { readonly type: "removed"; readonly token: Token }
  /** A card that no profile knows, or that does not answer. */
  | { readonly type: "unrecognised"; readonly slot: number };

/** What is in a slot. */
type SlotState = Token | "unrecognised";

export interface TokenSourceOptions {
  readonly cryptoki: CryptokiFunctions;
  readonly pin?: PinSource | undefined;
  /** Whether cards are watched from the first token on, so that {@link Token.removed} aborts by itself. */
  readonly watches: boolean;
  /** Asks the resource manager for its readers, to find out why there are none. */
  readonly askReaders?: () => Promise<unknown>;
  /** Ends what the source was opened with. */
  readonly close: () => Promise<void>;
}

/** The tokens of this machine, of cards in this process, or of a remote module. */
export class TokenSource implements AsyncDisposable {
  /** The C_ functions below, for what this layer does not have. */
  readonly cryptoki: CryptokiFunctions;
  readonly #options: TokenSourceOptions;
  readonly #slots = new Map<number, SlotState>();
  /** Tokens as they are opened, so that two callers get one. */
  readonly #opening = new Map<number, Promise<SlotState>>();
  readonly #changed = new Condition();
  readonly #closing = new AbortController();
  #watch: Promise<void> | undefined;
  /** Why the module cannot be watched. */
  #watchFailure: Error | undefined;

  /** @internal */
  constructor(options: TokenSourceOptions) {
    this.cryptoki = options.cryptoki;
    this.#options = options;
  }

  /**
   * The tokens that are in and fit. A token that was found before is the same object as long as its card is in.
   * @throws {TokenError} BAD_INPUT for a query that cannot be read; NO_SERVICE.
   */
  async *tokens(query?: TokenQuery, { signal }: CallOptions = {}): AsyncGenerator<Token> {
    const matches = matcherOf(query);
    const slots = await asTokenErrors(() => this.cryptoki.C_GetSlotList(true, { signal }), signal);
    for (const slot of slots) {
      const token = await this.#tokenIn(slot, signal);
      if (token instanceof Token && (await matches(token, signal))) yield token;
    }
  }

  /**
   * The only token that fits.
   * @param options `wait`: waits for the first that comes, if none is in.
   * @throws {TokenError} NO_READER, NO_CARD, NO_TOKEN; SEVERAL_TOKENS with their URIs in `candidates`, since a PIN must not go to the wrong card.
   */
  async token(query?: TokenQuery, options: CallOptions & { readonly wait?: boolean } = {}): Promise<Token> {
    const { signal } = options;
    const found: Token[] = [];
    for await (const token of this.tokens(query, { signal })) found.push(token);
    const [only, ...others] = found;
    if (only && others.length === 0) return only;
    if (only) {
      const candidates = await Promise.all(found.map(async (token) => (await token.info({ signal })).uri));
      throw new TokenError("SEVERAL_TOKENS", `${found.length} tokens fit; name one of them by its URI`, { candidates });
    }
    if (options.wait !== true) throw await this.#nothing(query, signal);
    for await (const change of this.changes({ query, signal })) if (change.type === "inserted") return change.token;
    throw new TokenError("TOKEN_GONE", "the source was closed while it waited for a token");
  }

  /**
   * Gives the tokens that are in, and then each change, without a gap between the two. Every caller gets all changes; a slow one gets the
   * difference from its last state.
   * @throws {TokenError} CKR_FUNCTION_NOT_SUPPORTED after what is in, where the module cannot wait for changes.
   */
  async *changes({
    query,
    signal,
  }: CallOptions & { readonly query?: TokenQuery | undefined } = {}): AsyncGenerator<TokenChange> {
    const matches = matcherOf(query);
    await this.#look(signal);
    this.#startWatch();
    let seen: ReadonlyMap<number, SlotState> = new Map();
    for (let initial = true; ; initial = false) {
      const now = new Map(this.#slots);
      for (const change of differences(seen, now, initial)) {
        if (change.type === "unrecognised" || change.type === "removed" || (await matches(change.token, signal))) {
          yield change;
        }
      }
      seen = now;
      if (this.#closing.signal.aborted) return;
      if (this.#watchFailure !== undefined) throw this.#watchFailure;
      if (isSame(this.#slots, now))
        await this.#changed.wait(undefined, [signal, this.#closing.signal]).catch(afterClose(this.#closing.signal));
    }
  }

  /** Ends all that was opened here: tokens, watches, and the connection to the readers. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new TokenError("TOKEN_GONE", "the source of the tokens was closed"));
    for (const token of this.#slots.values()) if (token instanceof Token) await token[Symbol.asyncDispose]();
    this.#slots.clear();
    this.#changed.notifyAll();
    await this.#watch;
    await this.#options.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #tokenIn(slot: number, signal?: AbortSignal): Promise<SlotState | undefined> {
    const known = this.#slots.get(slot);
    if (known instanceof Token && !known.removed.aborted) return known;
    let opening = this.#opening.get(slot);
    if (!opening) {
      opening = this.#open(slot, signal).finally(() => this.#opening.delete(slot));
      this.#opening.set(slot, opening);
    }
    try {
      const state = await opening;
      if (this.#options.watches) this.#startWatch();
      return state;
    } catch (error) {
      // It was taken out meanwhile.
      if (isGone(error)) return undefined;
      return asTokenErrors(() => Promise.reject(error as Error), signal);
    }
  }

  async #open(slot: number, signal?: AbortSignal): Promise<SlotState> {
    const state = await this.#openToken(slot, signal);
    this.#slots.set(slot, state);
    this.#changed.notifyAll();
    return state;
  }

  async #openToken(slot: number, signal?: AbortSignal): Promise<SlotState> {
    try {
      const pool = await SessionPool.open(this.cryptoki, slot, signal);
      const access = new TokenAccess(this.cryptoki, slot, pool, this.#options.pin);
      access.removed.addEventListener("abort", () => {
        if (this.#slots.get(slot) === token) this.#slots.delete(slot);
        this.#changed.notifyAll();
      });
      const token = new Token(access);
      this.#accesses.set(token, access);
      return token;
    } catch (error) {
      if (error instanceof CryptokiError && error.is("CKR_TOKEN_NOT_RECOGNIZED")) return "unrecognised";
      throw error;
    }
  }

  readonly #accesses = new WeakMap<Token, TokenAccess>();

  /** Looks at all slots. */
  async #look(signal?: AbortSignal): Promise<void> {
    const slots = new Set(await asTokenErrors(() => this.cryptoki.C_GetSlotList(true, { signal }), signal));
    for (const slot of this.#slots.keys()) if (!slots.has(slot)) this.#leave(slot);
    for (const slot of slots) await this.#tokenIn(slot, signal);
  }

  #leave(slot: number): void {
    const state = this.#slots.get(slot);
    this.#slots.delete(slot);
    if (state instanceof Token) this.#accesses.get(state)?.end();
    this.#changed.notifyAll();
  }

  #startWatch(): void {
    this.#watch ??= this.#watchSlots().catch((error: unknown) => {
      if (this.#closing.signal.aborted) return;
      this.#watchFailure = error as Error;
      this.#changed.notifyAll();
    });
  }

  async #watchSlots(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      const slot = await asTokenErrors(() => this.cryptoki.C_WaitForSlotEvent(0, { signal }), signal);
      await this.#slotChanged(slot, signal);
    }
  }

  /** A card came or went in a slot, or both. */
  async #slotChanged(slot: number, signal: AbortSignal): Promise<void> {
    const state = this.#slots.get(slot);
    if (state instanceof Token) {
      if (await this.#accesses.get(state)?.pool.isAlive()) return;
      this.#leave(slot);
    } else if (state !== undefined) this.#leave(slot);
    const isPresent = await this.#isPresent(slot, signal);
    if (isPresent) await this.#tokenIn(slot, signal).catch(() => undefined);
    // The other tokens of a card with several PINs have slots of their own.
    await this.#look(signal).catch(() => undefined);
  }

  async #isPresent(slot: number, signal: AbortSignal): Promise<boolean> {
    try {
      return ((await this.cryptoki.C_GetSlotInfo(slot, { signal })).flags & CKF_SLOT.TOKEN_PRESENT) !== 0;
    } catch (error) {
      // The reader was unplugged.
      if (error instanceof CryptokiError) return false;
      throw error;
    }
  }

  async #nothing(query: TokenQuery | undefined, signal?: AbortSignal): Promise<TokenError> {
    const [slots, present] = await asTokenErrors(
      async () => [
        await this.cryptoki.C_GetSlotList(false, { signal }),
        await this.cryptoki.C_GetSlotList(true, { signal }),
      ],
      signal,
    );
    if (slots.length === 0) {
      const failure = await this.#options.askReaders?.().then(
        () => undefined,
        (error: unknown) => error,
      );
      const lacking = noService(failure);
      if (lacking) return lacking;
    }
    if (slots.length === 0) return new TokenError("NO_READER", "no smart-card reader; plug one in");
    if (present.length === 0) return new TokenError("NO_CARD", "no card in a reader; put one in");
    const tokens = [...this.#slots.values()].filter((state) => state instanceof Token);
    if (tokens.length === 0) return new TokenError("NO_TOKEN", "no profile knows the card that is in");
    const candidates = await Promise.all(tokens.map(async (token) => (await token.info({ signal })).uri));
    const wanted = typeof query === "string" ? query : "the description";
    return new TokenError("NO_TOKEN", `no token fits ${wanted}; ${tokens.length} of others are in`, { candidates });
  }
}

const afterClose =
  (closing: AbortSignal) =>
  (error: unknown): void => {
    if (!closing.aborted) throw error;
  };

function isSame(a: ReadonlyMap<number, SlotState>, b: ReadonlyMap<number, SlotState>): boolean {
  return a.size === b.size && [...a].every(([slot, state]) => b.get(slot) === state);
}

function* differences(
  before: ReadonlyMap<number, SlotState>,
  now: ReadonlyMap<number, SlotState>,
  initial: boolean,
): Generator<TokenChange> {
  for (const [slot, state] of before) {
    if (state instanceof Token && now.get(slot) !== state) yield { type: "removed", token: state };
  }
  for (const [slot, state] of now) {
    if (before.get(slot) === state) continue;
    yield state instanceof Token ? { type: "inserted", token: state, initial } : { type: "unrecognised", slot };
  }
}

type Matcher = (token: Token, signal?: AbortSignal) => Promise<boolean>;

function matcherOf(query: TokenQuery | undefined): Matcher {
  if (query === undefined) return () => Promise.resolve(true);
  if (typeof query !== "string") {
    return async (token, signal) => {
      const info = await token.info({ signal });
      const { reader, ...wanted } = query;
      if (reader !== undefined && !info.reader.includes(reader)) return false;
      return Object.entries(wanted).every(([name, value]) => Reflect.get(info, name) === value);
    };
  }
  const uri = readTokenUri(query);
  return async (token, signal) => {
    const { slot, reader, ...info } = await token.info({ signal });
    return matchesToken(uri, { ...info, slotID: slot, slotDescription: reader, slotManufacturerID: "" });
  };
}

function readTokenUri(text: string): ReturnType<typeof parseUri> {
  if (!isUri(text))
    throw new TokenError("BAD_INPUT", "a token is named by a PKCS #11 URI (pkcs11:...) or a description");
  try {
    const uri = parseUri(text);
    if (uri.pinValue === undefined) return uri;
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", cause.message, { cause });
  }
  throw new TokenError("BAD_INPUT", "a URI with pin-value is not taken: give a PIN source");
}
