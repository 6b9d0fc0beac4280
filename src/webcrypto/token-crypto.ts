import { CKF_SESSION, type CryptokiFunctions } from "../cryptoki/index.ts";
import { CertificateStorage } from "./certificate-storage.ts";
import { type Crypto, type CryptoKeyConstructor, host, refusing, type SubtleCrypto } from "./platform.ts";
import { KeyStorage } from "./key-storage.ts";
import { findSlot, type PinSource, Slot, TokenSession } from "./token-session.ts";
import { TokenSubtle } from "./subtle.ts";

/** Which token, and how its PIN is come by. */
export interface TokenCryptoOptions {
  /** Initialised: C_Initialize and C_Finalize are its owner's. */
  readonly cryptoki: CryptokiFunctions;
  /** A PKCS #11 URI (RFC 7512) that one token fits. Without it, and without `slot` or `session`, the only token there is. */
  readonly token?: string;
  /** The slot that the token is in. */
  readonly slot?: number;
  /** A session that is open, and stays open afterwards. What is under way in it must not be disturbed meanwhile. */
  readonly session?: number;
  /** Asked when something wants the user's PIN; without it only what is public, or open already, can be used. */
  readonly pin?: PinSource;
  /** Opens a read/write session, for storing certificates and making keys. */
  readonly readWrite?: boolean;
}

/**
 * The W3C's Web Cryptography API with the private keys of a token (a smart card, an HSM): what is written for `crypto` signs,
 * decrypts and derives with them unchanged.
 *
 *     await using crypto = await TokenCrypto.open({ cryptoki, token: "pkcs11:token=...", pin: () => askForPin() });
 *     const { privateKey, publicKey } = await crypto.keyStorage.pair({ label: "..." });
 *     const signature = await crypto.subtle.sign(privateKey.algorithm, privateKey, data);
 *
 * Keys that are not the token's, and everything done with them, are the host's.
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
   * Opens a session with a token. The PIN is not asked for before something wants it.
   * @throws {DOMException} NotFoundError, DataError: no token fits, or several do; OperationError with the CryptokiError as cause.
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
   * Logs the user in, if nobody is. After a wrong PIN nothing asks for one again before this is called, so that no number of waiting
   * operations spends more than one try.
   * @throws {DOMException} OperationError, with CKR_PIN_INCORRECT or CKR_PIN_LOCKED as its cause.
   */
  login(): Promise<void> {
    return refusing(() => {
      this.#session.pins.forgive();
      return this.#session.pins.login();
    });
  }

  /** Ends the login, for all sessions of this application with the token. What needs it next asks for the PIN again. */
  logout(): Promise<void> {
    return refusing(async () => {
      if (await this.#session.pins.isLoggedIn()) await this.#session.cryptoki.C_Logout(this.#session.handle);
    });
  }

  /** As the host's; what is on the token is a {@link TokenCryptoKey}. */
  readonly CryptoKey: CryptoKeyConstructor = host.CryptoKey;

  /** As the host's. */
  readonly getRandomValues: Crypto["getRandomValues"] = (array) => host.getRandomValues(array);

  /** As the host's. */
  randomUUID(): ReturnType<Crypto["randomUUID"]> {
    return host.randomUUID();
  }

  /** Ends the session, if it was opened here, and with the last session of the token its login. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A card that was pulled has no session to end.
    if (this.#ownsSession) await this.#session.cryptoki.C_CloseSession(this.#session.handle).catch(() => undefined);
  }
}
