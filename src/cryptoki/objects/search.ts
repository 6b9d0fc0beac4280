import type { AttributeList } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import type { StoredObject } from "./stored-object.ts";

/** Attributes by which a search names the object that it wants. */
const NAMING: ReadonlySet<number> = new Set([CKA.ID, CKA.LABEL, CKA.OBJECT_ID, CKA.APPLICATION, CKA.UNIQUE_ID]);

/**
 * A search under way. Attributes that cost nothing are compared first, for all objects; then, one object after another and only as
 * far as somebody asks, whether it is on the card; and last the attributes that must be read.
 */
export class Search {
  readonly #wanted: AttributeList;
  readonly #named: boolean;
  readonly #candidates: StoredObject[];

  constructor(candidates: readonly StoredObject[], wanted: AttributeList) {
    this.#wanted = wanted;
    this.#named = wanted.some(([type, value]) => NAMING.has(type) || (type === CKA.CLASS && value === CKO.DATA));
    this.#candidates = candidates.filter((object) => object.attributes.mayMatch(wanted));
  }

  /**
   * The next objects that match, at most `max`.
   * @param isVisible Asked at that moment: a user may have logged out since the search began.
   */
  async next(max: number, isVisible: (object: StoredObject) => boolean): Promise<readonly StoredObject[]> {
    const found: StoredObject[] = [];
    while (found.length < max) {
      const object = this.#candidates.shift();
      if (!object) break;
      if (!isVisible(object) || !(await object.exists(this.#named))) continue;
      if (await object.attributes.matches(this.#wanted)) found.push(object);
    }
    return found;
  }
}
