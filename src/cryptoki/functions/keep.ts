import { throwIfAborted } from "../../async/index.ts";
import { wipe } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import type { NewObject } from "../attributes/new-object.ts";
import type { AttributeList } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { cancelled } from "../error-map.ts";
import { softwareObject } from "../objects/software-object.ts";
import type { Session } from "../sessions/session.ts";
import { requireReadWrite, writeOnCard } from "./card-objects.ts";

/**
 * Keeps a new object where its CKA_TOKEN says: on the card, or until its session ends.
 * @param template What the caller said of it, for the card, which cannot keep everything.
 * @returns Its handle.
 */
export async function keepObject(
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
    // The caller would not get the handle.
    throwIfAborted(signal, cancelled);
    const handle = application.objects.create(session, softwareObject(made));
    kept = true;
    return handle;
  } finally {
    if (!kept) wipeSecrets(made);
  }
}

/** Overwrites what is never shown. */
export function wipeSecrets({ rules, values }: NewObject): void {
  for (const [type, value] of values) if (rules.get(type)?.notes.has(7) && value instanceof Uint8Array) wipe(value);
}

/**
 * Whether the session may have such an object; asked before work is done for it. Who may write on the card is the card's to say.
 * @throws {CryptokiError} CKR_SESSION_READ_ONLY; CKR_USER_NOT_LOGGED_IN; CKR_DEVICE_REMOVED if the card went in the meantime.
 */
export function requireAccess(application: Application, session: Session, { values }: NewObject): void {
  if (!application.sessions.has(session)) throw new CryptokiError(CKR.DEVICE_REMOVED);
  if (values.get(CKA.TOKEN) === true) {
    requireReadWrite(session);
    return;
  }
  // "Only public objects can be created unless the normal user is logged in."
  if (values.get(CKA.PRIVATE) === true && application.logins.userOf(session.token) !== "user") {
    throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, "a private object needs its user logged in: C_Login with CKU.USER");
  }
}
