import { untilAborted } from "../../async/index.ts";
import { afterReset, type PinUser } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { checkChanges } from "../attributes/changes.ts";
import type { Template } from "../attributes/kinds.ts";
import type { NewObject, Values } from "../attributes/new-object.ts";
import { inconsistent, invalid } from "../attributes/refusals.ts";
import { rulesOf } from "../attributes/tables/objects.ts";
import { type AttributeList, ownValues, readTemplate, sameValue } from "../attributes/template.ts";
import { bytesOf, isTrue } from "../attributes/values.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { cancelled } from "../error-map.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import { changeBuiltIn } from "./built-in-change.ts";
import { changeOnCard, destroyOnCard, requireReadWrite } from "./card-objects.ts";
import { keepObject, wipeSecrets } from "./keep.ts";
import { objectIn } from "./object.ts";

export function destroyObject(
  application: Application,
  sessionHandle: number,
  handle: number,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    sessionHandle,
    async (session) => {
      const object = objectIn(application, session, handle);
      if (!object.owner) requireReadWrite(session);
      requirePermission(object, CKA.DESTROYABLE);
      if (object.owner) application.objects.destroy(object);
      else await destroyOnCard(application, session, object, signal);
    },
    signal,
  );
}

export function setAttributeValue(
  application: Application,
  sessionHandle: number,
  handle: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    sessionHandle,
    async (session) => {
      const object = objectIn(application, session, handle);
      const given = readTemplate(template);
      if (!object.owner) requireReadWrite(session);
      requirePermission(object, CKA.MODIFIABLE);
      const { attributes, rules } = object;
      // "Trusted certificates cannot be modified."
      if (attributes.known(CKA.CLASS) === CKO.CERTIFICATE && attributes.known(CKA.TRUSTED) === true) {
        throw new CryptokiError(CKR.ACTION_PROHIBITED, "a trusted certificate stays as it is");
      }
      if (!object.owner && !object.card) {
        await changeBuiltIn(application, session, object, given, signal);
        return;
      }
      if (!rules) {
        await changeOnCard(application, session, object, given, signal);
        return;
      }
      const now = attributes.atHand();
      const user = application.logins.userOf(session.token);
      const changes = checkChanges(rules, (type) => now.get(type), given, user, false);
      requireCheckValueOrNone(now, changes);
      application.objects.change(object, changes);
    },
    signal,
  );
}

export function copyObject(
  application: Application,
  sessionHandle: number,
  handle: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    sessionHandle,
    async (session) => {
      const object = objectIn(application, session, handle);
      const given = readTemplate(template);
      requirePermission(object, CKA.COPYABLE);
      const copy = object.rules
        ? { rules: object.rules, values: ownValues(object.attributes.atHand()) }
        : await untilAborted(readWhole(object), signal, cancelled);
      try {
        changeCopy(copy, given, application.logins.userOf(session.token));
      } catch (error) {
        wipeSecrets(copy);
        throw error;
      }
      return keepObject(application, session, copy, given, signal);
    },
    signal,
  );
}

function changeCopy({ rules, values }: NewObject, template: AttributeList, user: PinUser | undefined): void {
  const changes = checkChanges(rules, (type) => values.get(type), template, user, true);
  requireCheckValueOrNone(values, changes);
  if (isTrue(values, CKA.PRIVATE) && changes.get(CKA.PRIVATE) === false) {
    throw inconsistent(CKA.PRIVATE, "stays true: a copy is not seen by more people than the object");
  }
  for (const [type, value] of changes) values.set(type, value);
}

/** @throws {CryptokiError} CKR_ACTION_PROHIBITED unless the object lets itself be destroyed, changed, copied. */
function requirePermission(
  { attributes }: StoredObject,
  type: typeof CKA.DESTROYABLE | typeof CKA.MODIFIABLE | typeof CKA.COPYABLE,
): void {
  if (attributes.known(type) !== true) throw new CryptokiError(CKR.ACTION_PROHIBITED);
}

/** "C_SetAttributeValue may be used to destroy the attribute, by supplying no-value" (PKCS#11 3.1, secret key objects). */
function requireCheckValueOrNone(now: Values, changes: Values): void {
  const value = bytesOf(changes, CKA.CHECK_VALUE);
  if (value.length > 0 && !sameValue(value, bytesOf(now, CKA.CHECK_VALUE))) {
    throw invalid(CKA.CHECK_VALUE, "is another object's");
  }
}

/** All of an object of the card that can be copied. */
async function readWhole({ attributes }: StoredObject): Promise<NewObject> {
  return afterReset(async () => {
    const type = (await attributes.value(CKA.KEY_TYPE)) ?? attributes.known(CKA.CERTIFICATE_TYPE);
    const rules = rulesOf(attributes.known(CKA.CLASS), type);
    if (!rules) throw new CryptokiError(CKR.ACTION_PROHIBITED, "such an object cannot be copied");
    const { values } = await attributes.report([...rules.keys()]);
    // What the card does with it says nothing of a copy.
    values.delete(CKA.ALLOWED_MECHANISMS);
    return { rules, values };
  });
}
