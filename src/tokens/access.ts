import { memoizeAsync } from "../async/index.ts";
import {
  AttributeError,
  type CK_OBJECT_HANDLE,
  type CK_SESSION_HANDLE,
  CKF_TOKEN,
  CryptokiError,
  type CryptokiFunctions,
  formatUri,
  type ObjectDescription,
  objectUri,
  type Template,
  type TokenDescription,
  tokenUri,
} from "../cryptoki/index.ts";
import type { TokenCrypto } from "../webcrypto/index.ts";
import { isGone, TokenError, toTokenError } from "./error.ts";
import { TokenLogin } from "./login.ts";
import type { PinSource, PinState, TokenInfo } from "./pin.ts";
import type { SessionPool } from "./session-pool.ts";
import type { TouchListener } from "./touch.ts";
import { UserGate } from "./user-gate.ts";

/** Objects that are asked for in one call. */
const BATCH = 64;

const TAKEN_OUT = "the card was taken out; find its token again once it is back";

/**
 * One token in one insertion of its card, as the parts of this layer share it: sessions, login, and whether it is still there.
 * @internal
 */
export class TokenAccess {
  readonly cryptoki: CryptokiFunctions;
  readonly slot: number;
  readonly pool: SessionPool;
  readonly login: TokenLogin;
  readonly onTouch: TouchListener | undefined;
  /** Keeps the user's work and the security officer's apart. */
  readonly gate = new UserGate();
  readonly #removal = new AbortController();
  #ending = TAKEN_OUT;
  /** CK_SLOT_INFO and CK_TOKEN_INFO; asked for once, when they are wanted. */
  readonly #describe = memoizeAsync(() => this.#readDescription());

  constructor(
    cryptoki: CryptokiFunctions,
    slot: number,
    pool: SessionPool,
    { pin, onTouch }: { readonly pin?: PinSource | undefined; readonly onTouch?: TouchListener | undefined } = {},
  ) {
    this.cryptoki = cryptoki;
    this.slot = slot;
    this.pool = pool;
    this.login = new TokenLogin(this, pin);
    this.onTouch = onTouch;
  }

  /** Opens the Web Cryptography API over this token; set by the token, which has it. */
  openWebCrypto: ((signal?: AbortSignal) => Promise<TokenCrypto>) | undefined;

  /** Ends the sessions, and the login with them. */
  async close(reason = "the token was closed; find it again"): Promise<void> {
    const closed = this.pool.close();
    this.end(reason);
    await closed;
  }

  /** Aborts when the card goes. */
  get removed(): AbortSignal {
    return this.#removal.signal;
  }

  /** The card is gone, or the token is not used any more. */
  end(reason = TAKEN_OUT): void {
    if (this.#isOver()) return;
    this.#ending = reason;
    this.pool.abandon();
    this.#removal.abort(this.#gone());
  }

  #isOver(): boolean {
    return this.removed.aborted;
  }

  #gone(cause?: unknown): TokenError {
    return new TokenError("TOKEN_GONE", this.#ending, cause === undefined ? {} : { cause });
  }

  /**
   * Runs `work`, with the errors of this layer.
   * @throws {TokenError} TOKEN_GONE once the card was taken out; what `work` throws.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#isOver()) throw this.#gone();
    try {
      signal?.throwIfAborted();
      return await work();
    } catch (error) {
      if (!(error instanceof CryptokiError)) throw error;
      if (signal?.aborted) throw toTokenError(error, signal);
      // What the program does with handles of its own says nothing about the card.
      if (isGone(error) && !(await this.pool.isAlive().catch(() => false))) this.end();
      if (this.#isOver()) throw this.#gone(error);
      throw toTokenError(error, signal);
    }
  }

  /** As {@link run}, for work of the user's: it waits for the end of the security officer's. */
  asUser<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.run(() => this.gate.asUser(work, [signal, this.removed]), signal);
  }

  /** As {@link run}, with a session. */
  inSession<T>(work: (session: CK_SESSION_HANDLE) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.run(() => this.pool.run(work, signal), signal);
  }

  /** Handles of the objects that fit. */
  async find(session: CK_SESSION_HANDLE, template: Template, signal?: AbortSignal): Promise<CK_OBJECT_HANDLE[]> {
    const { cryptoki } = this;
    const found: CK_OBJECT_HANDLE[] = [];
    await cryptoki.C_FindObjectsInit(session, template, { signal });
    for (let more = true; more;) {
      const batch = await cryptoki.C_FindObjects(session, BATCH, { signal });
      found.push(...batch);
      more = batch.length === BATCH;
    }
    await cryptoki.C_FindObjectsFinal(session);
    return found;
  }

  /** Those of the attributes that the object has and shows. */
  async known(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    types: readonly number[],
    signal?: AbortSignal,
  ): Promise<Template> {
    try {
      return await this.cryptoki.C_GetAttributeValue(session, object, types, { signal });
    } catch (error) {
      if (error instanceof AttributeError) return error.values;
      throw error;
    }
  }

  /** What PKCS #11 URIs describe. */
  description(signal?: AbortSignal): Promise<TokenDescription> {
    return this.#describe(signal);
  }

  async #readDescription(): Promise<TokenDescription> {
    const { slotDescription, manufacturerID } = await this.cryptoki.C_GetSlotInfo(this.slot);
    const token = await this.cryptoki.C_GetTokenInfo(this.slot);
    return {
      slotID: this.slot,
      slotDescription,
      slotManufacturerID: manufacturerID,
      label: token.label,
      manufacturerID: token.manufacturerID,
      model: token.model,
      serialNumber: token.serialNumber,
    };
  }

  async info(signal?: AbortSignal): Promise<TokenInfo> {
    const described = await this.description(signal);
    const { slotID, slotDescription, label, manufacturerID, model, serialNumber } = described;
    const uri = formatUri(tokenUri(described));
    return { slot: slotID, reader: slotDescription, label, manufacturerID, model, serialNumber, uri };
  }

  /** The PKCS #11 URI of an object on this token. */
  async uri(object: ObjectDescription, signal?: AbortSignal): Promise<string> {
    return formatUri(objectUri(await this.description(signal), object));
  }

  async pinState(signal?: AbortSignal): Promise<PinState> {
    const { flags, ulMinPinLen, ulMaxPinLen } = await this.cryptoki.C_GetTokenInfo(this.slot, { signal });
    return {
      status: statusOf(flags),
      entry: (flags & CKF_TOKEN.PROTECTED_AUTHENTICATION_PATH) === 0 ? "host" : "reader",
      minLength: ulMinPinLen,
      maxLength: ulMaxPinLen,
    };
  }
}

function statusOf(flags: number): PinState["status"] {
  if ((flags & CKF_TOKEN.USER_PIN_LOCKED) !== 0) return "locked";
  if ((flags & CKF_TOKEN.USER_PIN_INITIALIZED) === 0) return "not-set";
  if ((flags & CKF_TOKEN.USER_PIN_TO_BE_CHANGED) !== 0) return "must-change";
  if ((flags & CKF_TOKEN.USER_PIN_FINAL_TRY) !== 0) return "final-try";
  return (flags & CKF_TOKEN.USER_PIN_COUNT_LOW) === 0 ? "usable" : "low";
}
