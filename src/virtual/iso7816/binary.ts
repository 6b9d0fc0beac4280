import { SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import type { TransparentFile } from "./file.ts";
import { requireAccess } from "./rights.ts";
import { shortFile } from "./short-file.ts";
import { deviates, type IsoContext } from "./make.ts";

const SHORT_ID = 0x80;
/** As much as there is, of a command without Le too. */
const ALL = 0x100;

/** READ BINARY of the current EF or of one by its short identifier (ISO/IEC 7816-4 section 11.3.3). */
export function readBinary(context: IsoContext, command: CardCommand): Uint8Array {
  const { file, offset } = target(context, command);
  requireAccess(context, file, "use");
  const { ne = ALL } = command;
  const left = file.contents.length - offset;
  if (left < 0) throw new Refusal(SW.WRONG_P1_P2);
  if (left === 0 && !deviates(context, "empty-end-of-file")) throw new Refusal(context.make.endOfFile);
  return file.contents.slice(offset, offset + ne);
}

/** UPDATE BINARY: what does not fit is not written in part (section 11.3.5). */
export function updateBinary(context: IsoContext, command: CardCommand): Uint8Array {
  const { file, offset } = target(context, command);
  requireAccess(context, file, "update");
  if (command.data.length === 0) throw new Refusal(SW.WRONG_LENGTH);
  if (offset + command.data.length > file.contents.length) throw new Refusal(SW.WRONG_P1_P2);
  file.contents.set(command.data, offset);
  context.contents.changes++;
  return new Uint8Array();
}

/** ERASE BINARY: zeros from the offset to the end, or to an offset that the data field has (section 11.3.7). */
export function eraseBinary(context: IsoContext, command: CardCommand): Uint8Array {
  const { file, offset } = target(context, command);
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
function target(context: IsoContext, { p1, p2 }: CardCommand): { file: TransparentFile; offset: number } {
  const short = (p1 & SHORT_ID) !== 0;
  if (short && (p1 & 0x60) !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (short) context.session.file = shortFile(context, p1 & 0x1f);
  const { file } = context.session;
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "transparent") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  return { file, offset: short ? p2 : (p1 << 8) | p2 };
}
