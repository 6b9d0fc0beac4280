import type { Application } from "../application.ts";
import { copyBytes, requireCount } from "../arguments.ts";
import { AttributeError } from "../attributes/error.ts";
import type { AttributeValue, Template, ValueOf } from "../attributes/kinds.ts";
import { readTemplate } from "../attributes/template.ts";
import { CK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { Search } from "../objects/search.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import { afterReset } from "../sessions/after-reset.ts";
import type { Session } from "../sessions/session.ts";

/** Values of the attributes asked for. */
export type AttributeValues<Type extends number> = { readonly [Each in Type]: ValueOf<Each> };

/** @throws {CryptokiError} CKR_OBJECT_HANDLE_INVALID, also for a private object that nobody logged in may see. */
function objectIn(application: Application, session: Session, handle: number): StoredObject {
  const object = application.objects.get(handle, session.token);
  if (!application.isVisible(object)) throw new CryptokiError(CKR.OBJECT_HANDLE_INVALID);
  return object;
}

export function getAttributeValue<Type extends number>(
  application: Application,
  sessionHandle: number,
  handle: number,
  types: readonly Type[],
): Promise<AttributeValues<Type>> {
  return application.inSession(sessionHandle, async (session) => {
    const object = objectIn(application, session, handle);
    if (!Array.isArray(types)) throw new CryptokiError(CKR.ARGUMENTS_BAD, "attributes are named by an array: [CKA.ID]");
    const { values, unavailable } = await afterReset(() => object.attributes.report(types));
    const copies = new Map([...values].map(([type, value]) => [type, copyOf(value)]));
    if (unavailable.size > 0) throw new AttributeError(copies, unavailable);
    return Object.fromEntries(copies) as AttributeValues<Type>;
  });
}

/** The caller's own: what it does with it changes nothing here. */
function copyOf(value: AttributeValue): AttributeValue {
  if (value instanceof Uint8Array) return copyBytes(value);
  return value instanceof Date ? new Date(value) : value;
}

/** Of what an object keeps, its value is all that has a size worth telling. */
export function getObjectSize(application: Application, sessionHandle: number, handle: number): Promise<number> {
  return application.inSession(sessionHandle, async (session) => {
    const object = objectIn(application, session, handle);
    const value = await afterReset(() => object.attributes.value(CKA.VALUE));
    return value?.length ?? CK.UNAVAILABLE_INFORMATION;
  });
}

export function destroyObject(application: Application, sessionHandle: number, handle: number): Promise<void> {
  return application.inSession(sessionHandle, (session) => {
    const object = objectIn(application, session, handle);
    if (!object.owner && !session.readWrite) throw new CryptokiError(CKR.SESSION_READ_ONLY);
    if (object.attributes.known(CKA.DESTROYABLE) !== true) throw new CryptokiError(CKR.ACTION_PROHIBITED);
    application.objects.destroy(object);
  });
}

export function findObjectsInit(application: Application, sessionHandle: number, template: Template): Promise<void> {
  return application.inSession(sessionHandle, (session) =>
    session.operations.begin("find", async () => {
      const wanted = readTemplate(template);
      return new Search(await application.objects.candidates(session.token), wanted);
    }),
  );
}

export function findObjects(application: Application, sessionHandle: number, max: number): Promise<number[]> {
  return application.inSession(sessionHandle, async (session) => {
    if (max !== Infinity) requireCount(max, "the most objects to find", Number.MAX_SAFE_INTEGER);
    const search = session.operations.get("find");
    const found = await search.next(max, (object) => application.isVisible(object));
    return found.map((object) => application.objects.publish(object));
  });
}

export function findObjectsFinal(application: Application, sessionHandle: number): Promise<void> {
  return application.inSession(sessionHandle, ({ operations }) => {
    operations.get("find");
    operations.cancel("find");
  });
}
