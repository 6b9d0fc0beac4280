import { untilAborted } from "../../async/index.ts";
import type { AttributeList } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import { cancelled } from "../error-map.ts";
import { unlessRefused } from "./refused.ts";
import type { StoredObject } from "./stored-object.ts";

/** Attributes by which a search names the object that it wants. */
const NAMING: ReadonlySet<number> = new Set([CKA.ID, CKA.LABEL, CKA.OBJECT_ID, CKA.APPLICATION, CKA.UNIQUE_ID]);

/** Whose search it is. */
export interface Searcher {
  /**
   * Asked at that moment: a user may have logged out since the search began, or the object may have ended.
   * @throws to end the search: it would find less than there is.
   */
  readonly isVisible: (object: StoredObject) => boolean;
  /** Told of an object that could not be read: the card may have forgotten the PIN. */
  readonly refused: (error: unknown) => Promise<void>;
}

/**
 * A search under way. Attributes that cost nothing are compared first, for all objects; then, one object after another and only as
 * far as somebody asks, whether it is on the card; and last the attributes that must be read.
 */
export class Search {
  readonly #wanted: AttributeList;
  readonly #named: boolean;
  readonly #candidates: readonly StoredObject[];
  /** The user was logged in when it began. */
  readonly byUser: boolean;
  #next = 0;

  /** @param byUser Whether the user is logged in. */
  constructor(candidates: readonly StoredObject[], wanted: AttributeList, byUser: boolean) {
    this.byUser = byUser;
    this.#wanted = wanted;
    this.#named = wanted.some(([type, value]) => NAMING.has(type) || (type === CKA.CLASS && value === CKO.DATA));
    this.#candidates = candidates.filter((object) => object.attributes.mayMatch(wanted));
  }

  /**
   * The next objects that match, at most `max`. After an error, an abort among them, the search stands where it stood: no object
   * is passed over because the card failed, and none that was found is lost.
   */
  async next(max: number, searcher: Searcher, signal?: AbortSignal): Promise<readonly StoredObject[]> {
    const { isVisible } = searcher;
    const found: StoredObject[] = [];
    const begin = this.#next;
    try {
      while (found.length < max) {
        const object = this.#candidates[this.#next];
        if (!object) break;
        const wanted = isVisible(object) && (await untilAborted(this.#isWanted(object, searcher), signal, cancelled));
        if (wanted) found.push(object);
        this.#next++;
      }
      // Asked again: the login may have ended while the card was read.
      return found.filter(isVisible);
    } catch (error) {
      this.#next = begin;
      throw error;
    }
  }

  /** An object that the card refuses, or that does not parse, is not the one wanted, and must not hide the others. */
  #isWanted(object: StoredObject, { refused }: Searcher): Promise<boolean> {
    return unlessRefused(async () => {
      try {
        return (await object.exists(this.#named)) && (await object.attributes.matches(this.#wanted));
      } catch (error) {
        await refused(error);
        throw error;
      }
    }, false);
  }
}
