import { MalformedAnswerError, StatusError } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import type { Card } from "../card/index.ts";
import { readBinary } from "./files/commands.ts";
import { pathName } from "./files/paths.ts";
import { Findings } from "./objects/catalogue.ts";
import { findApplications } from "./recognition/find.ts";

/** How a card answers READ BINARY at the end of a file. */
export interface EndOfFile {
  /** The file that was read: "3F00/5015/5032". */
  readonly path: string;
  /** Its size in bytes, reported by the card. */
  readonly size: number;
  /** The answers to a read of one byte at the end of the file, and after it. */
  readonly atEnd: { readonly sw: number; readonly length: number };
  readonly behindEnd: { readonly sw: number; readonly length: number };
}

/**
 * Reads the end of EF(TokenInfo) of a card with ISO/IEC 7816-15. Changes nothing on the card.
 * @returns Undefined for a card without such an application or file, or one that does not report the file's size.
 * @throws {CardAccessError} if the card cannot be reached.
 */
export async function readEndOfFile(card: Card): Promise<EndOfFile | undefined> {
  const [application] = await findApplications(card, new Findings(card));
  if (!application?.contents.hasOdf) return undefined;
  const { session, tokenInfoPlace: place } = application.contents;
  try {
    return await session.read(async (turn) => {
      const { size, structure } = await turn.select(place);
      if (size === undefined || structure === "records" || structure === "df") return undefined;
      const read = async (offset: number): Promise<EndOfFile["atEnd"]> => {
        const { sw, data } = await turn.send(readBinary(offset, 1));
        return { sw, length: data.length };
      };
      return { path: pathName(place), size, atEnd: await read(size), behindEnd: await read(size + 1) };
    });
  } catch (error) {
    if (error instanceof StatusError || error instanceof DataError || error instanceof MalformedAnswerError)
      return undefined;
    throw error;
  }
}
