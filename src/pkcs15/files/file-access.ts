import type { CommandApdu } from "../../apdu/index.ts";
import { readBinary } from "./commands.ts";
import type { FileControl } from "./file-control.ts";
import type { FilePlace } from "./place.ts";
import type { CardTurn } from "./turn.ts";

/** How a card is asked for the bytes of a file. */
export interface FileAccess {
  /** Whatever comes before reading. @throws {StatusError} if there is no such file. */
  open(turn: CardTurn, place: FilePlace): Promise<FileControl>;
  read(place: FilePlace, offset: number, length: number): CommandApdu;
  /** Whether what one command brought is all that there is; left out where only the file's end tells. */
  isAll?(data: Uint8Array): boolean;
}

/** SELECT, then READ BINARY of the current file (ISO/IEC 7816-4 section 11.3.3). */
export const STANDARD_ACCESS: FileAccess = {
  open: (turn, place) => turn.select(place),
  read: (_place, offset, length) => readBinary(offset, length),
};
