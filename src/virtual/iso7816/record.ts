import { SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import type { RecordFile } from "./file.ts";
import { requireAccess } from "./rights.ts";
import { shortFile } from "./short-file.ts";
import type { IsoContext } from "./make.ts";

/** P2, its low three bits: P1 is the number of the record (ISO/IEC 7816-4 section 11.4.2, table 71). */
const BY_NUMBER = 0x04;

/** READ RECORD by its number (section 11.4.3). */
export function readRecord(context: IsoContext, command: CardCommand): Uint8Array {
  const file = target(context, command);
  requireAccess(context, file, "use");
  const record = file.records[command.p1 - 1];
  if (!record) throw new Refusal(SW.RECORD_NOT_FOUND);
  return record.slice();
}

/** UPDATE RECORD by its number; one past the last is appended (section 11.4.5). */
export function updateRecord(context: IsoContext, command: CardCommand): Uint8Array {
  const file = target(context, command);
  requireAccess(context, file, "update");
  const index = command.p1 - 1;
  if (index > file.records.length || index > 253) throw new Refusal(SW.RECORD_NOT_FOUND);
  if (command.data.length === 0) throw new Refusal(SW.WRONG_LENGTH);
  file.records[index] = command.data.slice();
  context.contents.changes++;
  return new Uint8Array();
}

function target(context: IsoContext, { p1, p2 }: CardCommand): RecordFile {
  if ((p2 & 0x07) !== BY_NUMBER || p1 === 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const shortId = p2 >> 3;
  if (shortId !== 0) context.session.file = shortFile(context, shortId);
  const { file } = context.session;
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "records") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  return file;
}
