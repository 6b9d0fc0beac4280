import { untilAborted } from "../../async/index.ts";
import { DataError } from "../../bytes/index.ts";
import type { PresenceSearch } from "../../card/index.ts";
import {
  afterReset,
  CardError,
  isAnswer,
  isExecutionError,
  MalformedAnswerError,
  StatusError,
} from "../../card/index.ts";
import type { AttributeList } from "../attributes/template.ts";
import { CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { cancelled } from "../errors.ts";
import type { StoredObject } from "./stored-object.ts";

/**
 * Reads a part of an object.
 * @returns `refused` if the card does not have it, withholds it, or holds malformed data.
 * @throws errors that say nothing about the object: an execution error, and all errors of the connection. Any other
 *   status word may be either, so the read is repeated: a repeated refusal counts.
 */
export async function unlessRefused<T>(read: () => Promise<T>, refused: T): Promise<T> {
  try {
    return await afterReset(read);
  } catch (error) {
    if (isAnswer(error) || isSaidByProfile(error)) return refused;
    if (!mayBeRefusal(error)) throw error;
  }
  try {
    return await afterReset(read);
  } catch (error) {
    if (mayBeRefusal(error)) return refused;
    throw error;
  }
}

/** A profile's own answer about the object: it is gone, or protected, or cannot be read. */
function isSaidByProfile(error: unknown): boolean {
  return error instanceof CardError && !(error instanceof StatusError || error instanceof MalformedAnswerError);
}

function mayBeRefusal(error: unknown): boolean {
  if (error instanceof StatusError) return !isExecutionError(error.sw);
  return error instanceof CardError || error instanceof DataError;
}

/** Attributes with which a search names its object. */
const NAMING: ReadonlySet<number> = new Set([CKA.ID, CKA.LABEL, CKA.OBJECT_ID, CKA.APPLICATION, CKA.UNIQUE_ID]);

/** The context of a search. */
export interface Searcher {
  /**
   * Called at that moment: a user may have logged out since the search began, or the object may have ended.
   * @throws to end the search, because it would find less than exists.
   */
  readonly isVisible: (object: StoredObject) => boolean;
  /** Called for an unreadable object: the card may have forgotten the PIN. */
  readonly refused: (error: unknown) => Promise<void>;
}

/**
 * A running search. Attributes in memory are compared first, for all objects; then, one object after another and only
 * as far as results are requested, whether it is on the card; last the attributes that must be read.
 */
export class Search {
  readonly #wanted: AttributeList;
  readonly #presence: PresenceSearch;
  readonly #candidates: readonly StoredObject[];
  /** Whether the user was logged in when it began. */
  readonly byUser: boolean;
  #next = 0;

  /** @param byUser Whether the user is logged in. */
  constructor(candidates: readonly StoredObject[], wanted: AttributeList, byUser: boolean) {
    this.byUser = byUser;
    this.#wanted = wanted;
    let [explicitlyRequested, byLabel] = [false, false];
    for (const [type, value] of wanted) {
      if (NAMING.has(type) || (type === CKA.CLASS && value === CKO.DATA)) explicitlyRequested = true;
      if (type === CKA.LABEL) byLabel = true;
    }
    this.#presence = { explicitlyRequested, ...(byLabel && { byLabel }) };
    this.#candidates = candidates.filter((object) => object.attributes.mayMatch(wanted));
  }

  /**
   * The next objects that match, at most `max`. An error, an abort too, leaves the search at its position: no object is
   * skipped or lost.
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
      // Checked again: the login may have ended during the read.
      return found.filter(isVisible);
    } catch (error) {
      this.#next = begin;
      throw error;
    }
  }

  /** An object that the card refuses, or that does not parse, does not match, and must not hide the others. */
  #isWanted(object: StoredObject, { refused }: Searcher): Promise<boolean> {
    return unlessRefused(async () => {
      try {
        return (await object.isPresent(this.#presence)) && (await object.attributes.matches(this.#wanted));
      } catch (error) {
        await refused(error);
        throw error;
      }
    }, false);
  }
}
