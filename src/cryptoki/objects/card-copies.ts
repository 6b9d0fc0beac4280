import { equalBytes } from "../../bytes/index.ts";
import type { CardObject } from "../../card/index.ts";
import { type ObjectContents, ObjectCopy, type ObjectLife } from "./object-copy.ts";

/** Makes the contents of a card's object. */
export type ContentsMaker = (object: CardObject, life: Readonly<ObjectLife>) => ObjectContents;

/** The copy of one object of a card. */
class CardCopy extends ObjectCopy {
  readonly #make: ContentsMaker;
  /** A write was given up and may have changed the object: what the card's directory says of it is taken up next time. */
  doubtful = false;

  constructor(object: CardObject, make: ContentsMaker) {
    const life: ObjectLife = { ended: false };
    super(make(object, life), life);
    this.#make = make;
  }

  /** Forgets all that was read. @param object The object as it is now. */
  renewFrom(object: CardObject): void {
    this.doubtful = false;
    this.renew(this.#make(object, this.life));
  }
}

/**
 * The objects of one token of a card, with what was read of them, while the card is in. All applications of the process share
 * them: what one has read costs the others nothing, and all see what one has changed. Each application has handles of its own.
 */
export class CardCopies {
  readonly #make: ContentsMaker;
  readonly #copies = new Map<string, CardCopy>();
  readonly #builtIn = new Map<string, ObjectCopy>();
  #changes = 0;
  #updateCount: Uint8Array | undefined;

  constructor(make: ContentsMaker) {
    this.#make = make;
  }

  /** Changes by the applications of this process until now. */
  get changes(): number {
    return this.#changes;
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

  /** An object that the token has by itself. */
  builtIn(reference: string, contents: () => ObjectContents): ObjectCopy {
    let copy = this.#builtIn.get(reference);
    if (!copy) {
      copy = new ObjectCopy(contents());
      this.#builtIn.set(reference, copy);
    }
    return copy;
  }

  /** Something else than an object was changed: the label of the token. */
  tokenChanged(): void {
    this.#changes++;
  }

  /** The object is gone. What has its reference from now on is another one. */
  ended(reference: string): void {
    this.#changes++;
    this.#copies.get(reference)?.end();
    this.#copies.delete(reference);
  }

  /** The object is the same, with other attributes. */
  changed(object: CardObject): void {
    this.#changes++;
    const copy = this.#copies.get(object.reference);
    if (copy) copy.renewFrom(object);
    else this.of(object);
  }

  /**
   * A write was given up before its end was known: everything is read again.
   * @param id The CKA_ID under which the write may have put other objects; the objects that had it are gone.
   */
  doubt(id?: Uint8Array): void {
    this.#changes++;
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
   * The card's own count of changes, as it was just read. If it is not the one that was seen last, another program may have changed
   * objects: what was read of them is forgotten.
   */
  counted(updateCount: Uint8Array): void {
    const isSame = this.#updateCount !== undefined && equalBytes(this.#updateCount, updateCount);
    this.#updateCount = updateCount;
    if (isSame) return;
    for (const copy of this.#copies.values()) if (copy.contents.card) copy.renewFrom(copy.contents.card);
  }

  /** No application is logged in any more: forgets what was read of private objects. */
  forgetPrivate(): void {
    for (const copy of this.#copies.values()) {
      const { card } = copy.contents;
      if (card?.private) copy.renewFrom(card);
    }
  }
}
