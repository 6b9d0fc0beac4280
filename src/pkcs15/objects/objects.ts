import { MemoizedMap } from "../../async/index.ts";
import { toHex } from "../../bytes/index.ts";
import type { CardObject, CardPrivateKey } from "../../card/index.ts";
import type { CardContents, DirectoryItem } from "./contents.ts";
import type { Dialect } from "../dialect.ts";
import { EntryObjects, Owners, type PlacedKey } from "./entry-objects.ts";
import type { Pins } from "../pins/pins.ts";
import type { DirectoryKind } from "../syntax/directory.ts";

/** An object, the entry that it is made of, and the token that it belongs to. */
export interface PlacedObject {
  readonly object: CardObject;
  readonly item: DirectoryItem;
  /** Which of the application's tokens. */
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

/** The objects of an application, as the facade sees them: made once, until the card is written to. */
export class ObjectList {
  readonly #contents: CardContents;
  readonly #dialect: Dialect;
  readonly #pins: Pins;
  readonly #makes: EntryObjects;
  readonly #items = new WeakMap<CardObject, DirectoryItem>();
  /** References by the entries that have them: an object keeps its own, whatever becomes of its entry or of its neighbours. */
  readonly #references = new Map<string, string>();
  readonly #classes = new MemoizedMap((name: ObjectClass) => this.#read(name));

  constructor(contents: CardContents, dialect: Dialect, pins: Pins) {
    this.#contents = contents;
    this.#dialect = dialect;
    this.#pins = pins;
    this.#makes = new EntryObjects(contents, dialect);
  }

  /** Those of the classes named, from as many directories as it takes. */
  async of(classes: readonly ObjectClass[] = CLASSES): Promise<readonly PlacedObject[]> {
    const found: PlacedObject[] = [];
    for (const name of CLASSES) if (classes.includes(name)) found.push(...(await this.#classes.get(name)));
    return found;
  }

  forget(): void {
    this.#classes.clear();
  }

  /** An object has another entry now, or none: it is the same object as long as it has one. */
  changed(before: DirectoryItem, der?: Uint8Array): void {
    const reference = this.#references.get(entryName(before));
    this.#references.delete(entryName(before));
    if (reference !== undefined && der) this.#references.set(entryName({ ...before, der }), reference);
  }

  /** What using a key takes; undefined for a key of somewhere else. */
  keyOf(key: CardPrivateKey): PlacedKey | undefined {
    return this.#makes.keyOf(key);
  }

  /** The entry that an object was made of; undefined for an object of somewhere else. */
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
    // Where there is one token only, nobody needs to know whose the objects are.
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
   * Gives the objects of a class their references: the ones that they had, or else those that are wanted, made unique. One that
   * another entry had stays that one's: an entry that was changed without a word of it is another object.
   */
  #namer(): (item: DirectoryItem, wanted: string) => string {
    const taken = new Set(this.#references.values());
    const given = new Set<string>();
    return (item, wanted) => {
      const known = this.#references.get(entryName(item));
      // An entry that stands there twice is two objects.
      const reference = known === undefined || given.has(known) ? unique(taken, wanted) : known;
      given.add(reference);
      if (known === undefined) this.#references.set(entryName(item), reference);
      return reference;
    };
  }

  /** Objects that nobody knows how to get leave for: they are shown all the same, for the card may give it. */
  async #checkGuards(items: readonly DirectoryItem[]): Promise<void> {
    const known = new Set<string>();
    for (const { entry } of await this.#contents.directory("authentication")) {
      if ("authId" in entry && entry.authId) known.add(toHex(entry.authId));
    }
    for (const { entry } of items) {
      const { authId, label } = entry.head;
      if (!authId || known.has(toHex(authId))) continue;
      this.#contents.report(`${entry.class} ${label}`, `is guarded by ${toHex(authId)}, which the card does not have`);
    }
  }
}

/** What tells an entry from all others of its class. */
const entryName = ({ kind, der }: DirectoryItem): string => `${kind} ${toHex(der)}`;

function unique(names: Set<string>, wanted: string): string {
  let name = wanted;
  for (let number = 2; names.has(name); number++) name = `${wanted}#${number}`;
  names.add(name);
  return name;
}
