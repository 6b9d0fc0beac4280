import { DataError, equalBytes, toHex, wipe } from "../bytes/index.ts";
import { ecdsaToDer, Hasher, hashLength } from "../crypto/index.ts";
import {
  type CK_MECHANISM,
  type CK_OBJECT_HANDLE,
  type CK_SESSION_HANDLE,
  CKA,
  CKD,
  CKK,
  CKM,
  CKO,
  publicHalfOf,
  type Template,
} from "../cryptoki/index.ts";
import { type CallOptions, type Signals, untilAborted } from "../async/index.ts";
import type { KeyQuery as WebKeyQuery, TokenCryptoKey } from "../webcrypto/index.ts";
import type { TokenAccess } from "./access.ts";
import { copyBytes, type DataInput, MAX_MESSAGE, partsOf, readAll } from "./data-input.ts";
import { checked, TokenError } from "./error.ts";
import type { VerifyForUse } from "./login.ts";
import { KeyObjects } from "./key-objects.ts";
import { type KeyPolicy, POLICY_ATTRIBUTES, policyOf } from "./key-policy.ts";
import type { DeletableKey } from "./key-writing.ts";
import { type Attestation, readAttestation } from "./attestation.ts";
import { certificatesWith } from "./certificate-search.ts";
import type { TokenCertificate } from "./certificate.ts";
import type { KeyInfo } from "./pin.ts";
import { type NewSecret, SecretKey, secretTemplate, unwrapMechanism } from "./secret-key.ts";
import { PublicKey } from "./public-key.ts";
import { decryptionMechanism, type Encryption, schemeFor, type SignatureScheme, type WholeScheme } from "./scheme.ts";
import { type SigningStream, signingStream } from "./signing-stream.ts";
import { fromWebCrypto } from "./web-crypto-error.ts";

/** An operation with the private key: `begin` names the key, `end` has the token compute. */
interface Operation<T> {
  readonly begin: (session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) => Promise<void>;
  readonly end: (session: CK_SESSION_HANDLE) => Promise<T>;
}

/** A secret that may be read, in the session that derived it. */
const SHARED_SECRET: Template = {
  [CKA.CLASS]: CKO.SECRET_KEY,
  [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
  [CKA.TOKEN]: false,
  [CKA.SENSITIVE]: false,
  [CKA.EXTRACTABLE]: true,
};

/** After these the login is made again, once: the token has forgotten it, or handles ended with it. */
const FORGOTTEN = ["CKR_USER_NOT_LOGGED_IN", "CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID"] as const;

/** A private key of a token, with its public half and certificate: all objects with one CKA_ID. */
export class Key implements KeyInfo {
  readonly id: string;
  readonly label: string;
  readonly reference: string | undefined;
  readonly #access: TokenAccess;
  readonly #id: Uint8Array;
  readonly #objects: KeyObjects;
  #publicKey: PublicKey | undefined;
  #alwaysAuthenticate: boolean | undefined;

  /**
   * @param handle Of the private key; without it, it is found by the CKA_ID.
   * @internal
   */
  constructor(
    access: TokenAccess,
    id: Uint8Array,
    label: string,
    reference: string | undefined,
    handle?: CK_OBJECT_HANDLE,
  ) {
    this.#access = access;
    this.#id = id;
    this.id = toHex(id);
    this.label = label;
    this.reference = reference;
    this.#objects = new KeyObjects(access, { id, label, name: nameOf(this) }, handle);
  }

  /** The PKCS #11 URI of the key. */
  async uri(options: CallOptions = {}): Promise<string> {
    const { signal } = checked(options);
    const object = { class: CKO.PRIVATE_KEY, label: this.label, id: this.#id };
    return this.#access.run(() => this.#access.uri(object, signal), signal);
  }

  /**
   * The public half, read once. Where the token shows it, no PIN is asked for.
   * @throws {TokenError} NO_OBJECT if nothing on the token tells it.
   */
  async publicKey(options: CallOptions = {}): Promise<PublicKey> {
    const { signal } = checked(options);
    return this.#access.inSession((session) => this.#readPublicKey(session, signal), signal);
  }

  async #readPublicKey(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<PublicKey> {
    return (this.#publicKey ??= await this.#findPublicKey(session, signal));
  }

  async #findPublicKey(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<PublicKey> {
    const access = this.#access;
    const source = {
      find: (template: Template) => access.find(session, template, signal),
      known: (object: CK_OBJECT_HANDLE, types: readonly number[]) => access.known(session, object, types, signal),
    };
    // A certificate without CKA_ID may be that of another key.
    const hasId = this.#id.length > 0;
    const classes = hasId ? [CKO.PUBLIC_KEY, CKO.CERTIFICATE, CKO.PRIVATE_KEY] : [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY];
    for (const objectClass of classes) {
      for (const object of await this.#objects.ofClass(session, objectClass, signal)) {
        const found = await parsed(publicHalfOf(source, object, this.#id));
        if (found) return PublicKey.of(found);
      }
    }
    throw new TokenError("NO_OBJECT", `nothing on the token tells the public half of ${this.#name}`);
  }

  /**
   * Signs data, which is hashed here; the token gets the hash. Ed25519 signs the message itself, of at most 1 MiB.
   * @returns RSA: as long as the modulus. ECDSA: r || s, or DER. Ed25519: 64 bytes.
   * @throws {TokenError} KEY_CANNOT, BAD_INPUT, NO_PIN_SOURCE, CKR_PIN_INCORRECT with `triesLeft`, TOKEN_GONE.
   */
  async sign(data: DataInput, options: SignatureScheme & CallOptions = {}): Promise<Uint8Array> {
    const { signal, ...scheme } = checked(options);
    const whole = await this.#scheme(scheme, signal);
    // Without a session: the data may take its time, and what makes it may use the token.
    const input = await inputOf(whole, data, [signal, this.#access.removed]);
    return this.#signInput(whole, input, signal);
  }

  /**
   * Signs a hash that was made elsewhere, with the hash that the scheme names.
   * @throws {TokenError} as {@link sign}; BAD_INPUT for a digest of a wrong length, KEY_CANNOT for Ed25519.
   */
  async signDigest(digest: Uint8Array, options: SignatureScheme & CallOptions = {}): Promise<Uint8Array> {
    const { signal, ...scheme } = checked(options);
    const own = copyBytes(digest, "the digest");
    const whole = await this.#scheme(scheme, signal);
    const { hash } = whole;
    if (hash === undefined) throw new TokenError("KEY_CANNOT", "an Ed25519 key signs the message, not a hash of it");
    const wanted = hashLength(hash);
    if (own.length !== wanted)
      throw new TokenError("BAD_INPUT", `a digest of ${own.length} bytes; ${hash} has ${wanted}`);
    return this.#signInput(whole, whole.input(own), signal);
  }

  /**
   * Signs what flows through: the data comes out unchanged, and `signature` resolves when the stream ends.
   * @throws {TokenError} by `signature`, as {@link sign}.
   */
  signStream(options: SignatureScheme & CallOptions = {}): SigningStream {
    checked(options);
    return signingStream((data) => this.sign(data, options));
  }

  async #scheme(scheme: SignatureScheme, signal?: AbortSignal): Promise<WholeScheme> {
    return schemeFor((await this.publicKey({ signal })).algorithm, scheme);
  }

  async #signInput({ mechanism, encoding }: WholeScheme, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const signature = await this.operate("sign", mechanism, input, { signal });
    return encoding === "der" ? ecdsaToDer(signature) : signature;
  }

  /**
   * Signs or decrypts with a mechanism of the caller's. With `insists` the PIN is given once more, for the use itself, if the card refuses
   * the key after a login.
   * @internal
   */
  operate(
    use: "sign" | "decrypt",
    mechanism: CK_MECHANISM,
    input: Uint8Array,
    { signal, insists = false }: CallOptions & { readonly insists?: boolean } = {},
  ): Promise<Uint8Array> {
    const { cryptoki } = this.#access;
    const operation: Operation<Uint8Array> =
      use === "decrypt"
        ? this.#decryption(mechanism, input, signal)
        : {
            begin: (own, key) => cryptoki.C_SignInit(own, mechanism, key, { signal }),
            end: (own) => cryptoki.C_Sign(own, input, { signal }),
          };
    return this.#withKey((given) => this.#operateWith(operation, given, signal, insists), signal);
  }

  /**
   * Decrypts a short message for an RSA key.
   * @returns The message; the caller wipes it.
   * @throws {TokenError} KEY_CANNOT for another key; CKR_ENCRYPTED_DATA_INVALID; as {@link sign}.
   */
  async decrypt(box: Uint8Array, options: Encryption & CallOptions = {}): Promise<Uint8Array> {
    const { signal, ...encryption } = checked(options);
    const mechanism = decryptionMechanism(encryption);
    const own = copyBytes(box, "the message");
    const { algorithm } = await this.publicKey({ signal });
    if (algorithm.type !== "rsa")
      throw new TokenError("KEY_CANNOT", `${this.#name} is no RSA key: it does not decrypt`);
    return this.operate("decrypt", mechanism, own, { signal });
  }

  #decryption(mechanism: CK_MECHANISM, box: Uint8Array, signal?: AbortSignal): Operation<Uint8Array> {
    const { cryptoki } = this.#access;
    return {
      begin: (own, key) => cryptoki.C_DecryptInit(own, mechanism, key, { signal }),
      end: (own) => cryptoki.C_Decrypt(own, box, { signal }),
    };
  }

  /**
   * Agrees on a secret with another party's public key: the x coordinate of the shared point (SP 800-56A section 5.7.1.2), X25519's
   * u coordinate. Derive keys from it, with HKDF for one; it is no key itself.
   * @returns As long as the curve; the caller wipes it.
   * @throws {TokenError} KEY_CANNOT for RSA and Ed25519; BAD_INPUT for a key on another curve.
   */
  async deriveSecret(peer: PublicKey | Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const { signal } = checked(options);
    const other = peer instanceof PublicKey ? peer : new PublicKey(peer);
    requireAgreement(await this.publicKey({ signal }), other, this.#name);
    const parameter = { kdf: CKD.NULL, pPublicData: other.toPoint() };
    return this.derive({ mechanism: CKM.ECDH1_DERIVE, parameter }, { signal });
  }

  /**
   * Derives a secret with a mechanism of the caller's, who wipes it.
   * @internal
   */
  async derive(mechanism: CK_MECHANISM, options: CallOptions = {}): Promise<Uint8Array> {
    const { signal } = checked(options);
    return this.#withKey(
      () => this.#inSession((session, key) => this.#derive(session, mechanism, key, signal), signal),
      signal,
    );
  }

  async #derive(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const { cryptoki } = this.#access;
    const touching = await this.#objects.touching(session, key, this, signal);
    const secret = await touching(() => cryptoki.C_DeriveKey(session, mechanism, key, SHARED_SECRET, { signal }));
    try {
      return (await cryptoki.C_GetAttributeValue(session, secret, [CKA.VALUE]))[CKA.VALUE];
    } finally {
      await cryptoki.C_DestroyObject(session, secret).catch(() => undefined);
    }
  }

  /**
   * The key for libraries that take a CryptoKey with the `crypto` of {@link Token.webCrypto}.
   * @param options `algorithm`; default: PKCS #1 v1.5 with SHA-256 for RSA keys that sign; what a key on a curve is for.
   */
  async toCryptoKey(
    options: CallOptions & { readonly algorithm?: WebKeyQuery["algorithm"] } = {},
  ): Promise<TokenCryptoKey> {
    const { signal, algorithm } = checked(options);
    const access = this.#access;
    if (this.id === "") throw new TokenError("NOT_SUPPORTED", `${this.#name} has no CKA_ID to find it by`);
    return access.run(async () => {
      const crypto = await access.openWebCrypto?.(signal);
      if (!crypto) throw new TokenError("NOT_SUPPORTED", "the key was not found by its token");
      const { keyStorage } = crypto;
      const query = { id: this.#id, ...(algorithm !== undefined && { algorithm }) };
      return untilAborted(keyStorage.privateKey(query), signal).catch(fromWebCrypto);
    }, signal);
  }

  /**
   * The certificate of this key: the one with its CKA_ID and its public key.
   * @throws {TokenError} NO_OBJECT; SEVERAL_OBJECTS with their subjects in `candidates`.
   */
  async certificate(options: CallOptions = {}): Promise<TokenCertificate> {
    const { signal } = checked(options);
    const access = this.#access;
    const found = await access.inSession(async (session) => {
      if (this.#id.length === 0) return [];
      const certificates = await certificatesWith(access, session, { [CKA.ID]: this.#id }, signal);
      const [only, ...others] = certificates;
      if (only === undefined || others.length === 0) return certificates;
      const { spki } = await this.#readPublicKey(session, signal);
      return certificates.filter((certificate) => equalBytes(certificate.publicKey.spki, spki));
    }, signal);
    const [only, ...others] = found;
    if (!only) throw new TokenError("NO_OBJECT", `there is no certificate for ${this.#name} on the token`);
    if (others.length === 0) return only;
    throw new TokenError("SEVERAL_OBJECTS", `${found.length} certificates are for ${this.#name}`, {
      candidates: found.map(({ subject }) => subject),
    });
  }

  /** When the key wants the PIN and a touch, and where it comes from. Cards that do not tell it before a login ask for the PIN. */
  async policy(options: CallOptions = {}): Promise<KeyPolicy> {
    const { signal } = checked(options);
    const access = this.#access;
    const read = (objectClass: number): Promise<KeyPolicy | undefined> =>
      access.inSession(async (session) => {
        const [object] = await this.#objects.ofClass(session, objectClass, signal);
        if (object === undefined) return undefined;
        return policyOf(
          await access.known(session, object, POLICY_ATTRIBUTES, signal),
          objectClass === CKO.PRIVATE_KEY,
        );
      }, signal);
    const shown = (await read(CKO.PRIVATE_KEY)) ?? (await read(CKO.PUBLIC_KEY));
    if (shown && shown.pin !== "unknown") return shown;
    if (access.login.canAsk) {
      const known = await this.#withKey(() => read(CKO.PRIVATE_KEY), signal);
      if (known) return known;
    }
    if (shown) return shown;
    throw new TokenError("NO_OBJECT", `the token shows nothing of ${this.#name} before a login`);
  }

  /**
   * Has the card prove that it made this key itself. The certificates are not checked here: the chain must end at the maker's, and the
   * first must be for {@link publicKey}.
   * @throws {TokenError} KEY_CANNOT for a key that was brought to the card, and on cards that attest nothing.
   */
  async attest(options: CallOptions = {}): Promise<Attestation> {
    const { signal } = checked(options);
    const access = this.#access;
    const found = await access.inSession(async (session) => {
      for (const objectClass of [CKO.PUBLIC_KEY, CKO.PRIVATE_KEY]) {
        for (const object of await this.#objects.ofClass(session, objectClass, signal)) {
          const attestation = await readAttestation(access, session, object, signal);
          if (attestation) return attestation;
        }
      }
      return undefined;
    }, signal);
    if (found) return found;
    throw new TokenError(
      "KEY_CANNOT",
      `the card does not attest ${this.#name}: it attests the keys that it made, if it attests any`,
    );
  }

  /**
   * Decrypts a key that was encrypted for this RSA key: with OAEP and SHA-256, or as the options say. It stays on the token, where that has
   * secret keys.
   * @returns The key; dispose of it when it is no longer needed.
   * @throws {TokenError} KEY_CANNOT for another key; CKR_WRAPPED_KEY_INVALID; as {@link sign}.
   */
  async unwrap(wrapped: Uint8Array, { signal, ...wanted }: NewSecret & Encryption & CallOptions): Promise<SecretKey> {
    const template = secretTemplate(wanted);
    const mechanism = unwrapMechanism(wanted);
    const own = copyBytes(wrapped, "the wrapped key");
    const { algorithm } = await this.publicKey({ signal });
    if (algorithm.type !== "rsa")
      throw new TokenError("KEY_CANNOT", `${this.#name} is no RSA key: it does not unwrap keys`);
    const access = this.#access;
    const { cryptoki } = access;
    return this.#withKey(async (given) => {
      if (await this.#isAlwaysAuthenticated(signal)) {
        // C_UnwrapKey is one call: there is no place for the PIN of this use.
        const value = await this.#operateWith(this.#decryption(mechanism, own, signal), given, signal);
        try {
          const filled = { ...template, [CKA.VALUE]: value };
          return await SecretKey.make(
            access,
            (session) => cryptoki.C_CreateObject(session, filled, { signal }),
            signal,
          );
        } finally {
          wipe(value);
        }
      }
      const key = await access.inSession((session) => this.#objects.privateKey(session, signal), signal);
      const unwrap = (session: CK_SESSION_HANDLE): Promise<CK_OBJECT_HANDLE> =>
        cryptoki.C_UnwrapKey(session, mechanism, key, own, template, { signal });
      return SecretKey.make(access, unwrap, signal);
    }, signal);
  }

  /**
   * For the deletion through its own token.
   * @internal
   */
  deletable(access: TokenAccess): DeletableKey {
    if (access !== this.#access) throw new TokenError("BAD_INPUT", "the key is of another token");
    return {
      name: this.#name,
      objects: (session, objectClass, signal) => this.#objects.ofClass(session, objectClass, signal),
    };
  }

  /** Whether this is the key of `publicKey`. */
  async hasPublicKey(publicKey: PublicKey, options: CallOptions = {}): Promise<boolean> {
    return equalBytes((await this.publicKey(options)).spki, publicKey.spki);
  }

  get #name(): string {
    return nameOf(this);
  }

  /** An operation of two calls, with the PIN in between where the key wants it for each use. */
  async #operateWith<T>(
    { begin, end }: Operation<T>,
    given: Uint8Array | undefined,
    signal?: AbortSignal,
    insists = false,
  ): Promise<T> {
    const run = (verify?: VerifyForUse): Promise<T> =>
      this.#inSession(async (session, key) => {
        const touching = await this.#objects.touching(session, key, this, signal);
        await begin(session, key);
        await verify?.(session);
        return touching(() => end(session));
      }, signal);
    const access = this.#access;
    if (!(await this.#isAlwaysAuthenticated(signal))) {
      try {
        return await run();
      } catch (error) {
        const isRefused = error instanceof TokenError && error.is("CKR_FUNCTION_REJECTED");
        if (!isRefused || !insists || !(await access.run(() => access.login.isLoggedIn(), signal))) throw error;
      }
    }
    return access.run(() => access.login.use(this, given, run, signal), signal);
  }

  async #isAlwaysAuthenticated(signal?: AbortSignal): Promise<boolean> {
    this.#alwaysAuthenticate ??= await this.#inSession((own, key) => this.#wantsPinEachTime(own, key, signal), signal);
    return this.#alwaysAuthenticate;
  }

  /** Runs `work` with a session and the private key. */
  #inSession<T>(
    work: (session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    return this.#access.inSession(
      async (session) => work(session, await this.#objects.privateKey(session, signal)),
      signal,
    );
  }

  async #wantsPinEachTime(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, signal?: AbortSignal): Promise<boolean> {
    const known = await this.#access.known(session, key, [CKA.ALWAYS_AUTHENTICATE], signal);
    return known[CKA.ALWAYS_AUTHENTICATE] ?? false;
  }

  /**
   * Runs `work`, logged in where that takes a login. A login that the token has forgotten is made again, once. The PIN is asked for without
   * a session: other work goes on meanwhile.
   */
  #withKey<T>(work: (given: Uint8Array | undefined) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const access = this.#access;
    return access.asUser(() => this.#withLogin(work, signal), signal);
  }

  async #withLogin<T>(work: (given: Uint8Array | undefined) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const access = this.#access;
    const login = (): Promise<Uint8Array | undefined> => access.run(() => access.login.ensure(this, signal), signal);
    let given: Uint8Array | undefined;
    try {
      const known = await access.inSession((session) => this.#objects.findPrivateKey(session, signal), signal);
      if (known === undefined) given = await login();
      try {
        return await work(given);
      } catch (error) {
        if (!(error instanceof TokenError && error.is(...FORGOTTEN)) || given) throw error;
        this.#objects.forget();
        given = await login();
        return await work(given);
      }
    } finally {
      if (given) wipe(given);
    }
  }
}

const nameOf = ({ reference, label }: KeyInfo): string =>
  reference === undefined ? `the key "${label}"` : `key ${reference}`;

/** @throws {TokenError} BAD_INPUT for a public key that does not parse, or whose type is not known here. */
async function parsed<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", `the key's public half cannot be used: ${cause.message}`, { cause });
  }
}

async function inputOf(scheme: WholeScheme, data: DataInput, signals: Signals): Promise<Uint8Array> {
  if (scheme.hash === undefined) return scheme.input(await readAll(data, MAX_MESSAGE, signals));
  const hasher = new Hasher(scheme.hash);
  for await (const part of partsOf(data, signals)) hasher.update(part);
  return scheme.input(hasher.digest());
}

function requireAgreement(own: PublicKey, other: PublicKey, name: string): void {
  const isCurve = own.algorithm.type === "ec" || own.algorithm.type === "x25519";
  if (!isCurve) throw new TokenError("KEY_CANNOT", `${name} is of type ${own.algorithm.type}: it agrees on no secrets`);
  const fits =
    own.algorithm.type === "ec"
      ? other.algorithm.type === "ec" && other.algorithm.curve === own.algorithm.curve
      : other.algorithm.type === own.algorithm.type;
  if (!fits) throw new TokenError("BAD_INPUT", "the other party's key is on another curve");
}
