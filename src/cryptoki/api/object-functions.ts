import type { Template } from "../attributes/kinds.ts";
import * as objects from "../functions/object.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { SessionFunctions } from "./session-functions.ts";

/** Object management functions (PKCS#11 3.1 section 5.7). */
export abstract class ObjectFunctions extends SessionFunctions {
  C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE): Promise<void> {
    return this.call("C_DestroyObject", objects.destroyObject, session, object);
  }

  /** The length of CKA_VALUE in bytes, or CK.UNAVAILABLE_INFORMATION. */
  C_GetObjectSize(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE): Promise<number> {
    return this.call("C_GetObjectSize", objects.getObjectSize, session, object);
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
  ): Promise<objects.AttributeValues<Type>> {
    return this.call("C_GetAttributeValue", objects.getAttributeValue<Type>, session, object, types);
  }

  C_FindObjectsInit(session: CK_SESSION_HANDLE, template: Template): Promise<void> {
    return this.call("C_FindObjectsInit", objects.findObjectsInit, session, template);
  }

  /** The next objects found, at most `max`; all of them unless told. What nobody asks for is not read from the card. */
  C_FindObjects(session: CK_SESSION_HANDLE, max = Infinity): Promise<CK_OBJECT_HANDLE[]> {
    return this.call("C_FindObjects", objects.findObjects, session, max);
  }

  C_FindObjectsFinal(session: CK_SESSION_HANDLE): Promise<void> {
    return this.call("C_FindObjectsFinal", objects.findObjectsFinal, session);
  }
}
