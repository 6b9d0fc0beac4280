import type { CK_SESSION_HANDLE, CK_SLOT_ID, CryptokiFunctions } from "../cryptoki/index.ts";
import { type PinSource, type Token, TokenSource } from "../tokens/parts.ts";
import { CertificateStorage } from "./certificate-storage.ts";
import { type Crypto, type CryptoKeyConstructor, host, refusing, type SubtleCrypto } from "./platform.ts";
import { KeyStorage } from "./key-storage.ts";
import { TokenSubtle } from "./subtle.ts";

/** Options: the token to use, and how to get its PIN. */
export interface TokenCryptoOptions {
  /** Initialised; its owner calls C_Initialize and C_Finalize. */
  readonly cryptoki: CryptokiFunctions;
  /** A PKCS #11 URI (RFC 7512) that matches one token. Default, without `slot` and `session`: the only token. */
  readonly token?: string;
  /** The slot with the token. */
  readonly slot?: CK_SLOT_ID;
  /** An open session with the token, which stays open afterwards: its login is the application's, and holds here. */
  readonly session?: CK_SESSION_HANDLE;
  /**
   * Called when an operation needs the user's PIN. Without it only public objects, and those of a login made elsewhere,
   * can be used.
   */
  readonly pin?: PinSource;
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
  readonly #token: Token;
  /** What the token was opened with, if that was done here. */
  readonly #source: TokenSource | undefined;

  private constructor(token: Token, source?: TokenSource) {
    this.#token = token;
    this.#source = source;
    this.subtle = new TokenSubtle(token);
    this.keyStorage = new KeyStorage(token);
    this.certStorage = new CertificateStorage(token, this.keyStorage);
  }

  /** The API over a token that is open, with its login. @internal */
  static of(token: Token): TokenCrypto {
    return new TokenCrypto(token);
  }

  /**
   * Opens a token. Asks for the PIN only when an operation needs it.
   * @throws {DOMException} NotFoundError, DataError: no token matches, or several do; OperationError with the
   *   CryptokiError as cause.
   */
  static open(options: TokenCryptoOptions): Promise<TokenCrypto> {
    return refusing(async () => {
      const { cryptoki, session, pin } = options;
      // C_Initialize and C_Finalize are its owner's.
      const source = new TokenSource({ cryptoki, pin, watches: false, close: () => Promise.resolve() });
      try {
        const slot = session === undefined ? options.slot : (await cryptoki.C_GetSessionInfo(session)).slotID;
        return new TokenCrypto(await source.token(slot === undefined ? options.token : { slot }), source);
      } catch (error) {
        await source.close();
        throw error;
      }
    });
  }

  /**
   * Logs the user in, unless a user is logged in. After a wrong PIN no operation asks for one again until this is
   * called, so that any number of waiting operations spends only one try.
   * @throws {DOMException} OperationError, with CKR_PIN_INCORRECT or CKR_PIN_LOCKED as its cause.
   */
  login(): Promise<void> {
    return refusing(() => this.#token.login());
  }

  /**
   * Ends the login, for all sessions of this application with the token. The next operation that needs the PIN asks for
   * it.
   */
  logout(): Promise<void> {
    return refusing(() => this.#token.logout());
  }

  /** As the host's, but keys on the token are {@link TokenCryptoKey}s. */
  readonly CryptoKey: CryptoKeyConstructor = host.CryptoKey;

  /** As the host's. */
  readonly getRandomValues: Crypto["getRandomValues"] = (array) => host.getRandomValues(array);

  /** As the host's. */
  randomUUID(): ReturnType<Crypto["randomUUID"]> {
    return host.randomUUID();
  }

  /** Closes the token if it was opened here; with its sessions the login ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source?.close();
  }
}
