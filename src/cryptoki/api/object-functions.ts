import type { Template } from "../attributes/kinds.ts";
import type { AttributeList } from "../attributes/template.ts";
import * as changing from "../chapters/object-changes.ts";
import { createObject } from "../chapters/object-changes.ts";
import * as objects from "../chapters/objects.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { SessionFunctions } from "./session-functions.ts";

/**
 * Object management functions (PKCS#11 3.1 section 5.7). Objects with CKA_TOKEN are the card's, and whoever the card wants for it
 * must be logged in to write them; all others end with the session that made them. A function that fails changes nothing.
 */
export abstract class ObjectFunctions extends SessionFunctions {
  /**
   * Makes an object: data, a certificate, a public, private or secret key, domain parameters (DSA, DH, X9.42 DH).
   * @param template An object, or a list of attributes with their values, in which a repeated one is refused.
   * @throws {CryptokiError} CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID,
   *   CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY (section 4.1.1); CKR_TOKEN_WRITE_PROTECTED.
   */
  C_CreateObject(
    session: CK_SESSION_HANDLE,
    template: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<CK_OBJECT_HANDLE> {
    return this.call("C_CreateObject", signal, createObject, session, template, signal);
  }

  /**
   * Copies an object, and changes attributes of the copy. An object of a card can be copied if all of it can be read.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED if CKA_COPYABLE is false; as {@link C_CreateObject}.
   */
  C_CopyObject(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<CK_OBJECT_HANDLE> {
    return this.call("C_CopyObject", signal, changing.copyObject, session, object, template, signal);
  }

  /**
   * Ends an object, and wipes its key. An object of the card ends for every application.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED if CKA_DESTROYABLE is false.
   */
  C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_DestroyObject", signal, changing.destroyObject, session, object, signal);
  }

  /** In bytes: of an object of the card the length of CKA_VALUE, or CK.UNAVAILABLE_INFORMATION; of any other, of all its values. */
  C_GetObjectSize(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, signal?: AbortSignal): Promise<number> {
    return this.call("C_GetObjectSize", signal, objects.getObjectSize, session, object, signal);
  }

  /**
   * Values of attributes: `{ [CKA.LABEL]: "...", [CKA.ID]: Uint8Array }` for `[CKA.LABEL, CKA.ID]`.
   * @throws {AttributeError} CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID if there is one without a value to show;
   *   it holds the values of the others.
   */
  C_GetAttributeValue<const Type extends number>(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    types: readonly Type[],
    signal?: AbortSignal,
  ): Promise<objects.AttributeValues<Type>> {
    return this.call("C_GetAttributeValue", signal, objects.getAttributeValue<Type>, session, object, types, signal);
  }

  /**
   * Changes attributes. The handle stays.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED if CKA_MODIFIABLE is false; as {@link C_CreateObject}.
   */
  C_SetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_SetAttributeValue", signal, changing.setAttributeValue, session, object, template, signal);
  }

  C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    template: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_FindObjectsInit", signal, objects.findObjectsInit, session, template, signal);
  }

  /**
   * The next objects found, at most `max`; default: all of them. What nobody asks for is not read from the card. After
   * CKR_FUNCTION_CANCELED the next call finds what this one would have.
   */
  C_FindObjects(session: CK_SESSION_HANDLE, max = Infinity, signal?: AbortSignal): Promise<CK_OBJECT_HANDLE[]> {
    return this.call("C_FindObjects", signal, objects.findObjects, session, max, signal);
  }

  C_FindObjectsFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_FindObjectsFinal", signal, objects.findObjectsFinal, session, signal);
  }
}
