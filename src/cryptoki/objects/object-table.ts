import { toHex } from "../../bytes/index.ts";
import type { CardObject } from "../../card/index.ts";
import { randomBytes } from "../../crypto/index.ts";
import type { AttributeValue } from "../attributes/kinds.ts";
import type { Values } from "../attributes/new-object.ts";
import type { AttributeList } from "../attributes/template.ts";
import { CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type { Session } from "../sessions/session.ts";
import type { Token, TokenCard } from "../slots/token.ts";
import { builtInObjects } from "./built-in.ts";
import { type ObjectContents, ObjectCopy } from "./object-copy.ts";
import { StoredObject } from "./stored-object.ts";

/** Indexed attributes, by which applications look for objects. */
const INDEXED = [
  CKA.CLASS,
  CKA.KEY_TYPE,
  CKA.CERTIFICATE_TYPE,
  CKA.UNIQUE_ID,
  CKA.ID,
  CKA.LABEL,
  CKA.APPLICATION,
  CKA.OBJECT_ID,
  CKA.SUBJECT,
  CKA.ISSUER,
  CKA.SERIAL_NUMBER,
] as const;
const IS_INDEXED: ReadonlySet<number> = new Set(INDEXED);

/**
 * Objects by the values of their attributes, so that a search costs as much as there are objects with the rarest of its
 * values. All values of the objects must be in memory.
 */
class ObjectIndex {
  readonly #all = new Set<StoredObject>();
  /** By {@link keyOf}. Most values of one object are its own: such an object stands for itself. */
  readonly #byValue = new Map<string, StoredObject | Set<StoredObject>>();

  has(object: StoredObject): boolean {
    return this.#all.has(object);
  }

  add(object: StoredObject): void {
    this.#all.add(object);
    for (const key of keysOf(object)) {
      const same = this.#byValue.get(key);
      if (same instanceof Set) same.add(object);
      else this.#byValue.set(key, same && same !== object ? new Set([same, object]) : object);
    }
  }

  /** Call it also before the object's attributes change. */
  remove(object: StoredObject): void {
    this.#all.delete(object);
    for (const key of keysOf(object)) {
      const same = this.#byValue.get(key);
      if (same === object) this.#byValue.delete(key);
      else if (same instanceof Set && same.delete(object) && same.size === 0) this.#byValue.delete(key);
    }
  }

  /** All objects that may match, in the order of their creation; others may be among them. */
  candidates(wanted: AttributeList): Iterable<StoredObject> {
    let fewest: ReadonlySet<StoredObject> = this.#all;
    for (const [type, value] of wanted) {
      if (!IS_INDEXED.has(type)) continue;
      const same = this.#byValue.get(keyOf(type, value));
      if (!same) return [];
      if (!(same instanceof Set)) return [same];
      if (same.size < fewest.size) fewest = same;
    }
    return fewest;
  }
}

function* keysOf({ attributes }: StoredObject): Generator<string> {
  for (const type of INDEXED) {
    const value = attributes.known(type);
    if (value !== undefined) yield keyOf(type, value);
  }
}

/** Equal for equal values of an attribute only: each is a number, or text, or bytes. */
function keyOf(type: number, value: AttributeValue): string {
  if (value instanceof Uint8Array) return `${type}:${toHex(value)}`;
  return typeof value === "object" ? `${type}` : `${type}:${value}`;
}

/** The session objects of one application with one token. */
class SessionObjects {
  readonly index = new ObjectIndex();
  readonly #byOwner = new Map<object, Set<StoredObject>>();

  add(object: StoredObject): void {
    this.index.add(object);
    const { owner } = object;
    if (!owner) return;
    const mates = this.#byOwner.get(owner);
    if (mates) mates.add(object);
    else this.#byOwner.set(owner, new Set([object]));
  }

  change(object: StoredObject, values: Values): void {
    this.index.remove(object);
    object.attributes.change(values);
    this.index.add(object);
  }

  remove(object: StoredObject): void {
    this.index.remove(object);
    const { owner } = object;
    const mates = owner && this.#byOwner.get(owner);
    mates?.delete(object);
    if (owner && mates?.size === 0) this.#byOwner.delete(owner);
  }

  has(object: StoredObject): boolean {
    return this.index.has(object);
  }

  all(): readonly StoredObject[] {
    return [...this.index.candidates([])];
  }

  of(owner: object): readonly StoredObject[] {
    return [...(this.#byOwner.get(owner) ?? [])];
  }
}

/** The objects of one token, in one application. */
class TokenObjects {
  /** Handles by the reference of the card, or of a built-in object: an object keeps its handle between searches. */
  readonly known = new Map<string, StoredObject>();
  readonly session = new SessionObjects();
  /** {@link CardCopies.changes} when ended objects were last removed. */
  changes = 0;
}

/** The classes of the card's objects that a search for objects of one class may match; none for other classes. */
const CARD_CLASSES: ReadonlyMap<number, readonly CardObject["class"][]> = new Map([
  [CKO.CERTIFICATE, ["certificate"]],
  [CKO.PUBLIC_KEY, ["public-key"]],
  [CKO.PRIVATE_KEY, ["private-key"]],
  [CKO.DATA, ["data"]],
  // The token's built-in objects depend on its contents.
  [CKO.PROFILE, ["certificate", "public-key", "private-key"]],
]);

/**
 * The handles of one application. A handle is assigned when a search finds the object, and never reused: one of a
 * removed card cannot mean an object of another card. All applications share the contents of a card's objects ({@link
 * CardCopies}).
 */
export class ObjectTable {
  readonly #tokens = new Map<Token, TokenObjects>();
  readonly #found = new Map<number, StoredObject>();
  #next = 1;

  /** The possible matches of a search in this token, without reading anything; others may be among them. */
  async candidates(token: Token, wanted: AttributeList): Promise<readonly StoredObject[]> {
    const objects = this.#of(token);
    const objectClass = wanted.find(([type]) => type === CKA.CLASS)?.[1];
    const classes = typeof objectClass === "number" ? (CARD_CLASSES.get(objectClass) ?? []) : undefined;
    const all = await token.cardToken.objects(classes);
    const found = [...objects.session.index.candidates(wanted)];
    for (const object of all) found.push(this.ofCard(token, object));
    for (const [reference, contents] of builtInObjects(token, all, objectClass)) {
      found.push(this.#stored(token, reference, token.copies.builtIn(reference, contents)));
    }
    return found;
  }

  /** The card's object with this application's handle. */
  ofCard(token: Token, object: CardObject): StoredObject {
    return this.#stored(token, object.reference, token.copies.of(object));
  }

  /** An object of the token by its handle. A replaced object had another handle. */
  #stored(token: Token, reference: string, copy: ObjectCopy): StoredObject {
    const { known } = this.#of(token);
    const old = known.get(reference);
    if (old?.copy === copy) return old;
    if (old) this.#found.delete(old.handle);
    const object = new StoredObject(this.#next++, token, copy);
    known.set(reference, object);
    return object;
  }

  /** Assigns a handle to an object that a search found. */
  publish(object: StoredObject): number {
    this.#found.set(object.handle, object);
    return object.handle;
  }

  /** Assigns a handle to an object that the application created on the card: it may use it in any login state. */
  publishMade(object: StoredObject): number {
    object.made = true;
    return this.publish(object);
  }

  /** A new object that ends with its session. */
  create(session: Session, contents: ObjectContents): number {
    const attributes = { ...contents.attributes, [CKA.UNIQUE_ID]: toHex(randomBytes(16)) };
    const copy = new ObjectCopy({ ...contents, attributes });
    const object = new StoredObject(this.#next++, session.token, copy, session);
    this.#of(session.token).session.add(object);
    return this.publish(object);
  }

  /** Changes attributes of a session object. */
  change(object: StoredObject, values: Values): void {
    this.#of(object.token).session.change(object, values);
  }

  /**
   * @param rv The error if there is no such object of this token: CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID.
   */
  get(handle: number, token: Token, rv: number = CKR.OBJECT_HANDLE_INVALID): StoredObject {
    const object = this.#found.get(handle);
    if (object?.token !== token) throw new CryptokiError(rv);
    if (this.isThere(object)) return object;
    this.#found.delete(handle);
    throw new CryptokiError(rv);
  }

  /** Whether the object is still the one that was looked up: neither destroyed nor replaced. */
  isThere(object: StoredObject): boolean {
    const objects = this.#tokens.get(object.token);
    if (object.owner) return objects?.session.has(object) ?? false;
    // Built-in objects stay.
    if (!object.card) return true;
    const { reference } = object.card;
    if (object.copy.life.ended || !objects) return false;
    // The second way finds one that was moved.
    return objects.known.get(reference) === object || this.#of(object.token).known.get(reference) === object;
  }

  /** Ends a session object; its key is wiped. */
  destroy(object: StoredObject): void {
    this.#found.delete(object.handle);
    this.#tokens.get(object.token)?.session.remove(object);
    object.end();
  }

  /** Ends the objects that a session created. */
  endSession(session: Session): void {
    for (const object of this.#tokens.get(session.token)?.session.of(session) ?? []) this.destroy(object);
  }

  /** Ends private session objects, however the login ended. */
  endPrivate(token: Token): void {
    for (const object of this.#tokens.get(token)?.session.all() ?? []) if (object.private) this.destroy(object);
  }

  /** After a logout, handles of the card's private objects become invalid too. */
  endLogin(token: Token): void {
    this.endPrivate(token);
    const objects = this.#tokens.get(token);
    for (const [reference, object] of objects?.known ?? []) {
      if (!object.private) continue;
      objects?.known.delete(reference);
      this.#found.delete(object.handle);
    }
  }

  /** The card was removed: all handles of its objects end. */
  endCard(card: TokenCard): void {
    for (const [token, objects] of this.#tokens) {
      if (token.card !== card) continue;
      for (const object of objects.session.all()) this.destroy(object);
      this.#tokens.delete(token);
    }
    for (const [handle, { token }] of this.#found) if (token.card === card) this.#found.delete(handle);
  }

  /** Removes handles of objects that an application deleted from the card, and finds those that it moved by their new references. */
  #leaveOutEnded(objects: TokenObjects, changes: number): void {
    objects.changes = changes;
    const { known } = objects;
    const moved = new Map<string, StoredObject>();
    for (const [reference, object] of known) {
      const { card, copy, handle } = object;
      const isMoved = card !== undefined && card.reference !== reference;
      if (!copy.life.ended && !isMoved) continue;
      known.delete(reference);
      if (copy.life.ended) this.#found.delete(handle);
      else if (card) moved.set(card.reference, object);
    }
    for (const [reference, object] of moved) known.set(reference, object);
  }

  #of(token: Token): TokenObjects {
    let objects = this.#tokens.get(token);
    if (!objects) {
      objects = new TokenObjects();
      // Nothing is kept for a removed card: its objects were forgotten.
      if (!token.card.gone) this.#tokens.set(token, objects);
    }
    const { changes } = token.copies;
    if (objects.changes !== changes) this.#leaveOutEnded(objects, changes);
    return objects;
  }
}
