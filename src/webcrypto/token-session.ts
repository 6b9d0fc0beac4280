import { memoizeAsync, type MemoizedAsync, SerialQueue } from "../async/index.ts";
import {
  AttributeError,
  type AttributeValues,
  type CK_TOKEN_INFO,
  CKR,
  CKS,
  CKU,
  CryptokiError,
  type CryptokiFunctions,
  formatUri,
  matchesToken,
  type ObjectDescription,
  objectUri,
  parseUri,
  type Pin,
  type Template,
  type TokenDescription,
  tokenUri,
} from "../cryptoki/index.ts";
import { refusal } from "./platform.ts";

/** A slot with a token. Information on the token is read on request, because it costs exchanges with a card. */
export class Slot {
  readonly id: number;
  readonly #cryptoki: CryptokiFunctions;
  /** The attributes for PKCS #11 URIs; read once. */
  readonly describe: MemoizedAsync<TokenDescription>;

  constructor(cryptoki: CryptokiFunctions, id: number) {
    this.#cryptoki = cryptoki;
    this.id = id;
    this.describe = memoizeAsync(() => this.#describe());
  }

  /** The present CK_TOKEN_INFO. */
  info(): Promise<CK_TOKEN_INFO> {
    return this.#cryptoki.C_GetTokenInfo(this.id);
  }

  async #describe(): Promise<TokenDescription> {
    const { slotDescription, manufacturerID } = await this.#cryptoki.C_GetSlotInfo(this.id);
    const token = await this.info();
    return {
      slotID: this.id,
      slotDescription,
      slotManufacturerID: manufacturerID,
      label: token.label,
      manufacturerID: token.manufacturerID,
      model: token.model,
      serialNumber: token.serialNumber,
    };
  }
}

/**
 * Returns the slot of the token that a PKCS #11 URI matches, or of the only token.
 * @throws {DOMException} NotFoundError if there is none; DataError if there are several, so that a PIN never goes to
 *   the wrong token.
 */
export async function findSlot(cryptoki: CryptokiFunctions, uri?: string): Promise<Slot> {
  const slots = (await cryptoki.C_GetSlotList(true)).map((id) => new Slot(cryptoki, id));
  const [only, ...others] = uri === undefined ? slots : await fitting(slots, uri);
  if (!only)
    throw refusal("NotFoundError", slots.length === 0 ? "there is no token" : `no such token; ${await named(slots)}`);
  if (others.length > 0)
    throw refusal("DataError", `several tokens match, choose one; ${await named([only, ...others])}`);
  return only;
}

async function fitting(slots: readonly Slot[], uri: string): Promise<Slot[]> {
  const wanted = parseUri(uri);
  const found: Slot[] = [];
  for (const slot of slots) {
    if (wanted.slotId !== undefined && wanted.slotId !== slot.id) continue;
    if (matchesToken(wanted, await slot.describe())) found.push(slot);
  }
  return found;
}

async function named(slots: readonly Slot[]): Promise<string> {
  const tokens = await Promise.all(slots.map((slot) => slot.describe()));
  return `present: ${tokens.map((token) => formatUri(tokenUri(token))).join(" and ")}`;
}

/** The purpose of a PIN request. */
export interface PinRequest {
  /** "login" lasts until the token ends it; "use" is for one use of a key with CKA_ALWAYS_AUTHENTICATE. */
  readonly purpose: "login" | "use";
  /** Reads the token information: its label, to show in the prompt, and flags that tell whether few tries are left. */
  readonly token: () => Promise<CK_TOKEN_INFO>;
  /** The label of the key that needs the PIN. */
  readonly key?: string;
}

/**
 * Returns the PIN; null if the user types it on the reader. An error that it throws ends the operation that needs the
 * PIN.
 */
export type PinSource = (request: PinRequest) => Promise<Pin> | Pin;

const LOGGED_IN: ReadonlySet<number> = new Set([CKS.RO_USER_FUNCTIONS, CKS.RW_USER_FUNCTIONS, CKS.RW_SO_FUNCTIONS]);

/** Errors after which another try with the same source could spend the last try. */
const WRONG_PIN: ReadonlySet<number> = new Set([
  CKR.PIN_INCORRECT,
  CKR.PIN_INVALID,
  CKR.PIN_LEN_RANGE,
  CKR.PIN_LOCKED,
  CKR.PIN_EXPIRED,
]);

/**
 * Asks for PINs and gives them to the token: once for each login, for all operations that wait for it, and after a
 * wrong PIN only when the program calls login.
 */
class PinPrompter {
  readonly #cryptoki: CryptokiFunctions;
  readonly #session: number;
  readonly #slot: Slot;
  readonly #source: PinSource | undefined;
  #loggingIn: Promise<void> | undefined;
  #logins = 0;
  /** The error of a wrong PIN. */
  #refused: CryptokiError | undefined;

  constructor(cryptoki: CryptokiFunctions, session: number, slot: Slot, source?: PinSource) {
    this.#cryptoki = cryptoki;
    this.#session = session;
    this.#slot = slot;
    this.#source = source;
  }

  /** Whether a PIN source is set. */
  get canAsk(): boolean {
    return this.#source !== undefined;
  }

  /** The number of logins so far: handles of private objects end with their login. */
  get logins(): number {
    return this.#logins;
  }

  /** Costs no exchange with the card. */
  async isLoggedIn(): Promise<boolean> {
    const { state } = await this.#cryptoki.C_GetSessionInfo(this.#session);
    return LOGGED_IN.has(state);
  }

  /** Whether the security officer is logged in, who cannot use private keys. Costs no exchange with the card. */
  async isOfficer(): Promise<boolean> {
    return (await this.#cryptoki.C_GetSessionInfo(this.#session)).state === CKS.RW_SO_FUNCTIONS;
  }

  /** Logs the user in, unless a user is logged in. Concurrent calls share one login. */
  login(key?: string): Promise<void> {
    this.#loggingIn ??= this.#login(key).finally(() => {
      this.#loggingIn = undefined;
    });
    return this.#loggingIn;
  }

  async #login(key?: string): Promise<void> {
    if (await this.isLoggedIn()) return;
    await this.#give(CKU.USER, "login", key);
    this.#logins++;
  }

  /** Verifies the PIN for the operation that has just begun. */
  authenticate(key: string): Promise<void> {
    return this.#give(CKU.CONTEXT_SPECIFIC, "use", key);
  }

  /** Allows a new PIN request after a wrong PIN. */
  forgive(): void {
    this.#refused = undefined;
  }

  #requireForgiven(): void {
    if (this.#refused) throw this.#refused;
  }

  async #give(user: number, purpose: PinRequest["purpose"], key?: string): Promise<void> {
    this.#requireForgiven();
    if (!this.#source) {
      throw refusal("OperationError", `the token needs its PIN, but was opened without a PIN source`);
    }
    const pin = await this.#source({ purpose, token: () => this.#slot.info(), ...(key !== undefined && { key }) });
    // Another operation's PIN may have been refused in the meantime.
    this.#requireForgiven();
    try {
      await this.#cryptoki.C_Login(this.#session, user, pin);
    } catch (error) {
      // Another caller of this application has logged in meanwhile.
      if (error instanceof CryptokiError && error.rv === CKR.USER_ALREADY_LOGGED_IN) return;
      if (error instanceof CryptokiError && WRONG_PIN.has(error.rv)) this.#refused = error;
      throw error;
    }
  }
}

/**
 * One session with a token. An operation of several calls runs alone, because a session holds only one operation of
 * each kind.
 */
export class TokenSession {
  readonly cryptoki: CryptokiFunctions;
  readonly handle: number;
  readonly slot: Slot;
  readonly pins: PinPrompter;
  readonly #queue = new SerialQueue();

  constructor(cryptoki: CryptokiFunctions, handle: number, slot: Slot, pin?: PinSource) {
    this.cryptoki = cryptoki;
    this.handle = handle;
    this.slot = slot;
    this.pins = new PinPrompter(cryptoki, handle, slot, pin);
  }

  /** Runs `work` after all queued work. `work` must not call this method: it would wait for itself. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work);
  }

  /** Handles of the objects that match. */
  find(template: Template): Promise<number[]> {
    return this.exclusively(() => this.findInTurn(template));
  }

  /** The same, for work that is already running alone. */
  async findInTurn(template: Template): Promise<number[]> {
    const { cryptoki, handle } = this;
    await cryptoki.C_FindObjectsInit(handle, template);
    try {
      return await cryptoki.C_FindObjects(handle);
    } finally {
      // The first error matters more; the next search reports one that cannot end.
      await cryptoki.C_FindObjectsFinal(handle).catch(() => undefined);
    }
  }

  /** The PKCS #11 URI of an object on this token. */
  async uri(object: ObjectDescription): Promise<string> {
    return formatUri(objectUri(await this.slot.describe(), object));
  }

  attributes<const Type extends number>(object: number, types: readonly Type[]): Promise<AttributeValues<Type>> {
    return this.cryptoki.C_GetAttributeValue(this.handle, object, types);
  }

  /** The requested attributes, without those that the object does not have or does not show. */
  async known(object: number, types: readonly number[]): Promise<Template> {
    try {
      return await this.attributes(object, types);
    } catch (error) {
      if (error instanceof AttributeError) return error.values;
      throw error;
    }
  }
}
