import { encodeTlv, findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import { type PivContext, requirePin } from "./context.ts";
import type { PivDeviation } from "./deviations.ts";
import { needsPin, outerTag, TAG } from "./data-object.ts";

/** GET DATA (SP 800-73-4 part 2 section 3.1.2). */
export function getData(context: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0x3f || p2 !== 0xff) throw new Refusal(SW.INCORRECT_P1_P2);
  const tag = readTagList(findTlv(readTlvs(data, "GET DATA"), 0x5c));
  if (needsPin(tag)) requirePin(context);
  const content = context.contents.objects.get(tag);
  if (content === undefined || isMissing(context, tag)) throw new Refusal(SW.FILE_NOT_FOUND);
  return encodeTlv(outerTag(tag), content);
}

/** The deviations of a card without one of the standard's objects. */
export const MISSING_OBJECTS: ReadonlyMap<number, PivDeviation> = new Map([
  [TAG.KEY_HISTORY, "no-key-history"],
  [TAG.DISCOVERY, "no-discovery-object"],
  [TAG.CHUID, "no-chuid"],
]);

/** Whether this card knows no such object, be it one of the standard. */
export function isMissing({ contents }: PivContext, tag: number): boolean {
  const deviation = MISSING_OBJECTS.get(tag);
  return deviation !== undefined && contents.deviations.has(deviation);
}

/** The one tag of 1 to 3 bytes in the content of a tag list (5C). */
export function readTagList(list: Uint8Array | undefined): number {
  if (list === undefined || list.length === 0 || list.length > 3) throw new Refusal(SW.WRONG_DATA);
  return list.reduce((tag, byte) => (tag << 8) | byte, 0);
}
