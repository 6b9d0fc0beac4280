import { SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { ElementaryFile } from "./file.ts";
import { currentDf } from "./current-df.ts";
import type { IsoContext } from "./make.ts";

/**
 * The EF of the current directory with a short identifier (ISO/IEC 7816-4 section 7.3.2.4).
 * @throws {Refusal} 6A82 if there is none.
 */
export function shortFile(context: IsoContext, shortId: number): ElementaryFile {
  for (const file of currentDf(context).files) {
    if ((file.kind === "transparent" || file.kind === "records") && file.shortId === shortId) return file;
  }
  throw new Refusal(SW.FILE_NOT_FOUND);
}
