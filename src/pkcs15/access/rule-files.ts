import { CardError } from "../../apdu/index.ts";
import { DataError } from "../../bytes/index.ts";
import { type RuleReference, ruleReferences } from "./access-rules.ts";
import type { FileControl } from "../files/file-control.ts";
import { childOf, type FilePlace, masterFilePlace, parentOf, placeName } from "../files/place.ts";
import { readRecords } from "../files/records.ts";
import type { Pkcs15Session } from "../files/session.ts";

/** EF.ARR of the whole card, by the identifier that most have for it. */
const USUAL = masterFilePlace(0x2f06);

/** The files of access rules that others refer to (ISO/IEC 7816-4 section 9.3.3.4): each record is read once. */
export class RuleFiles {
  readonly #session: Pkcs15Session;
  readonly #records = new Map<string, Promise<Uint8Array | undefined>>();

  constructor(session: Pkcs15Session) {
    this.#session = session;
  }

  /**
   * Reads the records that the rules of a file refer to.
   * @returns What gives their contents, as {@link accessRules} asks for them; undefined for those that the card does not show.
   */
  async of(
    place: FilePlace,
    security: FileControl["security"],
  ): Promise<(reference: RuleReference) => Uint8Array | undefined> {
    const found = new Map<string, Uint8Array>();
    for (const reference of ruleReferences(security)) {
      const record = await this.#find(place, reference);
      if (record) found.set(keyOf(reference), record);
    }
    return (reference) => found.get(keyOf(reference));
  }

  /** In the DF of the file, or in those above it. */
  async #find(place: FilePlace, { file, record }: RuleReference): Promise<Uint8Array | undefined> {
    if (!file) return this.#record(USUAL, record);
    for (let df = place; df.path.length > 0;) {
      df = parentOf(df);
      const found = await this.#record(childOf(df, file), record);
      if (found) return found;
    }
    return undefined;
  }

  #record(place: FilePlace, record: number): Promise<Uint8Array | undefined> {
    const key = `${placeName(place)} ${record}`;
    const known = this.#records.get(key) ?? this.#read(place, record);
    this.#records.set(key, known);
    return known;
  }

  async #read(place: FilePlace, record: number): Promise<Uint8Array | undefined> {
    try {
      const records = await this.#session.read(async (turn) =>
        readRecords(turn, place, await turn.select(place), record),
      );
      return records[0];
    } catch (error) {
      if (!(error instanceof CardError || error instanceof DataError)) throw error;
      return undefined;
    }
  }
}

const keyOf = ({ file = new Uint8Array(), record }: RuleReference): string => `${file.join(" ")} ${record}`;
