import { untilAborted } from "../../async/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { afterReset } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { requireCount } from "../arguments.ts";
import { AttributeError } from "../attributes/errors.ts";
import type { AttributeValue, Template, ValueOf } from "../attributes/kinds.ts";
import { type AttributeList, ownValue, ownValues, readTemplate } from "../attributes/template.ts";
import { CK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import { Search } from "../objects/search.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import type { Session } from "../sessions/session.ts";

/** Values of the attributes asked for. */
export type AttributeValues<Type extends number> = { readonly [Each in Type]: ValueOf<Each> };

/**
 * An object that the caller may look at: one that it sees, and one that it has just made, which an officer does not see otherwise.
 * @throws {CryptokiError} CKR_OBJECT_HANDLE_INVALID, also for a private object that nobody logged in may see.
 */
export function objectIn(application: Application, session: Session, handle: number): StoredObject {
  const object = application.objects.get(handle, session.token);
  const isOwn = object.made && application.logins.userOf(session.token) !== undefined;
  if (!isOwn && !application.isVisible(object)) throw new CryptokiError(CKR.OBJECT_HANDLE_INVALID);
  return object;
}

export function getAttributeValue<Type extends number>(
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
        throw new CryptokiError(CKR.ARGUMENTS_BAD, "attributes are named by an array: [CKA.ID]");
      }
      const report = afterReset(() => object.attributes.report(types));
      const { values, unavailable } = await untilAborted(report, signal, cancelled);
      // Where the PIN is kept for such keys, none is wanted of this application: ssh-agent gives up a key that says otherwise.
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

/** Of what a card keeps, its value is all that has a size worth telling; of an object of a session, all that it holds. */
export function getObjectSize(
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

export function findObjectsInit(
  application: Application,
  sessionHandle: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    sessionHandle,
    ({ operations, token }) =>
      operations.begin("find", async () => {
        // Copies: the caller may use its bytes for the next search before this one has come to them.
        const wanted = readTemplate(template).map(([type, value]) => [type, ownValue(value)] as const);
        const byUser = application.logins.userOf(token) === "user";
        const candidates = application.objects.candidates(token, wanted);
        return new Search(await untilAborted(candidates, signal, cancelled), wanted, byUser);
      }),
    signal,
  );
}

export function findObjects(
  application: Application,
  sessionHandle: number,
  max: number,
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
            // A logout takes the private objects away, and a card that forgets the PIN does not.
            if (!objects.isThere(object)) return false;
            if (application.isVisible(object)) return true;
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

export function findObjectsFinal(application: Application, sessionHandle: number, signal?: AbortSignal): Promise<void> {
  return application.inSession(
    sessionHandle,
    ({ operations }) => {
      operations.get("find");
      operations.cancel("find");
    },
    signal,
  );
}
