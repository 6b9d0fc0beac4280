import { MemoizedMap } from "../../async/index.ts";
import { toHex } from "../../bytes/index.ts";
import { type CardObject, type CardPrivateKey, UnsupportedError } from "../../card/index.ts";
import type { CardContents, DirectoryItem } from "./contents.ts";
import type { Dialect } from "../dialect.ts";
import { EntryObjects, Owners, type PlacedKey } from "./entry-objects.ts";
import type { Pins } from "../pins/pins.ts";
import type { DirectoryKind } from "../syntax/directory.ts";

/** An object, its entry, and its token. */
export interface PlacedObject {
  readonly object: CardObject;
  readonly item: DirectoryItem;
  /** The number of the application's token. */
  readonly token: number;
}

/** The directories of each class. */
const KINDS = {
  "private-key": ["private-keys"],
  "public-key": ["public-keys", "trusted-public-keys"],
  certificate: ["certificates", "trusted-certificates", "useful-certificates"],
  data: ["data"],
} as const satisfies Record<CardObject["class"], readonly DirectoryKind[]>;
const CLASSES = ["private-key", "public-key", "certificate", "data"] as const;

type ObjectClass = CardObject["class"];

/** The facade objects of an application, cached until the card is written to. */
export class ObjectList {
  readonly #contents: CardContents;
  readonly #dialect: Dialect;
  readonly #pins: Pins;
  readonly #makes: EntryObjects;
  readonly #items = new WeakMap<CardObject, DirectoryItem>();
  /** References by entries: an object keeps its own, whatever happens to its entry or its neighbours. */
  readonly #references = new Map<string, string>();
  readonly #classes = new MemoizedMap((name: ObjectClass) => this.#read(name));

  constructor(contents: CardContents, dialect: Dialect, pins: Pins) {
    this.#contents = contents;
    this.#dialect = dialect;
    this.#pins = pins;
    this.#makes = new EntryObjects(contents, dialect);
  }

  /** The objects of the given classes, from as few directories as possible; what must be read of them, in one transaction. */
  of(classes: readonly ObjectClass[] = CLASSES): Promise<readonly PlacedObject[]> {
    const isKnown = classes.every((name) => this.#classes.has(name));
    return isKnown ? this.#of(classes) : this.#contents.together(() => this.#of(classes));
  }

  async #of(classes: readonly ObjectClass[]): Promise<readonly PlacedObject[]> {
    const found: PlacedObject[] = [];
    for (const name of CLASSES) if (classes.includes(name)) found.push(...(await this.#classes.get(name)));
    return found;
  }

  forget(): void {
    this.#classes.clear();
  }

  /** Gives an object another entry, or none: it is the same object as long as it has one. */
  changed(before: DirectoryItem, der?: Uint8Array): void {
    const reference = this.#references.get(entryName(before));
    this.#references.delete(entryName(before));
    if (reference !== undefined && der) this.#references.set(entryName({ ...before, der }), reference);
  }

  /** The data for using a key. @throws {UnsupportedError} for another card's key. */
  requireKey(key: CardPrivateKey): PlacedKey {
    const placed = this.#makes.keyOf(key);
    if (!placed) throw new UnsupportedError("the key does not belong to this card");
    return placed;
  }

  /** The entry of an object; undefined for another card's object. */
  itemOf(object: CardObject): DirectoryItem | undefined {
    return this.#items.get(object);
  }

  async #read(name: ObjectClass): Promise<readonly PlacedObject[]> {
    const items: DirectoryItem[] = [];
    for (const kind of KINDS[name]) items.push(...(await this.#contents.directory(kind)));
    const algorithms =
      name === "private-key" && this.#dialect.algorithmsFromTokenInfo
        ? ((await this.#contents.tokenInfo())?.algorithms ?? [])
        : [];
    // With one token only, the objects' owners do not matter.
    const keys = this.#pins.users.length > 1 ? await this.#contents.directory("private-keys") : [];
    const owners = new Owners(keys, this.#pins);
    await this.#checkGuards(items);
    const reference = this.#namer();
    return items.flatMap((item) => {
      const object = this.#makes.of(item.entry, algorithms, (wanted) => reference(item, wanted));
      if (!object) return [];
      this.#items.set(object, item);
      return [{ object, item, token: owners.of(item) }];
    });
  }

  /**
   * Assigns references to the objects of a class: the ones that they had, or else the given ones, made unique. A
   * reference that another entry had is not reused: an entry that was changed by another program is another object.
   */
  #namer(): (item: DirectoryItem, wanted: string) => string {
    const taken = new Set(this.#references.values());
    const given = new Set<string>();
    return (item, wanted) => {
      const known = this.#references.get(entryName(item));
      // A repeated entry is two objects.
      const reference = known === undefined || given.has(known) ? unique(taken, wanted) : known;
      given.add(reference);
      if (known === undefined) this.#references.set(entryName(item), reference);
      return reference;
    };
  }

  /** Objects whose access condition is unknown: they are shown, because the card may return them. */
  async #checkGuards(items: readonly DirectoryItem[]): Promise<void> {
    const known = new Set<string>();
    for (const { entry } of await this.#contents.directory("authentication")) {
      if ("authId" in entry && entry.authId) known.add(toHex(entry.authId));
    }
    for (const { entry } of items) {
      const { authId, label } = entry.head;
      if (!authId || known.has(toHex(authId))) continue;
      this.#contents.report(
        `${entry.class} ${label}`,
        `is protected by ${toHex(authId)}, which the card does not have`,
      );
    }
  }
}

/** Identifies an entry among all others of its class. */
const entryName = ({ kind, der }: DirectoryItem): string => `${kind} ${toHex(der)}`;

function unique(names: Set<string>, wanted: string): string {
  let name = wanted;
  for (let number = 2; names.has(name); number++) name = `${wanted}#${number}`;
  names.add(name);
  return name;
}
