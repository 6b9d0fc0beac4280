import {
  CKR,
  CKS,
  CKU,
  type CK_TOKEN_INFO,
  type CryptokiFunctions,
  CryptokiError,
  type Pin,
} from "../cryptoki/index.ts";
import { refusal } from "./error.ts";
import type { Slot } from "./slot.ts";

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
export class PinDesk {
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
