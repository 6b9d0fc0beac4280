import { throwIfAborted, untilAborted } from "../../async/index.ts";
import { fromUtf8, wipe } from "../../bytes/index.ts";
import { afterReset, type PinUser } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { inconsistent, invalid, noSuch, readOnly } from "../attributes/errors.ts";
import type { Template } from "../attributes/kinds.ts";
import {
  bytesOf,
  checkChanges,
  isTrue,
  type NewObject,
  newObject,
  setOrigin,
  type Values,
  withoutVendorAttributes,
} from "../attributes/new-object.ts";
import { rulesOf } from "../attributes/rules.ts";
import { type AttributeList, ownValues, readTemplate, sameValue } from "../attributes/template.ts";
import { FOOTNOTE } from "../attributes/tables.ts";
import { CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { asCallerError, cancelled, CryptokiError } from "../errors.ts";
import { TOKEN_LABEL, UPDATE_COUNT } from "../objects/built-in.ts";
import { softwareObject } from "../objects/software-objects.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import type { Session } from "../sessions/session.ts";
import {
  change,
  changeOnCard,
  destroyOnCard,
  destroyPrivateHalf,
  orDoubt,
  requireReadWrite,
  writeOnCard,
} from "./card-objects.ts";

/**
 * An object that the caller may use: a visible one, or one that it has just created, which an officer may not see
 * otherwise.
 * @throws {CryptokiError} CKR_OBJECT_HANDLE_INVALID, also for a private object without a login.
 */
export function objectIn(application: Application, session: Session, handle: number): StoredObject {
  const object = application.objects.get(handle, session.token);
  const isOwn = object.made && application.logins.userOf(session.token) !== undefined;
  if (!isOwn && !application.isVisible(object) && !application.isManaged(object))
    throw new CryptokiError(CKR.OBJECT_HANDLE_INVALID);
  return object;
}

/**
 * C_SetAttributeValue of a built-in object: the value of TokenLabel is the token's label, and is changed on the card.
 * All others are fixed.
 * @throws {CryptokiError} CKR_ATTRIBUTE_READ_ONLY, with the reason; CKR_ATTRIBUTE_VALUE_INVALID for a value that is not
 *   text.
 */
async function changeBuiltIn(
  application: Application,
  { token }: Session,
  { attributes }: StoredObject,
  template: AttributeList,
  signal?: AbortSignal,
): Promise<void> {
  const name = attributes.known(CKA.LABEL);
  let label: string | undefined;
  for (const [type, value] of template) {
    if (type !== CKA.VALUE) throw readOnly(type, `of ${name} cannot be changed`);
    if (name === UPDATE_COUNT) throw readOnly(type, "of UpdateCount changes only with the token's contents");
    if (name !== TOKEN_LABEL) throw readOnly(type, `of ${name} is determined by the card`);
    label = labelOf(value);
  }
  if (label === undefined) return;
  const wanted = await token.nameIn(label);
  const { cardToken } = token;
  if (cardToken.setLabel === undefined) {
    throw readOnly(
      CKA.VALUE,
      `of TokenLabel cannot be changed: ${cardToken.fixedLabel ?? "the card cannot store a label"}`,
    );
  }
  const work = change(application, token, true, (it) => it.setLabel?.(wanted, { signal }), CKR.ATTRIBUTE_READ_ONLY);
  try {
    await orDoubt(token, work, signal);
  } finally {
    token.renamed();
  }
}

/** @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID unless it is UTF-8 without control characters. */
function labelOf(value: unknown): string {
  const text = value instanceof Uint8Array ? asCallerError(CKR.ATTRIBUTE_VALUE_INVALID, () => fromUtf8(value)) : "";
  if (text.trim() === "" || /\p{Cc}/u.test(text)) throw invalid(CKA.VALUE, "of TokenLabel must be text, in UTF-8");
  return text;
}

/**
 * Stores a new object according to its CKA_TOKEN: on the card, or until its session ends.
 * @param template The caller's, for the card, which cannot store every attribute.
 * @returns Its handle.
 */
export async function storeObject(
  application: Application,
  session: Session,
  made: NewObject,
  template: AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  let kept = false;
  try {
    requireAccess(application, session, made);
    if (made.values.get(CKA.TOKEN) === true) return await writeOnCard(application, session, made, template, signal);
    // After an abort the caller would not get the handle.
    throwIfAborted(signal, cancelled);
    const handle = application.objects.create(session, softwareObject(made));
    kept = true;
    return handle;
  } finally {
    if (!kept) wipeSecrets(made);
  }
}

/** Wipes the sensitive values. */
export function wipeSecrets({ rules, values }: NewObject): void {
  for (const [type, value] of values)
    if (rules.get(type)?.notes.has(FOOTNOTE.SECRET) && value instanceof Uint8Array) wipe(value);
}

/**
 * Checks whether the session may create such an object, before any work. The card decides who may write to it.
 * @throws {CryptokiError} CKR_SESSION_READ_ONLY; CKR_USER_NOT_LOGGED_IN; CKR_DEVICE_REMOVED if the card went in the
 *   meantime.
 */
export function requireAccess(application: Application, session: Session, { values }: NewObject): void {
  if (session.closed) throw new CryptokiError(CKR.DEVICE_REMOVED);
  if (values.get(CKA.TOKEN) === true) {
    requireReadWrite(session);
    return;
  }
  // "Only public objects can be created unless the normal user is logged in."
  if (values.get(CKA.PRIVATE) === true && application.logins.userOf(session.token) !== "user") {
    throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, "a private object needs its user logged in: C_Login with CKU.USER");
  }
}

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

export function destroyPrivateKey(
  application: Application,
  sessionHandle: number,
  publicKey: number,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    sessionHandle,
    (session) => {
      const object = objectIn(application, session, publicKey);
      requireReadWrite(session);
      return destroyPrivateHalf(application, session, object, signal);
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
        throw new CryptokiError(CKR.ACTION_PROHIBITED, "a trusted certificate cannot be modified");
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
      return storeObject(application, session, copy, given, signal);
    },
    signal,
  );
}

function changeCopy({ rules, values }: NewObject, template: AttributeList, user: PinUser | undefined): void {
  const changes = checkChanges(rules, (type) => values.get(type), template, user, true);
  requireCheckValueOrNone(values, changes);
  if (isTrue(values, CKA.PRIVATE) && changes.get(CKA.PRIVATE) === false) {
    throw inconsistent(CKA.PRIVATE, "cannot become false: a copy must not be more visible than the object");
  }
  for (const [type, value] of changes) values.set(type, value);
}

/** @throws {CryptokiError} CKR_ACTION_PROHIBITED unless the object allows being destroyed, changed, copied. */
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
    throw invalid(CKA.CHECK_VALUE, "belongs to another object");
  }
}

/** All attributes of a copyable object of the card. */
async function readWhole({ attributes }: StoredObject): Promise<NewObject> {
  return afterReset(async () => {
    const type = (await attributes.value(CKA.KEY_TYPE)) ?? attributes.known(CKA.CERTIFICATE_TYPE);
    const rules = rulesOf(attributes.known(CKA.CLASS), type);
    if (!rules) throw new CryptokiError(CKR.ACTION_PROHIBITED, "such an object cannot be copied");
    const { values } = await attributes.report([...rules.keys()]);
    // The operations that the card supports do not apply to a copy.
    values.delete(CKA.ALLOWED_MECHANISMS);
    return { rules, values };
  });
}

export function createObject(
  application: Application,
  handle: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    (session) => {
      const { standard, vendor } = withoutVendorAttributes(session.token.cardToken, readTemplate(template));
      const made = newObject(standard, "create", application.logins.userOf(session.token));
      setOrigin(made, { from: "elsewhere" });
      if (vendor.size === 0) return storeObject(application, session, made, standard, signal);
      const isOfCard = made.values.get(CKA.CLASS) === CKO.PRIVATE_KEY && isTrue(made.values, CKA.TOKEN);
      for (const type of vendor.keys()) if (!isOfCard) throw noSuch(type);
      return storeObject(application, session, { ...made, vendor }, standard, signal);
    },
    signal,
  );
}
