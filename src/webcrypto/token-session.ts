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

/** A slot with a token in it. What is said of the token is asked for when somebody wants it: that costs exchanges with a card. */
export class Slot {
  readonly id: number;
  readonly #cryptoki: CryptokiFunctions;
  /** What PKCS #11 URIs describe; asked for once. */
  readonly describe: MemoizedAsync<TokenDescription>;

  constructor(cryptoki: CryptokiFunctions, id: number) {
    this.#cryptoki = cryptoki;
    this.id = id;
    this.describe = memoizeAsync(() => this.#describe());
  }

  /** As the token stands now. */
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
 * The slot with the token that a PKCS #11 URI describes; without one, with the only token that there is.
 * @throws {DOMException} NotFoundError if there is none; DataError if there are several, since a PIN must not go to the wrong one.
 */
export async function findSlot(cryptoki: CryptokiFunctions, uri?: string): Promise<Slot> {
  const slots = (await cryptoki.C_GetSlotList(true)).map((id) => new Slot(cryptoki, id));
  const [only, ...others] = uri === undefined ? slots : await fitting(slots, uri);
  if (!only)
    throw refusal("NotFoundError", slots.length === 0 ? "there is no token" : `no such token; ${await named(slots)}`);
  if (others.length > 0) throw refusal("DataError", `several tokens fit, name one; ${await named([only, ...others])}`);
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
  return `there is ${tokens.map((token) => formatUri(tokenUri(token))).join(" and ")}`;
}

/** What a PIN is asked for. */
export interface PinRequest {
  /** "login" lasts until the token forgets it; "use" is for one use of a key that wants the PIN each time (CKA_ALWAYS_AUTHENTICATE). */
  readonly purpose: "login" | "use";
  /** Asks the token: its label, which people know the PIN by, and in its flags whether few tries are left. */
  readonly token: () => Promise<CK_TOKEN_INFO>;
  /** The label of the key that is about to be used. */
  readonly key?: string;
}

/** Gives the PIN; null leaves it to the keys of the reader. What it throws, the operation that wanted the PIN throws. */
export type PinSource = (request: PinRequest) => Promise<Pin> | Pin;

const LOGGED_IN: ReadonlySet<number> = new Set([CKS.RO_USER_FUNCTIONS, CKS.RW_USER_FUNCTIONS, CKS.RW_SO_FUNCTIONS]);

/** After these, another try with what the source gives could cost the card its last. */
const WRONG_PIN: ReadonlySet<number> = new Set([
  CKR.PIN_INCORRECT,
  CKR.PIN_INVALID,
  CKR.PIN_LEN_RANGE,
  CKR.PIN_LOCKED,
  CKR.PIN_EXPIRED,
]);

/**
 * Asks for PINs and gives them to the token: once for each login, however many operations wait for it, and never again after a
 * wrong one until the program says so.
 */
class PinPrompter {
  readonly #cryptoki: CryptokiFunctions;
  readonly #session: number;
  readonly #slot: Slot;
  readonly #source: PinSource | undefined;
  #loggingIn: Promise<void> | undefined;
  #logins = 0;
  /** The refusal of a wrong PIN. */
  #refused: CryptokiError | undefined;

  constructor(cryptoki: CryptokiFunctions, session: number, slot: Slot, source?: PinSource) {
    this.#cryptoki = cryptoki;
    this.#session = session;
    this.#slot = slot;
    this.#source = source;
  }

  /** Whether there is a way to log somebody in. */
  get canAsk(): boolean {
    return this.#source !== undefined;
  }

  /** How many logins were made here: handles of private objects do not outlive theirs. */
  get logins(): number {
    return this.#logins;
  }

  /** Costs no exchange with the card. */
  async isLoggedIn(): Promise<boolean> {
    const { state } = await this.#cryptoki.C_GetSessionInfo(this.#session);
    return LOGGED_IN.has(state);
  }

  /** Whether the security officer is logged in, for whom no private key works. Costs no exchange with the card. */
  async isOfficer(): Promise<boolean> {
    return (await this.#cryptoki.C_GetSessionInfo(this.#session)).state === CKS.RW_SO_FUNCTIONS;
  }

  /** Logs the user in, unless somebody is. Those who want it at the same time wait for the same login. */
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

  /** Lets a PIN be asked for again after a wrong one. */
  forgive(): void {
    this.#refused = undefined;
  }

  #requireForgiven(): void {
    if (this.#refused) throw this.#refused;
  }

  async #give(user: number, purpose: PinRequest["purpose"], key?: string): Promise<void> {
    this.#requireForgiven();
    if (!this.#source) {
      throw refusal("OperationError", `the token wants its PIN, and was opened without a way to ask for it`);
    }
    const pin = await this.#source({ purpose, token: () => this.#slot.info(), ...(key !== undefined && { key }) });
    // Another operation's PIN may have been refused while this one was typed.
    this.#requireForgiven();
    try {
      await this.#cryptoki.C_Login(this.#session, user, pin);
    } catch (error) {
      // Somebody else of this application was quicker.
      if (error instanceof CryptokiError && error.rv === CKR.USER_ALREADY_LOGGED_IN) return;
      if (error instanceof CryptokiError && WRONG_PIN.has(error.rv)) this.#refused = error;
      throw error;
    }
  }
}

/** One session with a token. An operation of several calls has the session to itself, since a session knows one of each kind. */
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

  /** Runs `work` when all that was queued before is done. `work` must not call this again: it would wait for itself. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work);
  }

  /** Handles of the objects that fit. */
  find(template: Template): Promise<number[]> {
    return this.exclusively(() => this.findInTurn(template));
  }

  /** The same within a turn. */
  async findInTurn(template: Template): Promise<number[]> {
    const { cryptoki, handle } = this;
    await cryptoki.C_FindObjectsInit(handle, template);
    try {
      return await cryptoki.C_FindObjects(handle);
    } finally {
      // What went wrong before matters more, and a search that cannot end is seen by the next.
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

  /** Those of the attributes that the object has and shows. */
  async known(object: number, types: readonly number[]): Promise<Template> {
    try {
      return await this.attributes(object, types);
    } catch (error) {
      if (error instanceof AttributeError) return error.values;
      throw error;
    }
  }
}
