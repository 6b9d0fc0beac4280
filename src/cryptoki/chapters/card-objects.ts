import { equalBytes, wipe } from "../../bytes/index.ts";
import {
  type CardObject,
  type CardToken,
  LoginRequiredError,
  type NewCardObject,
  ObjectGoneError,
  UnsupportedError,
} from "../../card/index.ts";
import type { Application } from "../application.ts";
import { inconsistent, readOnly } from "../attributes/errors.ts";
import { checkChanges, type NewObject } from "../attributes/new-object.ts";
import { rulesOf } from "../attributes/rules.ts";
import type { AttributeList } from "../attributes/template.ts";
import { FOOTNOTE } from "../attributes/tables.ts";
import { CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import { newCardObject, shownByCard } from "../objects/new-card-object.ts";
import type { StoredObject } from "../objects/stored-object.ts";
import type { Session } from "../sessions/session.ts";
import type { Token } from "../slots/token.ts";
import { unsupportedError } from "./key-use.ts";

/**
 * Attributes that a card cannot store, and that may be dropped: for reference only, or contained in other data on the
 * card. A certificate contains its own issuer and serial number; SunPKCS11 gives the latter without the header of an
 * INTEGER.
 */
const LEFT_OUT: ReadonlySet<number> = new Set([
  CKA.TOKEN,
  CKA.SUBJECT,
  CKA.ISSUER,
  CKA.SERIAL_NUMBER,
  CKA.START_DATE,
  CKA.END_DATE,
  CKA.CERTIFICATE_CATEGORY,
  CKA.CHECK_VALUE,
]);

/** Writes a new object to the card, if the card can store what the template says. */
export async function writeOnCard(
  application: Application,
  session: Session,
  made: NewObject,
  template: AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  const { token } = session;
  const object = await newCardObject(made);
  try {
    const shown = shownByCard(object, token);
    for (const [type] of template) {
      const value = made.values.get(type);
      if (value === undefined || LEFT_OUT.has(type) || made.rules.get(type)?.notes.has(FOOTNOTE.SECRET)) continue;
      if (!(await shown.matches([[type, value]]))) throw inconsistent(type, "cannot have this value on a card");
    }
    const present = await publicHalfOnCard(token, object);
    if (present) {
      requireWriter(application, token);
      const named = await withLabel(application, token, present, made.values.get(CKA.LABEL), signal);
      return application.objects.publish(application.objects.ofCard(token, named));
    }
    const written = await orDoubt(
      token,
      change(application, token, token.cardToken.createObject !== undefined, (it) =>
        it.createObject?.(object, { signal }),
      ),
      signal,
      "id" in object ? object.id : undefined,
    );
    token.copies.ended(written.reference);
    await renewKin(token, written);
    return application.objects.publish(application.objects.ofCard(token, written));
  } finally {
    if (object.class === "private-key") wipe(object.privateKey);
  }
}

/**
 * The existing public key of a private key on the card: NSS writes it after the private key (pk12util), also to cards
 * that derive it. A new object with another CKA_ID or value is written.
 */
async function publicHalfOnCard({ cardToken }: Token, made: NewCardObject): Promise<CardObject | undefined> {
  if (made.class !== "public-key" || made.id.length === 0) return undefined;
  for (const object of await cardToken.objects()) {
    if (object.class !== "public-key" || !equalBytes(object.id, made.id)) continue;
    if ((await object.isPresent({ explicitlyRequested: true })) && equalBytes(await object.publicKey(), made.publicKey))
      return object;
  }
  return undefined;
}

/** Changes the label of `object` if the template has another one. */
async function withLabel(
  application: Application,
  token: Token,
  object: CardObject,
  label: unknown,
  signal?: AbortSignal,
): Promise<CardObject> {
  if (typeof label !== "string" || label === "" || label === object.label) return object;
  const changed = await change(application, token, token.cardToken.setAttributes !== undefined, (it) =>
    it.setAttributes?.(object, { label }, { signal }),
  );
  token.copies.changed(changed);
  return changed;
}

/** C_SetAttributeValue of an object of the card: every application sees the change, under its own handles. */
export async function changeOnCard(
  application: Application,
  { token }: Session,
  { attributes, card }: StoredObject,
  template: AttributeList,
  signal?: AbortSignal,
): Promise<void> {
  if (!card) throw new CryptokiError(CKR.ACTION_PROHIBITED);
  const type = (await attributes.value(CKA.KEY_TYPE)) ?? attributes.known(CKA.CERTIFICATE_TYPE);
  const rules = rulesOf(attributes.known(CKA.CLASS), type) ?? new Map();
  const now = attributes.atHand();
  const user = application.logins.userOf(token);
  const changes = checkChanges(rules, (attribute) => now.get(attribute), template, user, false);
  const [label, id, value] = [changes.get(CKA.LABEL), changes.get(CKA.ID), changes.get(CKA.VALUE)];
  // NSS gives a key the subject of its certificate, with its label and CKA_ID: for reference, because the certificate
  // contains it.
  const hasOthers = changes.size > 1 && attributes.known(CKA.CLASS) !== CKO.CERTIFICATE;
  for (const attribute of changes.keys()) {
    if (attribute === CKA.SUBJECT && hasOthers) continue;
    if (attribute !== CKA.LABEL && attribute !== CKA.ID && attribute !== CKA.VALUE) {
      throw readOnly(attribute, "cannot be changed on a card");
    }
  }
  const wanted = {
    ...(typeof label === "string" ? { label } : {}),
    ...(id instanceof Uint8Array ? { id } : {}),
    ...(value instanceof Uint8Array ? { value } : {}),
  };
  const changed = await unlessGone(
    token,
    card,
    change(application, token, token.cardToken.setAttributes !== undefined, (it) =>
      it.setAttributes?.(card, wanted, { signal }),
    ),
    signal,
  );
  if (changed.reference === card.reference) token.copies.changed(changed);
  else {
    token.copies.moved(card.reference, changed);
    await renewKin(token, card);
  }
  await renewKin(token, changed);
}

/** C_DestroyObject of an object of the card: its handles end in every application. */
export async function destroyOnCard(
  application: Application,
  { token }: Session,
  { card }: Pick<StoredObject, "card">,
  signal?: AbortSignal,
): Promise<void> {
  if (!card) throw new CryptokiError(CKR.ACTION_PROHIBITED, "this object is built in and cannot be destroyed");
  const can = token.cardToken.destroyObject !== undefined;
  const destroyed = change(
    application,
    token,
    can,
    (it) => it.destroyObject?.(card, { signal }),
    CKR.ACTION_PROHIBITED,
  );
  await unlessGone(token, card, destroyed, signal);
  token.copies.ended(card.reference);
  await renewKin(token, card);
}

/** C_DestroyPrivateKey: as {@link destroyOnCard}, of the private key that belongs to a public key of the card. */
export async function destroyPrivateHalf(
  application: Application,
  session: Session,
  { card, key }: StoredObject,
  signal?: AbortSignal,
): Promise<void> {
  if (card?.class !== "public-key" || key?.class !== "public") {
    throw new CryptokiError(CKR.KEY_HANDLE_INVALID, "a public key of the card names its private key");
  }
  for (const object of await session.token.cardToken.objects(["private-key"])) {
    if (object.class !== "private-key" || !equalBytes(object.id, card.id)) continue;
    if (!(await object.isPresent({ explicitlyRequested: true }))) continue;
    if (object.destroyable !== true) throw new CryptokiError(CKR.ACTION_PROHIBITED);
    return destroyOnCard(application, session, { card: object }, signal);
  }
  throw new CryptokiError(CKR.KEY_HANDLE_INVALID, "the card has no private key for this public key");
}

/** Ends the handles of an object that another program has deleted from the card. */
async function unlessGone<T>(
  token: Token,
  { reference }: CardObject,
  work: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  try {
    return await orDoubt(token, work, signal);
  } catch (error) {
    if (error instanceof ObjectGoneError) token.copies.ended(reference);
    throw error;
  }
}

/**
 * Runs a write. After an abort the card may still complete it, so everything read before may be outdated.
 * @param id As for {@link CardCopies.doubt}.
 */
export async function orDoubt<T>(
  token: Token,
  work: Promise<T>,
  signal: AbortSignal | undefined,
  id?: Uint8Array,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (signal?.aborted) token.copies.doubt(id);
    throw error;
  }
}

/** A certificate may determine its public key, and a key its certificate: the caches of both are dropped. */
export async function renewKin(token: Token, { reference, id }: CardObject): Promise<void> {
  if (id.length === 0) return;
  for (const other of await token.cardToken.objects()) {
    if (other.reference !== reference && equalBytes(other.id, id)) token.copies.changed(other);
  }
}

/** @throws {CryptokiError} CKR_SESSION_READ_ONLY. */
export function requireReadWrite(session: Session): void {
  if (!session.readWrite) throw new CryptokiError(CKR.SESSION_READ_ONLY);
}

/**
 * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN unless the user that the card requires for changes is logged in: the
 *   card knows whether a PIN was verified, but not for which application.
 */
export function requireWriter(application: Application, token: Token): void {
  const { changedBy: user = "so" } = token.cardToken;
  if (user === null || application.logins.userOf(token) === user) return;
  const who = user === "so" ? "its security officer" : "its user";
  const message = `the card needs ${who} logged in for changes: C_Login with CKU.${user.toUpperCase()}`;
  throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, message, { cause: new LoginRequiredError(message, { user }) });
}

/**
 * Runs an optional operation of the card: `work` returns undefined if the token has no such method.
 * @param rv The error if the card supports such operations, but not this one.
 */
export async function change<T>(
  application: Application,
  token: Token,
  can: boolean,
  work: (cardToken: CardToken) => Promise<T> | undefined,
  rv: number = CKR.TEMPLATE_INCONSISTENT,
): Promise<T> {
  try {
    if (can) requireWriter(application, token);
    const done = work(token.cardToken);
    if (!done) throw new UnsupportedError("such objects on this card cannot be changed");
    return await done;
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    throw await unsupportedError(token, error.message, rv, { cause: error });
  }
}
