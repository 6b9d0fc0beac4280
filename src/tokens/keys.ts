import type { CallOptions } from "../async/index.ts";
import { toHex, wipe } from "../bytes/index.ts";
import { type CK_SESSION_HANDLE, CKA, CKO, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenCertificate } from "./certificate.ts";
import { readId, readObjectUri, requireDescription } from "./descriptions.ts";
import { checked, TokenError } from "./error.ts";
import { Key } from "./key.ts";
import { type PrivateJwk, readPrivateKey } from "./key-material.ts";
import { type KeyUse, PERMISSION, PUBLIC_PERMISSION } from "./key-use.ts";
import { deleteKey, generateKey, importKey, type WrittenKey } from "./key-writing.ts";
import { checkNewKey, checkNewType, type NewKey, type NewKeyType } from "./new-key.ts";
import { PublicKey } from "./public-key.ts";
import { hasReferences, idOfReference, referenceOfId, requireReference } from "./references.ts";
import type { KeyAlgorithm } from "./scheme.ts";
import type { Writer } from "./writer.ts";

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

/** CKA_UNIQUE_ID of a key whose card has two hexadecimal digits as its name. */
const REFERENCE = /^([0-9A-F]{2})\.(?:private|public)-key$/u;

const referenceIn = (unique: string): string | undefined => REFERENCE.exec(unique)?.[1]?.toLowerCase();

/** The private keys of a token. */
export class Keys {
  readonly #access: TokenAccess;
  readonly #writer: Writer;

  /** @internal */
  constructor(access: TokenAccess, writer: Writer) {
    this.#access = access;
    this.#writer = writer;
  }

  /**
   * The keys that fit. Before a login those are found whose public half the token shows; if there is none, and there is a way to ask for
   * the PIN, it is asked for.
   * @throws {TokenError} BAD_INPUT for a query that cannot be read.
   */
  async *find(query: KeyQuery = {}, options: CallOptions = {}): AsyncGenerator<Key> {
    const { signal } = checked(options);
    const wanted = readQuery(query);
    const { reference } = wanted;
    const found =
      reference === undefined
        ? await this.#find(wanted, signal)
        : await this.#findByReference(wanted, reference, signal);
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
    if (found.length > 0 || isLoggedIn || !this.#writer.asksUser) return found;
    return access.asUser(async () => {
      const pin = await login.ensure(undefined, signal);
      if (pin) wipe(pin);
      return search([CKO.PRIVATE_KEY]);
    }, signal);
  }

  /** Other modules show no CKA_UNIQUE_ID: there a reference stands for the CKA_ID that all modules give the key of a PIV card. */
  async #findByReference(wanted: WantedKey, reference: string, signal?: AbortSignal): Promise<readonly Key[]> {
    const found = await this.#find(wanted, signal);
    if (found.length > 0) return found;
    const token = await this.#access.run(() => this.#access.description(signal), signal);
    if (!hasReferences(token)) return found;
    const id = idOfReference(reference, token);
    if (wanted.id && toHex(wanted.id) !== toHex(id)) return found;
    const named = await this.#find({ ...wanted, id, reference: undefined }, signal);
    return named.map(({ label }) => new Key(this.#access, id, label, referenceOfId(id, token)));
  }

  /**
   * Has the token make a key pair. The private key never leaves it.
   *
   *     await using officer = await token.asOfficer(managementKey); // a PIV card wants it
   *     const key = await officer.keys.generate({ reference: "9a", type: "ec", curve: "P-256" });
   *
   * @throws {TokenError} BAD_INPUT; OBJECT_EXISTS without `replace` if there is a key in the place; NOT_SUPPORTED for policies that the
   *   token does not have; CKR_MECHANISM_INVALID if it makes no such keys; CKR_USER_NOT_LOGGED_IN if only the security officer may.
   */
  async generate(key: NewKey & NewKeyType, options: CallOptions = {}): Promise<Key> {
    const { signal } = checked(options);
    requireDescription(key, "a new key", ["type"]);
    const wanted = checkNewKey(key, checkNewType(key));
    return this.#written(await generateKey(this.#access, this.#writer, wanted, signal));
  }

  /**
   * Writes a private key of this process to the token.
   * @param privateKey PKCS #8, DER, not encrypted; or a JSON Web Key. The caller wipes it.
   * @throws {TokenError} As {@link generate}; CKR_TEMPLATE_INCONSISTENT if the token takes no such keys.
   */
  async import(privateKey: Uint8Array | PrivateJwk, options: NewKey & CallOptions = {}): Promise<Key> {
    const { signal, ...place } = checked(options);
    const material = readPrivateKey(privateKey);
    try {
      const { algorithm } = PublicKey.of(material.publicKey);
      const checked = { ...checkNewKey(place, algorithm), material };
      return this.#written(await importKey(this.#access, this.#writer, checked, signal));
    } finally {
      material.wipe();
    }
  }

  /**
   * Deletes a private key and its public half. The certificate stays.
   * @throws {TokenError} CKR_ACTION_PROHIBITED if the token deletes no keys: a PIV card, apart from a YubiKey with firmware 5.7 or later.
   */
  async delete(key: Key, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    if (!(key instanceof Key)) throw new TokenError("BAD_INPUT", "a key to delete is one that keys.get() gave");
    return deleteKey(this.#access, this.#writer, key.deletable(this.#access), signal);
  }

  #written({ id, label, unique }: WrittenKey): Key {
    return new Key(this.#access, id, label, referenceIn(unique));
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
        keys.set(name, new Key(this.#access, id, label, referenceIn(unique)));
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
  if (reference !== undefined) requireReference(reference);
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
