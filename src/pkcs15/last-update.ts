import { SW } from "../apdu/index.ts";
import { utf8 } from "../bytes/index.ts";
import { updateBinary } from "./commands.ts";
import type { CardContents } from "./contents.ts";
import type { CardTurn } from "./turn.ts";

/** [5] { GeneralizedTime of 15 characters }: TokenInfo's lastUpdate (ISO/IEC 7816-15 section 8.10). */
const HEAD = [0xa5, 0x11, 0x18, 0x0f] as const;
const TIME_LENGTH = 15;
const SECOND = 1000;

/**
 * Writes the time into TokenInfo's lastUpdate, later than the one that is there even if the clock says otherwise. Where the
 * card has none, or lets nobody write it, nothing is done.
 */
export async function touchLastUpdate(turn: CardTurn, contents: CardContents): Promise<void> {
  const info = await contents.files.readAnew(turn, contents.tokenInfoPlace).catch(() => undefined);
  if (!info) return;
  const at = info.bytes.findIndex((_, index) => HEAD.every((octet, offset) => info.bytes[index + offset] === octet));
  if (at < 0 || at + HEAD.length + TIME_LENGTH > info.bytes.length) return;
  const offset = at + HEAD.length;
  const old = String.fromCharCode(...info.bytes.subarray(offset, offset + TIME_LENGTH));
  const now = generalizedTime(new Date());
  const time = now > old ? now : generalizedTime(new Date(momentOf(old) + SECOND));
  await turn.select(contents.tokenInfoPlace);
  const { sw } = await turn.send(updateBinary(offset, utf8(time)));
  if (sw !== SW.OK) contents.report("TokenInfo", "the time of the last update cannot be written");
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
