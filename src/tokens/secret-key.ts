import { type CallOptions, SerialQueue } from "../async/index.ts";
import {
  type CK_MECHANISM,
  type CK_OBJECT_HANDLE,
  type CK_SESSION_HANDLE,
  CKA,
  CKK,
  CKM,
  CKO,
  type Template,
} from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { copyBytes } from "./data-input.ts";
import { checked, TokenError } from "./error.ts";
import { decryptionMechanism, type Encryption } from "./scheme.ts";

/** What kind of secret key it is, and what may be done with it. */
export interface NewSecret {
  /** "aes" encrypts, decrypts and wraps; "generic" is a secret of any length. */
  readonly type: "aes" | "generic";
  /** CKA_LABEL. */
  readonly label?: string;
  /** Whether {@link SecretKey.export} and {@link SecretKey.wrap} may take it off the token; default: false. */
  readonly extractable?: boolean;
  /** Whether it stays on the token after its disposal; default: false. Cards store no secret keys. */
  readonly store?: boolean;
}

/** How a secret key encrypts. */
export interface Cipher {
  /** "gcm": AES-GCM, the 16 bytes of the tag after the ciphertext (SP 800-38D). "cbc": AES-CBC with the padding of PKCS #7. */
  readonly mode: "gcm" | "cbc";
  /** 12 bytes for GCM, another one for each message; 16 unpredictable bytes for CBC. */
  readonly iv: Uint8Array;
  /** GCM only: what is authenticated and not encrypted. */
  readonly aad?: Uint8Array;
}

/** Of the tag of AES-GCM, in bits. */
const TAG_BITS = 128;
const IV_LENGTH = { gcm: 12, cbc: 16 } as const;

/**
 * A secret key of a token, or of a session with it, where it is gone after the disposal. It has a session of its own.
 *
 *     await using key = await privateKey.unwrap(wrapped, { type: "aes" });
 *     const plain = await key.decrypt(box, { mode: "gcm", iv });
 */
export class SecretKey implements AsyncDisposable {
  readonly #access: TokenAccess;
  readonly #session: CK_SESSION_HANDLE;
  readonly #handle: CK_OBJECT_HANDLE;
  /** A session has one operation of each kind at a time. */
  readonly #queue = new SerialQueue();
  #disposed = false;

  private constructor(access: TokenAccess, session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE) {
    this.#access = access;
    this.#session = session;
    this.#handle = handle;
  }

  /**
   * @param make Makes or finds the key in the session that it gets.
   * @internal
   */
  static make(
    access: TokenAccess,
    make: (session: CK_SESSION_HANDLE) => Promise<CK_OBJECT_HANDLE>,
    signal?: AbortSignal,
  ): Promise<SecretKey> {
    return access.run(async () => {
      const session = await access.pool.openAlone(signal);
      try {
        return new SecretKey(access, session, await make(session));
      } catch (error) {
        await access.pool.closeAlone(session);
        throw error;
      }
    }, signal);
  }

  /** @throws {TokenError} BAD_INPUT for an IV of a wrong length; CKR_MECHANISM_INVALID if the token has no such cipher. */
  async encrypt(data: Uint8Array, options: Cipher & CallOptions): Promise<Uint8Array> {
    const { signal, ...cipher } = checked(options);
    const mechanism = cipherMechanism(cipher);
    const own = copyBytes(data, "the data");
    const { cryptoki } = this.#access;
    return this.#run(async (session, key) => {
      await cryptoki.C_EncryptInit(session, mechanism, key, { signal });
      return cryptoki.C_Encrypt(session, own, { signal });
    }, signal);
  }

  /** @throws {TokenError} As {@link encrypt}; CKR_ENCRYPTED_DATA_INVALID for a message that was changed, or is of another key. */
  async decrypt(data: Uint8Array, options: Cipher & CallOptions): Promise<Uint8Array> {
    const { signal, ...cipher } = checked(options);
    const mechanism = cipherMechanism(cipher);
    const own = copyBytes(data, "the message");
    const { cryptoki } = this.#access;
    return this.#run(async (session, key) => {
      await cryptoki.C_DecryptInit(session, mechanism, key, { signal });
      return cryptoki.C_Decrypt(session, own, { signal });
    }, signal);
  }

  /**
   * Encrypts another key with this one: AES Key Wrap (RFC 3394), or with padding (RFC 5649).
   * @throws {TokenError} CKR_KEY_UNEXTRACTABLE for a key that was not made `extractable`; BAD_INPUT for a key of another token.
   */
  async wrap(
    key: SecretKey,
    { signal, mode = "kw" }: CallOptions & { readonly mode?: "kw" | "kwp" } = {},
  ): Promise<Uint8Array> {
    const mechanism = wrapMechanism(mode);
    if (!(key instanceof SecretKey) || key.#access !== this.#access) {
      throw new TokenError("BAD_INPUT", "the key to wrap is a SecretKey of the same token");
    }
    const { cryptoki } = this.#access;
    return this.#run((session, own) => cryptoki.C_WrapKey(session, mechanism, own, key.#handle, { signal }), signal);
  }

  /** Takes {@link wrap} off again. @returns The key; dispose of it when it is no longer needed. */
  async unwrap(
    wrapped: Uint8Array,
    { signal, mode = "kw", ...wanted }: NewSecret & CallOptions & { readonly mode?: "kw" | "kwp" },
  ): Promise<SecretKey> {
    const mechanism = wrapMechanism(mode);
    const template = secretTemplate(wanted);
    const own = copyBytes(wrapped, "the wrapped key");
    const { cryptoki } = this.#access;
    const make = (session: CK_SESSION_HANDLE): Promise<CK_OBJECT_HANDLE> =>
      cryptoki.C_UnwrapKey(session, mechanism, this.#handle, own, template, { signal });
    return this.#run(() => SecretKey.make(this.#access, make, signal), signal);
  }

  /** The key itself; the caller wipes it. @throws {TokenError} KEY_CANNOT for a key that was not made `extractable`. */
  async export(options: CallOptions = {}): Promise<Uint8Array> {
    const { signal } = checked(options);
    const access = this.#access;
    return this.#run(async (session, key) => {
      const { [CKA.VALUE]: value } = await access.known(session, key, [CKA.VALUE], signal);
      if (value) return value;
      throw new TokenError("KEY_CANNOT", "the key is not extractable: it stays on the token");
    }, signal);
  }

  #run<T>(work: (session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#access.run(
      () =>
        this.#queue.run(() => {
          if (this.#disposed) throw new TokenError("NO_OBJECT", "the secret key was disposed of");
          return work(this.#session, this.#handle);
        }, signal),
      signal,
    );
  }

  /** Closes its session; a key that is not stored on the token ends with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#queue.run(() => this.#access.pool.closeAlone(this.#session));
  }
}

/** @throws {TokenError} BAD_INPUT. */
export function secretTemplate({ type, label, extractable = false, store = false }: NewSecret): Template {
  const given: unknown = type;
  if (given !== "aes" && given !== "generic") {
    throw new TokenError("BAD_INPUT", `no type of secret key "${String(given)}"; there are aes, generic`);
  }
  return {
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: given === "aes" ? CKK.AES : CKK.GENERIC_SECRET,
    [CKA.TOKEN]: store,
    [CKA.PRIVATE]: store,
    [CKA.SENSITIVE]: !extractable,
    [CKA.EXTRACTABLE]: extractable,
    ...(label !== undefined && { [CKA.LABEL]: label }),
    ...(given === "aes" && {
      [CKA.ENCRYPT]: true,
      [CKA.DECRYPT]: true,
      [CKA.WRAP]: true,
      [CKA.UNWRAP]: true,
    }),
  };
}

/** How a key that was encrypted for an RSA key is unwrapped. */
export const unwrapMechanism = (options: Encryption): CK_MECHANISM => decryptionMechanism(options);

function cipherMechanism({ mode, iv, aad }: Cipher): CK_MECHANISM {
  const given: unknown = mode;
  if (given !== "gcm" && given !== "cbc") {
    throw new TokenError("BAD_INPUT", `no mode "${String(given)}"; there are gcm, cbc`);
  }
  const own = copyBytes(iv, "the iv");
  const wanted = IV_LENGTH[given];
  if (own.length !== wanted) throw new TokenError("BAD_INPUT", `an iv of ${own.length} bytes; ${given} has ${wanted}`);
  if (given === "cbc") {
    if (aad !== undefined) throw new TokenError("BAD_INPUT", "aad does not apply to cbc");
    return { mechanism: CKM.AES_CBC_PAD, parameter: own };
  }
  const pAAD = aad === undefined ? undefined : copyBytes(aad, "the aad");
  return { mechanism: CKM.AES_GCM, parameter: { pIv: own, ...(pAAD && { pAAD }), ulTagBits: TAG_BITS } };
}

function wrapMechanism(mode: "kw" | "kwp"): CK_MECHANISM {
  const given: unknown = mode;
  if (given === "kw") return { mechanism: CKM.AES_KEY_WRAP };
  if (given === "kwp") return { mechanism: CKM.AES_KEY_WRAP_KWP };
  throw new TokenError("BAD_INPUT", `no mode "${String(given)}"; there are kw, kwp`);
}
