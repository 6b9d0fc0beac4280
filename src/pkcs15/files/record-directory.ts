import { SW } from "../../apdu/index.ts";
import { concat, equalBytes } from "../../bytes/index.ts";
import { CardError, UnsupportedError } from "../../card/index.ts";
import { writeFailure } from "../writing/allocation.ts";
import { appendRecord, updateRecord } from "./commands.ts";
import type { FileControl } from "./file-control.ts";
import { type FilePlace, placeName } from "./place.ts";
import { readRecords } from "./records.ts";
import { readElements } from "../syntax/directory.ts";
import type { CardTurn } from "./turn.ts";

/**
 * A directory that is a file of records, an object in each. Every change is one exchange, so that the card is whole after it: a
 * record is written over, with zeros where its object is gone, or one is added.
 */
export class RecordDirectory {
  readonly #turn: CardTurn;
  readonly #place: FilePlace;
  readonly #control: FileControl;
  readonly #records: readonly Uint8Array[];

  private constructor(turn: CardTurn, place: FilePlace, control: FileControl, records: readonly Uint8Array[]) {
    this.#turn = turn;
    this.#place = place;
    this.#control = control;
    this.#records = records;
  }

  /** Reads it as it is now. */
  static async open(turn: CardTurn, place: FilePlace): Promise<RecordDirectory> {
    const control = await turn.select(place);
    return new RecordDirectory(turn, place, control, await readRecords(turn, place, control));
  }

  async add(entry: Uint8Array): Promise<void> {
    const free = this.#records.findIndex((record) => isFree(record) && record.length >= entry.length);
    const found = this.#records[free];
    if (found) return this.#write(free + 1, entry, found.length);
    const { recordSize = entry.length } = this.#control;
    const { sw } = await this.#turn.send(appendRecord(padded(this.#fitting(entry), recordSize)));
    if (sw === SW.NOT_ENOUGH_MEMORY) throw new UnsupportedError("the directory has no room for another object");
    if (sw !== SW.OK) throw writeFailure(`APPEND RECORD of ${placeName(this.#place)}`, sw);
  }

  /**
   * Replaces an entry, or takes it out.
   * @param der The entry as it was read.
   */
  async change(der: Uint8Array, replacement: Uint8Array | undefined): Promise<void> {
    const at = this.#records.findIndex((record) => holds(record, der));
    const record = this.#records[at];
    if (!record) throw new CardError("the object is not on the card any more, or in one record with others");
    await this.#write(at + 1, replacement ? this.#fitting(replacement) : new Uint8Array(), record.length);
  }

  #fitting(entry: Uint8Array): Uint8Array {
    const { recordSize } = this.#control;
    if (recordSize === undefined || entry.length <= recordSize) return entry;
    throw new UnsupportedError(
      `the object takes ${entry.length} bytes of its directory, whose records have ${recordSize}`,
    );
  }

  async #write(number: number, entry: Uint8Array, length: number): Promise<void> {
    const { sw } = await this.#turn.send(updateRecord(number, padded(entry, length)));
    if (sw !== SW.OK) throw writeFailure(`UPDATE RECORD ${number} of ${placeName(this.#place)}`, sw);
  }
}

function isFree(record: Uint8Array): boolean {
  return record.every((octet) => octet === 0x00) || record.every((octet) => octet === 0xff);
}

function holds(record: Uint8Array, der: Uint8Array): boolean {
  const { elements, broken } = readElements(record, "record");
  const [first] = elements;
  return broken.length === 0 && elements.length === 1 && first !== undefined && equalBytes(first.der, der);
}

const padded = (entry: Uint8Array, length: number): Uint8Array =>
  concat(entry, new Uint8Array(Math.max(0, length - entry.length)));
