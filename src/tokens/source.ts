import { type CallOptions, Condition, untilAborted } from "../async/index.ts";
import { CryptokiError, type CryptokiFunctions, matchesToken } from "../cryptoki/index.ts";
import { TokenAccess } from "./access.ts";
import { checked, asTokenErrors, isGone, noService, TokenError } from "./error.ts";
import type { PinSource } from "./pin.ts";
import { SessionPool } from "./session-pool.ts";
import { Token } from "./token.ts";
import type { TouchListener } from "./touch.ts";
import { fits, readDescription, readTokenUri, type TokenDescriptionQuery, type TokenQuery } from "./token-query.ts";

export type TokenChange =
  /** `initial`: it was in before the watch began. */
  | { readonly type: "inserted"; readonly token: Token; readonly initial: boolean }
  | { readonly type: "removed"; readonly token: Token }
  /** A card that no profile knows, or that does not answer. */
  | { readonly type: "unrecognised"; readonly slot: number };

/** What is in a slot. */
type SlotState = Token | "unrecognised";

/** A wait for slot events. */
interface Watch {
  /** Why it ended. */
  failure: Error | undefined;
  ended: Promise<void>;
}

export interface TokenSourceOptions {
  readonly cryptoki: CryptokiFunctions;
  readonly pin?: PinSource | undefined;
  readonly onTouch?: TouchListener | undefined;
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
  #closed: Promise<void> | undefined;
  #watch: Watch | undefined;

  /** @internal */
  constructor(options: TokenSourceOptions) {
    this.cryptoki = options.cryptoki;
    this.#options = options;
  }

  /**
   * The tokens that are in and fit. A token that was found before is the same object as long as its card is in.
   * @throws {TokenError} BAD_INPUT for a query that cannot be read; NO_SERVICE; what a card says that does not answer, if no other fits.
   */
  async *tokens(query?: TokenQuery, options: CallOptions = {}): AsyncGenerator<Token> {
    const { signal } = checked(options);
    const matches = this.#matcherOf(query);
    let failure: Error | undefined;
    let isFound = false;
    const only = typeof query === "object" ? query.slot : undefined;
    for (const slot of await this.#run(() => this.cryptoki.C_GetSlotList(true, { signal }), signal)) {
      if (only !== undefined && slot !== only) continue;
      const token = await this.#tokenIn(slot, signal).catch((error: unknown) => {
        if (signal?.aborted || this.#closing.signal.aborted) throw error;
        failure ??= error as Error;
        return undefined;
      });
      if (!(token instanceof Token && (await matches(token, signal)))) continue;
      isFound = true;
      yield token;
    }
    if (failure && !isFound) throw failure;
  }

  /**
   * The only token that fits.
   * @param options `wait`: waits for the first that comes, if none is in.
   * @throws {TokenError} NO_READER, NO_CARD, NO_TOKEN; SEVERAL_TOKENS with their URIs in `candidates`, since a PIN must not go to the wrong card.
   */
  async token(query?: TokenQuery, options: CallOptions & { readonly wait?: boolean } = {}): Promise<Token> {
    const { signal } = checked(options);
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
  async *changes(options: CallOptions & { readonly query?: TokenQuery | undefined } = {}): AsyncGenerator<TokenChange> {
    const { query, signal } = checked(options);
    const matches = this.#matcherOf(query);
    await this.#look(signal);
    const watch = this.#startWatch();
    let seen: ReadonlyMap<number, SlotState> = new Map();
    const given = new Set<Token>();
    for (let initial = true; ; initial = false) {
      const now = new Map(this.#slots);
      for (const change of differences(seen, now, initial)) {
        if (change.type === "inserted") {
          if (!(await matches(change.token, signal))) continue;
          given.add(change.token);
        } else if (change.type === "removed" && !given.delete(change.token)) continue;
        yield change;
      }
      seen = now;
      if (this.#closing.signal.aborted) return;
      if (watch.failure !== undefined) throw watch.failure;
      if (isSame(this.#slots, now))
        await this.#changed.wait(undefined, [signal, this.#closing.signal]).catch(afterClose(this.#closing.signal));
    }
  }

  /** Ends all that was opened here: tokens, watches, and the connection to the readers. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort(new TokenError("TOKEN_GONE", "the source of the tokens was closed"));
    await Promise.allSettled(this.#opening.values());
    for (const token of [...this.#slots.values()]) if (token instanceof Token) await token[Symbol.asyncDispose]();
    this.#slots.clear();
    this.#changed.notifyAll();
    await this.#watch?.ended;
    await this.#options.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs a C_ function, with the errors of this layer. @throws {TokenError} TOKEN_GONE after {@link close}. */
  async #run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    try {
      return await asTokenErrors(work, signal);
    } catch (error) {
      if (error instanceof TokenError) closing.throwIfAborted();
      throw error;
    }
  }

  async #tokenIn(slot: number, signal?: AbortSignal): Promise<SlotState | undefined> {
    const known = this.#slots.get(slot);
    if (known instanceof Token) {
      // The card may have gone, or another may be in, before a watch saw it.
      if (await this.#isAlive(known)) return known;
      this.#leave(slot, known);
    }
    return this.#run(async () => {
      try {
        const state = await untilAborted(this.#opened(slot), signal);
        if (this.#options.watches) this.#startWatch();
        return state;
      } catch (error) {
        // It was taken out meanwhile.
        if (isGone(error)) return undefined;
        throw error;
      }
    }, signal);
  }

  /** One opening is for all who wait for the token: an abort ends the wait of its own caller alone. */
  #opened(slot: number): Promise<SlotState> {
    let opening = this.#opening.get(slot);
    if (!opening) {
      opening = this.#open(slot).finally(() => this.#opening.delete(slot));
      this.#opening.set(slot, opening);
    }
    return opening;
  }

  #isAlive(token: Token): Promise<boolean> {
    const access = this.#accesses.get(token);
    return access ? access.pool.isAlive().catch(() => false) : Promise.resolve(false);
  }

  async #open(slot: number): Promise<SlotState> {
    const { signal } = this.#closing;
    signal.throwIfAborted();
    const state = await this.#openToken(slot, signal);
    this.#slots.set(slot, state);
    this.#changed.notifyAll();
    return state;
  }

  async #openToken(slot: number, signal: AbortSignal): Promise<SlotState> {
    try {
      const pool = await SessionPool.open(this.cryptoki, slot, signal);
      const access = new TokenAccess(this.cryptoki, slot, pool, this.#options);
      access.removed.addEventListener("abort", () => {
        if (this.#slots.get(slot) === token) this.#slots.delete(slot);
        this.#changed.notifyAll();
      });
      const token = new Token(access, (again) => this.#tokenAfter(slot, again));
      this.#accesses.set(token, access);
      return token;
    } catch (error) {
      if (error instanceof CryptokiError && error.is("CKR_TOKEN_NOT_RECOGNIZED")) return "unrecognised";
      throw error;
    }
  }

  /** The token in a slot whose last one was made new. */
  async #tokenAfter(slot: number, signal?: AbortSignal): Promise<Token> {
    const state = await this.#tokenIn(slot, signal);
    if (state instanceof Token) return state;
    throw new TokenError("NO_TOKEN", "the card is not in the slot any more, or no profile knows it now");
  }

  readonly #accesses = new WeakMap<Token, TokenAccess>();

  /** Looks at all slots. A card that cannot be opened keeps none of the others away. */
  async #look(signal?: AbortSignal): Promise<void> {
    const slots = new Set(await this.#run(() => this.cryptoki.C_GetSlotList(true, { signal }), signal));
    for (const slot of [...this.#slots.keys()]) if (!slots.has(slot)) this.#leave(slot);
    for (const slot of slots) {
      try {
        await this.#tokenIn(slot, signal);
      } catch (error) {
        if (signal?.aborted || this.#closing.signal.aborted) throw error;
        this.#slots.set(slot, "unrecognised");
        this.#changed.notifyAll();
      }
    }
  }

  /** @param token The token that has gone; another may be in the slot already. */
  #leave(slot: number, token?: Token): void {
    const state = this.#slots.get(slot);
    if (token && state !== token) return;
    this.#slots.delete(slot);
    if (state instanceof Token) this.#accesses.get(state)?.end();
    this.#changed.notifyAll();
  }

  #startWatch(): Watch {
    if (this.#watch) return this.#watch;
    const watch: Watch = { failure: undefined, ended: Promise.resolve() };
    watch.ended = this.#watchSlots().catch((error: unknown) => {
      // Those that wait get the failure; the next that wants changes begins another watch.
      watch.failure = error as Error;
      this.#watch = undefined;
      this.#changed.notifyAll();
    });
    this.#watch = watch;
    return watch;
  }

  async #watchSlots(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      // A module need not know the signal: C_WaitForSlotEvent may end long after it.
      const event = (): Promise<number> => untilAborted(this.cryptoki.C_WaitForSlotEvent(0, { signal }), signal);
      const slot = await this.#run(event, signal);
      await this.#run(() => this.#slotChanged(slot, signal), signal);
    }
  }

  /** A card came or went in a slot, or both. */
  async #slotChanged(slot: number, signal: AbortSignal): Promise<void> {
    const state = this.#slots.get(slot);
    if (state instanceof Token) {
      if (await this.#isAlive(state)) return;
      this.#leave(slot, state);
    } else if (state !== undefined) this.#leave(slot);
    // All slots: the other tokens of a card with several PINs have slots of their own.
    await this.#look(signal);
  }

  #matcherOf(query: TokenQuery | undefined): Matcher {
    if (query === undefined) return () => Promise.resolve(true);
    const test = typeof query === "string" ? this.#uriTest(query) : descriptionTest(query);
    return async (token, signal) => {
      try {
        return await test(token, signal);
      } catch (error) {
        // It was taken out meanwhile.
        if (error instanceof TokenError && error.is("TOKEN_GONE")) return false;
        throw error;
      }
    };
  }

  #uriTest(text: string): Matcher {
    const uri = readTokenUri(text);
    return async (token, signal) => {
      const access = this.#accesses.get(token);
      return access !== undefined && matchesToken(uri, await access.run(() => access.description(signal), signal));
    };
  }

  async #nothing(query: TokenQuery | undefined, signal?: AbortSignal): Promise<TokenError> {
    const [slots, present] = await this.#run(
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

function descriptionTest(query: TokenDescriptionQuery): Matcher {
  const wanted = readDescription(query).filter(([name]) => name !== "slot");
  const { slot } = query;
  return async (token, signal) =>
    (slot === undefined || token.slot === slot) &&
    // What the token says of itself may cost an exchange.
    (wanted.length === 0 || fits(await token.info({ signal }), wanted));
}

type Matcher = (token: Token, signal?: AbortSignal) => Promise<boolean>;
