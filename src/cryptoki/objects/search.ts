import { DataError } from "../../bytes/index.ts";
import { CardError } from "../../card/index.ts";
import type { AttributeList } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import { isGone } from "../error-map.ts";
import { afterReset } from "../sessions/after-reset.ts";
import { untilAborted } from "../turns.ts";
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
  readonly #candidates: readonly StoredObject[];
  #next = 0;

  constructor(candidates: readonly StoredObject[], wanted: AttributeList) {
    this.#wanted = wanted;
    this.#named = wanted.some(([type, value]) => NAMING.has(type) || (type === CKA.CLASS && value === CKO.DATA));
    this.#candidates = candidates.filter((object) => object.attributes.mayMatch(wanted));
  }

  /**
   * The next objects that match, at most `max`. A search that `signal` ends stands where it stood.
   * @param isVisible Asked at that moment: a user may have logged out since the search began, or the object may have ended.
   */
  async next(
    max: number,
    isVisible: (object: StoredObject) => boolean,
    signal?: AbortSignal,
  ): Promise<readonly StoredObject[]> {
    const found: StoredObject[] = [];
    const begin = this.#next;
    while (found.length < max) {
      const object = this.#candidates[this.#next];
      if (!object) break;
      try {
        const wanted = isVisible(object) && (await untilAborted(this.#isWanted(object), signal));
        // Asked again: the login may have ended while the card was read.
        if (wanted && isVisible(object)) found.push(object);
      } catch (error) {
        if (signal?.aborted && error === signal.reason) {
          this.#next = begin;
          throw error;
        }
        // The next call tells, if it still is so: what was found must not be lost, nor this object passed over.
        if (found.length === 0 || isGone(error)) throw error;
        break;
      }
      this.#next++;
    }
    return found;
  }

  /** An object that the card refuses, or that does not parse, is not the one wanted, and must not hide the others. */
  async #isWanted(object: StoredObject): Promise<boolean> {
    try {
      return await afterReset(
        async () => (await object.exists(this.#named)) && (await object.attributes.matches(this.#wanted)),
      );
    } catch (error) {
      if (error instanceof CardError || error instanceof DataError) return false;
      throw error;
    }
  }
}
