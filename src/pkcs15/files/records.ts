import { StatusError, SW } from "../../apdu/index.ts";
import { readRecord } from "./commands.ts";
import type { FileControl } from "./file-control.ts";
import { type FilePlace, placeName } from "./place.ts";
import type { CardTurn } from "./turn.ts";

/** What one byte counts: FF is reserved (ISO/IEC 7816-4 section 11.4.1). */
const MAX_RECORDS = 254;

/**
 * The records of the current file, which is one of records: from the first to the last that the card has, or one of them, where a
 * path names its number (ISO/IEC 7816-15 section 8.2.5).
 * @param only The number, from 1.
 * @throws {StatusError} for any refusal but that there is no such record.
 */
export async function readRecords(
  turn: CardTurn,
  place: FilePlace,
  { records: count = MAX_RECORDS }: FileControl,
  only = 0,
): Promise<readonly Uint8Array[]> {
  const records: Uint8Array[] = [];
  const last = only > 0 ? only : count;
  for (let number = Math.max(1, only); number <= Math.min(last, MAX_RECORDS); number++) {
    const { data, sw } = await turn.send(readRecord(number));
    if (sw === SW.RECORD_NOT_FOUND) break;
    if (sw !== SW.OK) throw new StatusError(`READ RECORD ${number} of ${placeName(place)}`, sw);
    records.push(data);
  }
  return records;
}
