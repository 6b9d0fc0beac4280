import type { CallOptions } from "../async/index.ts";
import { DataError, fromHex, toHex, wipe } from "../bytes/index.ts";
import { type CK_SESSION_HANDLE, CKA, CKO, isUri, parseUri, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenCertificate } from "./certificate.ts";
import { checked, TokenError } from "./error.ts";
import { Key } from "./key.ts";
import { PublicKey } from "./public-key.ts";
import type { KeyAlgorithm } from "./scheme.ts";

export type KeyUse = "sign" | "decrypt" | "derive" | "unwrap";

/** Which key is wanted: all that is given must be true of it. */
export interface KeyDescription {
  /** CKA_ID; text is hexadecimal. */
  readonly id?: string | Uint8Array;
  /** CKA_LABEL of the private key, the public key or the certificate. */
  readonly label?: string;
  /** The name that the card has for the key: "9a" on a PIV card. */
  readonly reference?: string;
  readonly use?: KeyUse;
  readonly type?: KeyAlgorithm["type"];
  /** SHA-256 of the public key's SubjectPublicKeyInfo, hexadecimal. */
  readonly fingerprint?: string;
  /** A certificate of the key: as the token gave it, or X.509 in DER or PEM. */
  readonly certificate?: TokenCertificate | Uint8Array | string;
  readonly publicKey?: PublicKey;
}

/** A PKCS #11 URI, or a description. */
export type KeyQuery = string | KeyDescription;

const PERMISSION = { sign: CKA.SIGN, decrypt: CKA.DECRYPT, derive: CKA.DERIVE, unwrap: CKA.UNWRAP } as const;
/** The same of the public half. */
const PUBLIC_PERMISSION = { sign: CKA.VERIFY, decrypt: CKA.ENCRYPT, derive: CKA.DERIVE, unwrap: CKA.WRAP } as const;

/** CKA_UNIQUE_ID of a key whose card has two hexadecimal digits as its name. */
const REFERENCE = /^([0-9A-F]{2})\.(?:private|public)-key$/u;

/** The private keys of a token. */
export class Keys {
  readonly #access: TokenAccess;

  /** @internal */
  constructor(access: TokenAccess) {
    this.#access = access;
  }

  /**
   * The keys that fit. Before a login those are found whose public half the token shows; if there is none, and there is a way to ask for
   * the PIN, it is asked for.
   * @throws {TokenError} BAD_INPUT for a query that cannot be read.
   */
  async *find(query: KeyQuery = {}, options: CallOptions = {}): AsyncGenerator<Key> {
    const { signal } = checked(options);
    const wanted = readQuery(query);
    const found = await this.#find(wanted, signal);
    for (const key of found) if (await this.#fits(key, wanted, signal)) yield key;
  }

  /**
   * The only key that fits.
   * @throws {TokenError} NO_OBJECT; SEVERAL_OBJECTS with their URIs in `candidates`.
   */
  async get(query: KeyQuery = {}, options: CallOptions = {}): Promise<Key> {
    const { signal } = checked(options);
    const found: Key[] = [];
    for await (const key of this.find(query, { signal })) found.push(key);
    const [only, ...others] = found;
    if (!only) throw new TokenError("NO_OBJECT", "no key on the token fits the query");
    if (others.length === 0) return only;
    const candidates = await Promise.all(found.map((key) => key.uri({ signal })));
    throw new TokenError("SEVERAL_OBJECTS", `${found.length} keys fit the query; describe one of them`, { candidates });
  }

  async #find(wanted: WantedKey, signal?: AbortSignal): Promise<readonly Key[]> {
    const access = this.#access;
    const { login } = access;
    const search = (classes: readonly number[]): Promise<readonly Key[]> =>
      access.inSession((session) => this.#search(session, classes, wanted, signal), signal);
    const isLoggedIn = await access.run(() => login.isLoggedIn(), signal);
    const found = await search(isLoggedIn ? [CKO.PRIVATE_KEY] : [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]);
    if (found.length > 0 || isLoggedIn || !login.canAsk) return found;
    const pin = await access.run(() => login.ensure(undefined, signal), signal);
    if (pin) wipe(pin);
    return search([CKO.PRIVATE_KEY]);
  }

  async #search(
    session: CK_SESSION_HANDLE,
    classes: readonly number[],
    wanted: WantedKey,
    signal?: AbortSignal,
  ): Promise<readonly Key[]> {
    const ids = wanted.label === undefined ? undefined : await this.#idsOf(session, wanted.label, signal);
    const keys = new Map<string, Key>();
    for (const objectClass of classes) {
      const template: Template = {
        [CKA.CLASS]: objectClass,
        ...(wanted.id && { [CKA.ID]: wanted.id }),
        ...(wanted.reference !== undefined && { [CKA.UNIQUE_ID]: uniqueId(wanted.reference, objectClass) }),
      };
      for (const object of await this.#access.find(session, template, signal)) {
        const types = [CKA.ID, CKA.LABEL, CKA.UNIQUE_ID];
        const known = await this.#access.known(session, object, types, signal);
        const { [CKA.ID]: id = new Uint8Array(), [CKA.LABEL]: label = "", [CKA.UNIQUE_ID]: unique = "" } = known;
        // An empty CKA_ID connects nothing: such objects are told apart by their labels.
        const name = id.length > 0 ? toHex(id) : `label ${label}`;
        if (keys.has(name)) continue;
        if (ids && !(id.length > 0 ? ids.has(name) : label === wanted.label)) continue;
        if (wanted.use && !(await this.#allows(session, object, objectClass, wanted.use, signal))) continue;
        keys.set(name, new Key(this.#access, id, label, REFERENCE.exec(unique)?.[1]?.toLowerCase()));
      }
    }
    return [...keys.values()];
  }

  /** The CKA_IDs of the key objects and certificates with a label. */
  async #idsOf(session: CK_SESSION_HANDLE, label: string, signal?: AbortSignal): Promise<ReadonlySet<string>> {
    const ids = new Set<string>();
    for (const objectClass of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY, CKO.CERTIFICATE]) {
      const template = { [CKA.CLASS]: objectClass, [CKA.LABEL]: label };
      for (const object of await this.#access.find(session, template, signal)) {
        const { [CKA.ID]: id } = await this.#access.known(session, object, [CKA.ID], signal);
        if (id && id.length > 0) ids.add(toHex(id));
      }
    }
    return ids;
  }

  async #allows(
    session: CK_SESSION_HANDLE,
    object: number,
    objectClass: number,
    use: KeyUse,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const type: number = (objectClass === CKO.PRIVATE_KEY ? PERMISSION : PUBLIC_PERMISSION)[use];
    const known = await this.#access.known(session, object, [type], signal);
    return (known as Record<number, unknown>)[type] === true;
  }

  async #fits(key: Key, { publicKey, fingerprint, type }: WantedKey, signal?: AbortSignal): Promise<boolean> {
    if (!publicKey && fingerprint === undefined && type === undefined) return true;
    const own = await key.publicKey({ signal }).catch((error: unknown) => {
      // A key whose public half the token does not tell, or whose type is not known here, does not fit.
      if (error instanceof TokenError && error.is("NO_OBJECT", "BAD_INPUT")) return undefined;
      throw error;
    });
    return (
      own !== undefined &&
      (publicKey === undefined || toHex(own.spki) === toHex(publicKey.spki)) &&
      (fingerprint === undefined || own.fingerprint() === fingerprint) &&
      (type === undefined || own.algorithm.type === type)
    );
  }
}

interface WantedKey {
  readonly id: Uint8Array | undefined;
  readonly label: string | undefined;
  readonly reference: string | undefined;
  readonly use: KeyUse | undefined;
  readonly type: KeyAlgorithm["type"] | undefined;
  readonly fingerprint: string | undefined;
  readonly publicKey: PublicKey | undefined;
}

function uniqueId(reference: string, objectClass: number): string {
  return `${reference.toUpperCase()}.${objectClass === CKO.PRIVATE_KEY ? "private-key" : "public-key"}`;
}

function readQuery(query: KeyQuery): WantedKey {
  if (typeof query === "string") return { ...NOTHING, ...readObjectUri(query, "a key") };
  requireDescription(query, "a key", ["label", "reference", "use", "type", "fingerprint"]);
  const { certificate, publicKey, reference, fingerprint, id, label, use, type } = query;
  if (reference !== undefined && !/^[0-9a-f]{2}$/iu.test(reference)) {
    throw new TokenError(
      "BAD_INPUT",
      `a reference is the card's own name of a key, such as 9a; "${reference}" is none`,
    );
  }
  if (use !== undefined && !Object.hasOwn(PERMISSION, use)) {
    throw new TokenError("BAD_INPUT", `no use "${use}"; there are ${Object.keys(PERMISSION).join(", ")}`);
  }
  if (publicKey !== undefined && !(publicKey instanceof PublicKey)) {
    throw new TokenError("BAD_INPUT", "publicKey is a PublicKey; make one of a key in DER or PEM with new PublicKey()");
  }
  if (publicKey && certificate !== undefined) {
    throw new TokenError("BAD_INPUT", "describe the key by its certificate or its publicKey, not by both");
  }
  return {
    id: readId(id),
    label,
    reference,
    use,
    type,
    fingerprint: fingerprint?.toLowerCase(),
    publicKey: publicKey ?? (certificate === undefined ? undefined : publicKeyOf(certificate)),
  };
}

/** @throws {TokenError} BAD_INPUT for a description that is none: callers in JavaScript have no types. */
export function requireDescription(query: object, what: string, texts: readonly string[]): void {
  const given: unknown = query;
  if (typeof given !== "object" || given === null) {
    throw new TokenError("BAD_INPUT", `${what} is named by a PKCS #11 URI (pkcs11:...) or a description`);
  }
  for (const name of texts) {
    const value: unknown = Reflect.get(given, name);
    if (value === undefined || typeof value === "string") continue;
    throw new TokenError("BAD_INPUT", `${name} of a description is text, not ${typeof value}`);
  }
}

const NOTHING: WantedKey = {
  id: undefined,
  label: undefined,
  reference: undefined,
  use: undefined,
  type: undefined,
  fingerprint: undefined,
  publicKey: undefined,
};

function publicKeyOf(certificate: TokenCertificate | Uint8Array | string): PublicKey {
  return certificate instanceof TokenCertificate ? certificate.publicKey : TokenCertificate.read(certificate).publicKey;
}

/** CKA_ID as a caller gives it. @throws {TokenError} BAD_INPUT for text that is not hexadecimal. */
export function readId(id: string | Uint8Array | undefined): Uint8Array | undefined {
  if (id === undefined || id instanceof Uint8Array) return id;
  if (typeof id !== "string")
    throw new TokenError("BAD_INPUT", `an id is CKA_ID as hexadecimal text or a Uint8Array, not ${typeof id}`);
  try {
    return fromHex(id);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", `an id is CKA_ID in hexadecimal; "${id}" is not`, { cause });
  }
}

/**
 * What a PKCS #11 URI says of an object.
 * @throws {TokenError} BAD_INPUT for text that is no URI, and one that holds a PIN.
 */
export function readObjectUri(
  text: string,
  what: string,
): { readonly id: Uint8Array | undefined; readonly label: string | undefined } {
  if (!isUri(text))
    throw new TokenError("BAD_INPUT", `${what} is named by a PKCS #11 URI (pkcs11:...) or a description`);
  try {
    const { id, object, pinValue } = parseUri(text);
    if (pinValue !== undefined)
      throw new TokenError("BAD_INPUT", "a URI with pin-value is not taken: give a PIN source");
    return { id, label: object };
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", cause.message, { cause });
  }
}
