import { equalBytes } from "../../bytes/index.ts";
import type { CardObject } from "../../card/index.ts";
import { type ObjectContents, ObjectCopy, type ObjectLife } from "./object-copy.ts";

/** Creates the contents of a card's object. */
export type ContentsMaker = (object: CardObject, life: Readonly<ObjectLife>) => ObjectContents;

/** The cached copy of one object of a card. */
class CardCopy extends ObjectCopy {
  readonly #make: ContentsMaker;
  /** Whether a write was abandoned that may have changed the object: its directory entry is read again next time. */
  doubtful = false;

  constructor(object: CardObject, make: ContentsMaker) {
    const life: ObjectLife = { ended: false };
    super(make(object, life), life);
    this.#make = make;
  }

  /** Forgets everything read. @param object The object's present entry. */
  renewFrom(object: CardObject): void {
    this.doubtful = false;
    this.renew(this.#make(object, this.life));
  }
}

/**
 * The cached objects of one token while the card is present. All applications of the process share them: data read by
 * one are available to all, and all see changes. Each application has its own handles.
 */
export class CardCopies {
  readonly #make: ContentsMaker;
  readonly #copies = new Map<string, CardCopy>();
  readonly #builtIn = new Map<string, ObjectCopy>();
  /** Number of changes by the applications of this process. */
  changes = 0;
  #updateCount: Uint8Array | undefined;

  constructor(make: ContentsMaker) {
    this.#make = make;
  }

  of(object: CardObject): ObjectCopy {
    const known = this.#copies.get(object.reference);
    if (!known) {
      const copy = new CardCopy(object, this.#make);
      this.#copies.set(object.reference, copy);
      return copy;
    }
    if (known.doubtful) known.renewFrom(object);
    return known;
  }

  /** A built-in object of the token. */
  builtIn(reference: string, contents: () => ObjectContents): ObjectCopy {
    let copy = this.#builtIn.get(reference);
    if (!copy) {
      copy = new ObjectCopy(contents());
      this.#builtIn.set(reference, copy);
    }
    return copy;
  }

  /** Records a change that concerns no object: the token's label. */
  tokenChanged(): void {
    this.changes++;
  }

  /** Removes an object. A later object with its reference is another one. */
  ended(reference: string): void {
    this.changes++;
    this.#copies.get(reference)?.end();
    this.#copies.delete(reference);
  }

  /** Records that an object has another reference, and so another place on the card. */
  moved(reference: string, object: CardObject): void {
    const copy = this.#copies.get(reference);
    this.ended(object.reference);
    this.#copies.delete(reference);
    if (!copy) return;
    copy.renewFrom(object);
    this.#copies.set(object.reference, copy);
  }

  /** Records that an object has other attributes. */
  changed(object: CardObject): void {
    this.changes++;
    const copy = this.#copies.get(object.reference);
    if (copy) copy.renewFrom(object);
    else this.of(object);
  }

  /**
   * Records an abandoned write with unknown outcome: everything is read again.
   * @param id The CKA_ID under which the write may have replaced objects; the old ones end.
   */
  doubt(id?: Uint8Array): void {
    this.changes++;
    for (const [reference, copy] of this.#copies) {
      const { card } = copy.contents;
      if (!card) continue;
      if (id && id.length > 0 && equalBytes(card.id, id)) this.ended(reference);
      else {
        copy.renewFrom(card);
        copy.doubtful = true;
      }
    }
  }

  /**
   * Records the card's own change counter. If it differs from the last one, another program may have changed objects:
   * everything read of them is forgotten.
   */
  counted(updateCount: Uint8Array): void {
    const isSame = this.#updateCount !== undefined && equalBytes(this.#updateCount, updateCount);
    this.#updateCount = updateCount;
    if (isSame) return;
    for (const copy of this.#copies.values()) if (copy.contents.card) copy.renewFrom(copy.contents.card);
  }

  /** Forgets everything read of private objects, when no application is logged in any more. */
  forgetPrivate(): void {
    for (const copy of this.#copies.values()) {
      const { card } = copy.contents;
      if (card?.private) copy.renewFrom(card);
    }
  }
}
