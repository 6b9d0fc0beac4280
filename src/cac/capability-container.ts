import { DataError } from "../bytes/index.ts";
import { BufferFile } from "./buffer-file.ts";
import { type CardUrl, readCardUrl } from "./card-url.ts";
import { CCC, type Place, placeName } from "./place.ts";
import type { CacSession } from "./session.ts";
import { joinBuffers, readTagLengths, type SimpleTlv, type TagLength } from "./simple-tlv.ts";

/** Tags of a card capability container (GSC-IS 2.1 table 7-1). */
const TAG = { CARD_IDENTIFIER: 0xf0, CARD_URL: 0xf3, NEXT_CCC: 0xfd } as const;
const WANTED: ReadonlySet<number> = new Set(Object.values(TAG));

/** How many containers may follow each other, and how many applets a card may have. */
const MAX_CONTAINERS = 16;
const MAX_URLS = 256;

/** GSC-RID, manufacturer and type of card stand before the card's own number (GSC-IS 2.1 section 7.2). */
const CARD_ID_OFFSET = 7;

/** What a card says of itself. */
export interface Capabilities {
  /** The card's number; undefined if it tells none. */
  readonly cardId: Uint8Array | undefined;
  readonly urls: readonly CardUrl[];
}

/**
 * Reads the card capability container, and those that it refers to.
 * @throws {DataError} if the buffers do not fit together.
 */
export async function readCapabilities(session: CacSession): Promise<Capabilities> {
  const seen = new Set<string>();
  const urls: CardUrl[] = [];
  let cardId: Uint8Array | undefined;
  let next: Place | undefined = CCC;
  while (next && !seen.has(nameOf(next)) && seen.size < MAX_CONTAINERS) {
    seen.add(nameOf(next));
    const objects = await readContainer(session, next);
    next = undefined;
    for (const { tag, value } of objects) {
      if (tag === TAG.CARD_IDENTIFIER && value.length > CARD_ID_OFFSET) cardId ??= value.subarray(CARD_ID_OFFSET);
      if (tag === TAG.CARD_URL && urls.length < MAX_URLS) urls.push(...tolerantly(value));
      if (tag === TAG.NEXT_CCC) next = tolerantly(value)[0]?.place;
    }
  }
  return { cardId, urls };
}

/** The container's own object is called as its applet is; the first one is read without a word of it. */
const nameOf = ({ aid, object = aid.subarray(-2) }: Place): string => placeName({ aid, object });

/** Of the values only what is wanted: the rest of the container is rules and tables that nobody asks for. */
async function readContainer(session: CacSession, place: Place): Promise<readonly SimpleTlv[]> {
  const tags = readTagLengths(await new BufferFile(session, place, "TAGS").read(), "CCC");
  const last = tags.findLastIndex(({ tag, length }) => WANTED.has(tag) && length > 0);
  const wanted = tags.slice(0, last + 1);
  const values = await new BufferFile(session, place, "VALUES").read(total(wanted));
  return joinBuffers(wanted, values, "CCC");
}

const total = (tags: readonly TagLength[]): number => tags.reduce((sum, { length }) => sum + length, 0);

/** A broken line hides no other. */
function tolerantly(value: Uint8Array): readonly CardUrl[] {
  try {
    return [readCardUrl(value)];
  } catch (error) {
    if (error instanceof DataError) return [];
    throw error;
  }
}
