import { SW } from "../../apdu/index.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { deviates, type IsoContext, type RecordFile, requireAccess, type TransparentFile } from "./model.ts";
import { shortFile } from "./select.ts";

const SHORT_ID = 0x80;
/** All remaining bytes, also for a command without Le. */
const ALL = 0x100;

/** READ BINARY of the current EF or of one by its short identifier (ISO/IEC 7816-4 section 11.3.3). */
export function readBinary(context: IsoContext, command: CardCommand): Uint8Array {
  const { file, offset } = targetFile(context, command);
  requireAccess(context, file, "use");
  const { ne = ALL } = command;
  const left = file.contents.length - offset;
  if (left < 0) throw new Refusal(SW.WRONG_P1_P2);
  if (left === 0 && !deviates(context, "empty-end-of-file")) throw new Refusal(context.make.endOfFile);
  return file.contents.slice(offset, offset + ne);
}

/** UPDATE BINARY: data that do not fit are not written at all (section 11.3.5). */
export function updateBinary(context: IsoContext, command: CardCommand): Uint8Array {
  const { file, offset } = targetFile(context, command);
  requireAccess(context, file, "update");
  if (command.data.length === 0) throw new Refusal(SW.WRONG_LENGTH);
  if (offset + command.data.length > file.contents.length) throw new Refusal(SW.WRONG_P1_P2);
  file.contents.set(command.data, offset);
  context.contents.changes++;
  return new Uint8Array();
}

/** ERASE BINARY: zeros from the offset to the end, or to the offset in the data field (section 11.3.7). */
export function eraseBinary(context: IsoContext, command: CardCommand): Uint8Array {
  const { file, offset } = targetFile(context, command);
  requireAccess(context, file, "update");
  const { data } = command;
  if (data.length > 2) throw new Refusal(SW.WRONG_LENGTH);
  const end = data.length === 0 ? file.contents.length : data.reduce((sum, byte) => sum * 256 + byte, 0);
  if (offset > end || end > file.contents.length) throw new Refusal(SW.WRONG_P1_P2);
  file.contents.fill(0, offset, end);
  context.contents.changes++;
  return new Uint8Array();
}

/** The file that P1 and P2 name, and the offset; a short identifier makes its file current. */
function targetFile(context: IsoContext, { p1, p2 }: CardCommand): { file: TransparentFile; offset: number } {
  const short = (p1 & SHORT_ID) !== 0;
  if (short && (p1 & 0x60) !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (short) context.session.file = shortFile(context, p1 & 0x1f);
  const { file } = context.session;
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "transparent") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  return { file, offset: short ? p2 : (p1 << 8) | p2 };
}

/** P2, its low three bits: P1 is the number of the record (ISO/IEC 7816-4 section 11.4.2, table 71). */
const BY_NUMBER = 0x04;

/** READ RECORD by its number (section 11.4.3). */
export function readRecord(context: IsoContext, command: CardCommand): Uint8Array {
  const file = targetRecord(context, command);
  requireAccess(context, file, "use");
  const record = file.records[command.p1 - 1];
  if (!record) throw new Refusal(SW.RECORD_NOT_FOUND);
  return record.slice();
}

/** UPDATE RECORD by its number; the number after the last appends one (section 11.4.5). */
export function updateRecord(context: IsoContext, command: CardCommand): Uint8Array {
  const file = targetRecord(context, command);
  requireAccess(context, file, "update");
  const index = command.p1 - 1;
  if (index > file.records.length || index > 253) throw new Refusal(SW.RECORD_NOT_FOUND);
  if (command.data.length === 0) throw new Refusal(SW.WRONG_LENGTH);
  file.records[index] = command.data.slice();
  context.contents.changes++;
  return new Uint8Array();
}

function targetRecord(context: IsoContext, { p1, p2 }: CardCommand): RecordFile {
  if ((p2 & 0x07) !== BY_NUMBER || p1 === 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const shortId = p2 >> 3;
  if (shortId !== 0) context.session.file = shortFile(context, shortId);
  const { file } = context.session;
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "records") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  return file;
}
