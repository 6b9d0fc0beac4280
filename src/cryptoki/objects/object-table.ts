import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Session } from "../sessions/session.ts";
import type { Token, TokenCard } from "../slots/token.ts";
import { wipe } from "../../bytes/index.ts";
import type { CardObject } from "../../card/index.ts";
import { cardObject } from "./card-object.ts";
import { type ObjectContents, StoredObject } from "./stored-object.ts";

/** The objects of one token, as one application sees them. */
interface TokenObjects {
  /** By the card's reference: an object keeps its handle from one search to the next. */
  readonly card: Map<string, StoredObject>;
  readonly session: Map<number, StoredObject>;
}

/**
 * The objects that one application can name. A handle is given out when a search finds the object, and never used again: one of
 * a card that was taken out cannot mean an object of another card.
 */
export class ObjectTable {
  readonly #tokens = new Map<Token, TokenObjects>();
  readonly #found = new Map<number, StoredObject>();
  #next = 1;

  /** Everything that a search in this token may find, nothing of which is read for it. */
  async candidates(token: Token): Promise<readonly StoredObject[]> {
    const objects = this.#of(token);
    const all = await token.cardToken.objects();
    const ofCard = all.map((object) => {
      const known = objects.card.get(object.reference);
      if (known) return known;
      const stored = new StoredObject(this.#next++, token, cardObject(object, token.cardToken, all));
      objects.card.set(object.reference, stored);
      return stored;
    });
    return [...objects.session.values(), ...ofCard];
  }

  /** Lets the application name an object that a search found. */
  publish(object: StoredObject): number {
    this.#found.set(object.handle, object);
    return object.handle;
  }

  /** An object that the card has just made: a name of its own, and none for what it took the place of. */
  replace(token: Token, made: CardObject, all: readonly CardObject[]): StoredObject {
    const objects = this.#of(token);
    const old = objects.card.get(made.reference);
    if (old) this.#found.delete(old.handle);
    const object = new StoredObject(this.#next++, token, cardObject(made, token.cardToken, all));
    objects.card.set(made.reference, object);
    this.publish(object);
    return object;
  }

  /** A new object that ends with its session. */
  create(session: Session, contents: ObjectContents): StoredObject {
    const object = new StoredObject(this.#next++, session.token, contents, session);
    this.#of(session.token).session.set(object.handle, object);
    this.publish(object);
    return object;
  }

  /**
   * @param rv What to throw if there is no such object of this token: CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID.
   */
  get(handle: number, token: Token, rv: number = CKR.OBJECT_HANDLE_INVALID): StoredObject {
    const object = this.#found.get(handle);
    if (object?.token !== token) throw new CryptokiError(rv);
    return object;
  }

  /** Ends a session object; its key is wiped. */
  destroy(object: StoredObject): void {
    this.#found.delete(object.handle);
    this.#tokens.get(object.token)?.session.delete(object.handle);
    if (object.key?.class === "secret") wipe(object.key.value);
  }

  /** The objects that a session made end with it. */
  endSession(session: Session): void {
    for (const object of this.#sessionObjects(session.token)) if (object.owner === session) this.destroy(object);
  }

  /** However a login ends, private session objects end with it. */
  endPrivate(token: Token): void {
    for (const object of this.#sessionObjects(token)) if (object.private) this.destroy(object);
  }

  /** With a logout, handles of private objects of the card name nothing any more, besides. */
  endLogin(token: Token): void {
    this.endPrivate(token);
    const objects = this.#tokens.get(token);
    for (const [reference, object] of objects?.card ?? []) {
      if (!object.private) continue;
      objects?.card.delete(reference);
      this.#found.delete(object.handle);
    }
  }

  /** The card was taken out: none of its objects has a name any more. */
  endCard(card: TokenCard): void {
    for (const [token] of this.#tokens) {
      if (token.card !== card) continue;
      for (const object of this.#sessionObjects(token)) this.destroy(object);
      this.#tokens.delete(token);
    }
    for (const [handle, { token }] of this.#found) if (token.card === card) this.#found.delete(handle);
  }

  #sessionObjects(token: Token): readonly StoredObject[] {
    return [...(this.#tokens.get(token)?.session.values() ?? [])];
  }

  #of(token: Token): TokenObjects {
    let objects = this.#tokens.get(token);
    if (!objects) {
      objects = { card: new Map(), session: new Map() };
      this.#tokens.set(token, objects);
    }
    return objects;
  }
}
