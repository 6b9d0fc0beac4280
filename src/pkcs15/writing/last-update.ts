import { CardError, SW } from "../../apdu/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { updateBinary } from "../files/commands.ts";
import type { CardContents } from "../objects/contents.ts";
import { type FilePlace, resolve } from "../files/place.ts";
import type { TokenInfo } from "../syntax/token-info.ts";
import type { CardTurn } from "../files/turn.ts";

/** A GeneralizedTime of 15 characters, in TokenInfo behind the tag of lastUpdate, [5] (ISO/IEC 7816-15 section 8.10). */
const TIME = [0x18, 0x0f] as const;
const IN_TOKEN_INFO = [0xa5, 0x11, ...TIME] as const;
const TIME_LENGTH = 15;
const SECOND = 1000;

/** The file that holds the time of the last update: TokenInfo, or the one that it names; undefined if the card keeps none. */
export function lastUpdatePlace(contents: CardContents, info: TokenInfo | undefined): FilePlace | undefined {
  if (!info?.lastUpdate) return undefined;
  if ("time" in info.lastUpdate) return contents.tokenInfoPlace;
  const { file } = info.lastUpdate;
  return file.path.length > 1 ? resolve(contents.session.applicationDf, file) : undefined;
}

/**
 * Writes the time into lastUpdate, later than the one that is there even if the clock says otherwise. Where the card has none, or lets
 * nobody write it, nothing is done.
 */
export async function touchLastUpdate(
  turn: CardTurn,
  contents: CardContents,
  info: TokenInfo | undefined,
): Promise<void> {
  const place = lastUpdatePlace(contents, info);
  if (!info?.lastUpdate || !place) return;
  const found = await unlessRefused(contents.files.readAnew(turn, place));
  if (!found) return;
  const head = "time" in info.lastUpdate ? IN_TOKEN_INFO : TIME;
  const at = found.bytes.findIndex((_, index) => head.every((octet, offset) => found.bytes[index + offset] === octet));
  if (at < 0 || at + head.length + TIME_LENGTH > found.bytes.length) return;
  const offset = at + head.length;
  const old = String.fromCharCode(...found.bytes.subarray(offset, offset + TIME_LENGTH));
  const now = generalizedTime(new Date());
  const time = now > old ? now : generalizedTime(new Date(momentOf(old) + SECOND));
  await turn.select(place);
  const { sw } = await turn.send(updateBinary(offset, utf8(time)));
  if (sw !== SW.OK) contents.report("TokenInfo", "the time of the last update cannot be written");
}

async function unlessRefused<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof CardError) return undefined;
    throw error;
  }
}

/** YYYYMMDDHHMMSSZ, UTC. */
function generalizedTime(time: Date): string {
  return `${time.toISOString().replaceAll(/[-:T]|\..*/gu, "")}Z`;
}

function momentOf(text: string): number {
  const [, year = "", month = "", day = "", hour = "", minute = "", second = ""] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/u.exec(text) ?? [];
  const moment = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second);
  return Number.isNaN(moment) ? Date.now() : moment;
}
