import { type CallOptions, untilAborted } from "../../async/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { afterReset } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { AttributeError } from "../attributes/errors.ts";
import type { AttributeValue, Template, ValueOf } from "../attributes/kinds.ts";
import { type AttributeList, ownValue, ownValues, readTemplate } from "../attributes/template.ts";
import { CK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError, requireCount } from "../errors.ts";
import { Search } from "../objects/search.ts";
import { objectIn, copyObject, createObject, destroyObject, setAttributeValue } from "./object-changes.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, SESSION, TEMPLATE, OBJECT } from "../chapter.ts";

/**
 * Object management functions (PKCS#11 3.1 section 5.7). Objects with CKA_TOKEN are the card's, and writing them needs
 * the login that the card requires; all others end with the session that created them. A function that fails changes
 * nothing.
 */
export interface ObjectFunctions {
  /**
   * Creates an object: data, a certificate, a public, private or secret key, domain parameters (DSA, DH, X9.42 DH).
   * @param template An object, or a list of attributes with their values, in which a repeated one is refused.
   * @throws {CryptokiError} CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID,
   *   CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY (section 4.1.1); CKR_TOKEN_WRITE_PROTECTED.
   */
  C_CreateObject(
    session: CK_SESSION_HANDLE,
    template: Template | AttributeList,
    options?: CallOptions,
  ): Promise<CK_OBJECT_HANDLE>;

  /**
   * Copies an object, and changes attributes of the copy. An object of a card can be copied if all of it can be read.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED if CKA_COPYABLE is false; as {@link C_CreateObject}.
   */
  C_CopyObject(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template | AttributeList,
    options?: CallOptions,
  ): Promise<CK_OBJECT_HANDLE>;

  /**
   * Destroys an object, and wipes its key. An object of the card is deleted for every application.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED if CKA_DESTROYABLE is false.
   */
  C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, options?: CallOptions): Promise<void>;

  /**
   * In bytes. Token objects: length of CKA_VALUE, or CK.UNAVAILABLE_INFORMATION. Session objects: sum of all attribute
   * lengths.
   */
  C_GetObjectSize(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, options?: CallOptions): Promise<number>;

  /**
   * Values of attributes: `{ [CKA.LABEL]: "...", [CKA.ID]: Uint8Array }` for `[CKA.LABEL, CKA.ID]`.
   * @throws {AttributeError} CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID if one has no value to return; it
   *   holds the values of the others.
   */
  C_GetAttributeValue<const Type extends number>(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    types: readonly Type[],
    options?: CallOptions,
  ): Promise<AttributeValues<Type>>;

  /**
   * Changes attributes. The handle stays valid.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED if CKA_MODIFIABLE is false; as {@link C_CreateObject}.
   */
  C_SetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template | AttributeList,
    options?: CallOptions,
  ): Promise<void>;

  C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    template: Template | AttributeList,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * The next objects found, at most `max`; default: all of them. Reads objects from the card only on request. After
   * CKR_FUNCTION_CANCELED the next call returns what this one would have.
   */
  C_FindObjects(session: CK_SESSION_HANDLE, max?: number, options?: CallOptions): Promise<CK_OBJECT_HANDLE[]>;

  C_FindObjectsFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;
}

/** Values of the requested attributes. */
export type AttributeValues<Type extends number> = { readonly [Each in Type]: ValueOf<Each> };

function getAttributeValue<Type extends number>(
  application: Application,
  sessionHandle: number,
  handle: number,
  types: readonly Type[],
  signal?: AbortSignal,
): Promise<AttributeValues<Type>> {
  return application.inSession(
    sessionHandle,
    async (session) => {
      const object = objectIn(application, session, handle);
      if (!Array.isArray(types) || types.some((type) => typeof type !== "number")) {
        throw new CryptokiError(CKR.ARGUMENTS_BAD, "pass the attributes as an array: [CKA.ID]");
      }
      const report = afterReset(() => object.attributes.report(types));
      const { values, unavailable } = await untilAborted(report, signal, cancelled);
      // If the PIN is kept for such keys, this application needs none: ssh-agent rejects a key that says otherwise.
      if (values.get(CKA.ALWAYS_AUTHENTICATE) === true && application.logins.keptPin(session.token)) {
        values.set(CKA.ALWAYS_AUTHENTICATE, false);
      }
      const copies = ownValues(values);
      if (unavailable.size > 0) throw new AttributeError(copies, unavailable);
      return Object.fromEntries(copies) as AttributeValues<Type>;
    },
    signal,
  );
}

/** Token objects: length of CKA_VALUE. Session objects: sum of all attribute lengths. */
function getObjectSize(
  application: Application,
  sessionHandle: number,
  handle: number,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    sessionHandle,
    async (session) => {
      const { owner, attributes } = objectIn(application, session, handle);
      if (owner) return [...attributes.atHand().values()].reduce<number>((sum, value) => sum + sizeOf(value), 0);
      const reading = afterReset(() => attributes.value(CKA.VALUE));
      const value = await untilAborted(reading, signal, cancelled);
      return value?.length ?? CK.UNAVAILABLE_INFORMATION;
    },
    signal,
  );
}

/** In bytes, as C has it on most machines. */
function sizeOf(value: AttributeValue): number {
  if (value instanceof Uint8Array) return value.length;
  if (typeof value === "string") return utf8(value).length;
  if (typeof value === "boolean") return 1;
  if (typeof value === "number" || value instanceof Date) return 8;
  return value === null
    ? 0
    : Object.values(value).reduce<number>((sum, inner: AttributeValue) => sum + sizeOf(inner), 0);
}

function findObjectsInit(
  application: Application,
  sessionHandle: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    sessionHandle,
    ({ operations, token }) =>
      operations.begin("find", async () => {
        // Copies: the caller may reuse its bytes before this search uses them.
        const wanted: [type: number, value: AttributeValue][] = [];
        for (const [type, value] of readTemplate(template)) wanted.push([type, ownValue(value)]);
        const byUser = application.logins.userOf(token) === "user";
        const candidates = application.objects.candidates(token, wanted);
        return new Search(await untilAborted(candidates, signal, cancelled), wanted, byUser);
      }),
    signal,
  );
}

function findObjects(
  application: Application,
  sessionHandle: number,
  max = Infinity,
  signal?: AbortSignal,
): Promise<number[]> {
  return application.inSession(
    sessionHandle,
    async (session) => {
      if (max !== Infinity) requireCount(max, "the most objects to find", Number.MAX_SAFE_INTEGER);
      const search = session.operations.get("find");
      const { objects } = application;
      const found = await search.next(
        max,
        {
          isVisible: (object) => {
            // A logout removes the private objects; a card that forgets the PIN does not.
            if (!objects.isThere(object)) return false;
            if (application.isVisible(object) || application.isManaged(object)) return true;
            if (search.byUser) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, LOST);
            return false;
          },
          refused: (error) => application.refused(session.token, error),
        },
        signal,
      );
      return found.map((object) => objects.publish(object));
    },
    signal,
  );
}

const LOST = "the card has forgotten the PIN since this search began; C_Login, and search once more";

function findObjectsFinal(application: Application, sessionHandle: number, signal?: AbortSignal): Promise<void> {
  return application.inSession(
    sessionHandle,
    ({ operations }) => {
      operations.get("find");
      operations.cancel("find");
    },
    signal,
  );
}

export const OBJECTS: Chapter<ObjectFunctions> = {
  title: "Objects",
  source: "PKCS#11 3.1 section 5.7",
  functions: {
    C_CreateObject: {
      state: "card and software",
      parameters: [SESSION, TEMPLATE],
      result: "handle",
      body: createObject,
    },
    C_CopyObject: {
      state: "card and software",
      parameters: [SESSION, OBJECT, TEMPLATE],
      result: "handle",
      body: copyObject,
    },
    C_DestroyObject: { state: "card and software", parameters: [SESSION, OBJECT], result: "none", body: destroyObject },
    C_GetObjectSize: {
      state: "card and software",
      parameters: [SESSION, OBJECT],
      result: "value",
      body: getObjectSize,
    },
    C_GetAttributeValue: {
      state: "card and software",
      parameters: [SESSION, OBJECT, ["types", "attribute types"]],
      result: "attributes",
      body: getAttributeValue,
    },
    C_SetAttributeValue: {
      state: "card and software",
      parameters: [SESSION, OBJECT, TEMPLATE],
      result: "none",
      body: setAttributeValue,
    },
    C_FindObjectsInit: {
      state: "card and software",
      parameters: [SESSION, TEMPLATE],
      result: "none",
      body: findObjectsInit,
    },
    C_FindObjects: {
      state: "card and software",
      parameters: [SESSION, ["ulMaxObjectCount", "number"]],
      result: "value",
      body: findObjects,
    },
    C_FindObjectsFinal: { state: "software", parameters: [SESSION], result: "none", body: findObjectsFinal },
  },
};
