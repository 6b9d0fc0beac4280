import { CKF_SESSION, type CryptokiFunctions } from "../cryptoki/index.ts";
import { CertificateStorage } from "./certificate-storage.ts";
import { type Crypto, type CryptoKeyConstructor, host, refusing, type SubtleCrypto } from "./platform.ts";
import { KeyStorage } from "./key-storage.ts";
import { findSlot, type PinSource, Slot, TokenSession } from "./token-session.ts";
import { TokenSubtle } from "./subtle.ts";

/** Options: the token to use, and how to get its PIN. */
export interface TokenCryptoOptions {
  /** Initialised; its owner calls C_Initialize and C_Finalize. */
  readonly cryptoki: CryptokiFunctions;
  /** A PKCS #11 URI (RFC 7512) that matches one token. Default, without `slot` and `session`: the only token. */
  readonly token?: string;
  /** The slot with the token. */
  readonly slot?: number;
  /** An open session, which stays open afterwards. Do not use it for other operations meanwhile. */
  readonly session?: number;
  /**
   * Called when an operation needs the user's PIN. Without it only public objects, and those of a login made elsewhere,
   * can be used.
   */
  readonly pin?: PinSource;
  /** Opens a read/write session, for storing certificates and generating keys. */
  readonly readWrite?: boolean;
}

/**
 * The W3C's Web Cryptography API with the private keys of a token (a smart card, an HSM): code that uses `crypto`
 * signs, decrypts and derives with them unchanged.
 *
 *     await using crypto = await TokenCrypto.open({ cryptoki, token: "pkcs11:token=...", pin: () => askForPin() });
 *     const { privateKey, publicKey } = await crypto.keyStorage.pair({ label: "..." });
 *     const signature = await crypto.subtle.sign(privateKey.algorithm, privateKey, data);
 *
 * Operations with other keys are the host's.
 */
export class TokenCrypto implements AsyncDisposable {
  readonly subtle: SubtleCrypto;
  /** The keys on the token. */
  readonly keyStorage: KeyStorage;
  /** The certificates on the token. */
  readonly certStorage: CertificateStorage;
  readonly #session: TokenSession;
  readonly #ownsSession: boolean;

  private constructor(session: TokenSession, ownsSession: boolean) {
    this.#session = session;
    this.#ownsSession = ownsSession;
    this.subtle = new TokenSubtle(session);
    this.keyStorage = new KeyStorage(session);
    this.certStorage = new CertificateStorage(session, this.keyStorage);
  }

  /**
   * Opens a session with a token. Asks for the PIN only when an operation needs it.
   * @throws {DOMException} NotFoundError, DataError: no token matches, or several do; OperationError with the
   *   CryptokiError as cause.
   */
  static open(options: TokenCryptoOptions): Promise<TokenCrypto> {
    return refusing(async () => {
      const { cryptoki, session, pin, readWrite = false } = options;
      if (session !== undefined) {
        const { slotID } = await cryptoki.C_GetSessionInfo(session);
        return new TokenCrypto(new TokenSession(cryptoki, session, new Slot(cryptoki, slotID), pin), false);
      }
      const slot =
        options.slot === undefined ? await findSlot(cryptoki, options.token) : new Slot(cryptoki, options.slot);
      const flags = CKF_SESSION.SERIAL_SESSION | (readWrite ? CKF_SESSION.RW_SESSION : 0);
      const handle = await cryptoki.C_OpenSession(slot.id, flags);
      return new TokenCrypto(new TokenSession(cryptoki, handle, slot, pin), true);
    });
  }

  /**
   * Logs the user in, unless a user is logged in. After a wrong PIN no operation asks for one again until this is
   * called, so that any number of waiting operations spends only one try.
   * @throws {DOMException} OperationError, with CKR_PIN_INCORRECT or CKR_PIN_LOCKED as its cause.
   */
  login(): Promise<void> {
    return refusing(() => {
      this.#session.pins.forgive();
      return this.#session.pins.login();
    });
  }

  /**
   * Ends the login, for all sessions of this application with the token. The next operation that needs the PIN asks for
   * it.
   */
  logout(): Promise<void> {
    return refusing(async () => {
      if (await this.#session.pins.isLoggedIn()) await this.#session.cryptoki.C_Logout(this.#session.handle);
    });
  }

  /** As the host's, but keys on the token are {@link TokenCryptoKey}s. */
  readonly CryptoKey: CryptoKeyConstructor = host.CryptoKey;

  /** As the host's. */
  readonly getRandomValues: Crypto["getRandomValues"] = (array) => host.getRandomValues(array);

  /** As the host's. */
  randomUUID(): ReturnType<Crypto["randomUUID"]> {
    return host.randomUUID();
  }

  /** Closes the session if it was opened here; with the last session of the token its login ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    // The sessions of a removed card are closed already.
    if (this.#ownsSession) await this.#session.cryptoki.C_CloseSession(this.#session.handle).catch(() => undefined);
  }
}
