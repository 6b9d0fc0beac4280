import { equalBytes, toHex } from "../bytes/index.ts";
import {
  type CK_OBJECT_HANDLE,
  type CK_SESSION_HANDLE,
  CKA,
  CKA_YUBICO,
  CKO,
  CryptokiError,
} from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { TokenError } from "./error.ts";
import { type KeyPolicy, touchPolicyOf } from "./key-policy.ts";
import type { KeyInfo } from "./pin.ts";
import { withTouchNotice } from "./touch.ts";

/** What connects the objects of a key. */
interface KeyIdentity {
  /** CKA_ID. */
  readonly id: Uint8Array;
  /** CKA_LABEL of the private key. */
  readonly label: string;
  /** For errors. */
  readonly name: string;
}

/** The objects of one key on a token. The handle of the private key is remembered, and found again after a login. */
export class KeyObjects {
  readonly #access: TokenAccess;
  readonly #key: KeyIdentity;
  /** Whether the handle is that of this very object, which others may share their CKA_ID with. */
  readonly #isNamed: boolean;
  #handle: CK_OBJECT_HANDLE | undefined;
  /** The login that the handle is of. */
  #login: number;
  #touchPolicy: KeyPolicy["touch"] | undefined;

  /** @param handle Of the private key; without it, it is found by the CKA_ID. */
  constructor(access: TokenAccess, key: KeyIdentity, handle?: CK_OBJECT_HANDLE) {
    this.#access = access;
    this.#key = key;
    this.#isNamed = handle !== undefined;
    this.#handle = handle;
    this.#login = access.login.count;
  }

  /** Forgets the handle: it has ended. */
  forget(): void {
    this.#handle = undefined;
  }

  /** Objects of a class: those with the key's CKA_ID; without one, those with its label that have none either. */
  async ofClass(session: CK_SESSION_HANDLE, objectClass: number, signal?: AbortSignal): Promise<CK_OBJECT_HANDLE[]> {
    const access = this.#access;
    const { id, label } = this.#key;
    if (id.length > 0) return access.find(session, { [CKA.CLASS]: objectClass, [CKA.ID]: id }, signal);
    const found: CK_OBJECT_HANDLE[] = [];
    for (const object of await access.find(session, { [CKA.CLASS]: objectClass, [CKA.LABEL]: label }, signal)) {
      const { [CKA.ID]: own } = await access.known(session, object, [CKA.ID], signal);
      if (own === undefined || own.length === 0) found.push(object);
    }
    return found;
  }

  /** @throws {TokenError} NO_OBJECT, SEVERAL_OBJECTS. */
  async privateKey(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<CK_OBJECT_HANDLE> {
    const handle = await this.findPrivateKey(session, signal);
    if (handle !== undefined) return handle;
    throw new TokenError("NO_OBJECT", `there is no private key for ${this.#key.name} on the token`);
  }

  /** Undefined if the token shows no such key, or not before a login. @throws {TokenError} SEVERAL_OBJECTS. */
  async findPrivateKey(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<CK_OBJECT_HANDLE | undefined> {
    const { count } = this.#access.login;
    // A module may give the number of an ended handle to another object.
    const isCurrent =
      this.#handle !== undefined &&
      (this.#login === count || (this.#isNamed && (await this.#isStill(session, this.#handle, signal))));
    if (isCurrent) {
      this.#login = count;
      return this.#handle;
    }
    const [handle, ...others] = await this.ofClass(session, CKO.PRIVATE_KEY, signal);
    if (others.length > 0) {
      const { id, label } = this.#key;
      const shared = id.length === 0 ? `the label "${label}" and no CKA_ID` : `the CKA_ID ${toHex(id)}`;
      throw new TokenError("SEVERAL_OBJECTS", `${1 + others.length} private keys have ${shared}`);
    }
    this.#handle = handle;
    this.#login = count;
    return handle;
  }

  /**
   * What runs the card's computation with the private key, and tells the program of the touch that it waits for. It may read the key's
   * policy: call it before the operation begins.
   */
  async touching(
    session: CK_SESSION_HANDLE,
    handle: CK_OBJECT_HANDLE,
    key: KeyInfo,
    signal?: AbortSignal,
  ): Promise<<T>(work: () => Promise<T>) => Promise<T>> {
    const access = this.#access;
    const { onTouch } = access;
    if (!onTouch) return (work) => work();
    this.#touchPolicy ??= touchPolicyOf(await access.known(session, handle, [CKA_YUBICO.TOUCH_POLICY], signal));
    const policy = this.#touchPolicy;
    const request = { key, token: () => access.run(() => access.info()) };
    return (work) => withTouchNotice(onTouch, policy, request, work);
  }

  /** Whether an object that was found before a login is there after it: a public one is. */
  async #isStill(session: CK_SESSION_HANDLE, handle: CK_OBJECT_HANDLE, signal?: AbortSignal): Promise<boolean> {
    try {
      const known = await this.#access.known(session, handle, [CKA.CLASS, CKA.ID, CKA.LABEL], signal);
      const { [CKA.CLASS]: objectClass, [CKA.ID]: id = new Uint8Array(), [CKA.LABEL]: label = "" } = known;
      return objectClass === CKO.PRIVATE_KEY && equalBytes(id, this.#key.id) && label === this.#key.label;
    } catch (error) {
      if (error instanceof CryptokiError && error.is("CKR_OBJECT_HANDLE_INVALID")) return false;
      throw error;
    }
  }
}
