import { readTlvs, SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { CardCommand } from "../transport.ts";
import { type PivContext, requireAdministrator } from "./context.ts";
import { isStandardTag, MAX_OBJECT, outerTag, TAG } from "./data-object.ts";
import { isMissing, readTagList } from "./get-data.ts";

/**
 * PUT DATA (SP 800-73-4 part 2 section 3.3.1): a tag list and the new content in 53, or one of the two objects that
 * have a tag of their own. Empty content takes the object away.
 */
export function putData(context: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0x3f || p2 !== 0xff) throw new Refusal(SW.INCORRECT_P1_P2);
  requireAdministrator(context);
  const { objects, traits } = context.contents;
  const { tag, content } = readObject(data);
  const vendor = traits.yubico && tag >> 16 === 0x5f && tag >> 8 !== 0x5fc1;
  if (!isStandardTag(tag) && !vendor) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  if (isMissing(context, tag)) throw new Refusal(SW.FILE_NOT_FOUND);
  if (content.length > MAX_OBJECT) throw new Refusal(SW.NOT_ENOUGH_MEMORY);
  if (content.length === 0) objects.delete(tag);
  else objects.set(tag, content.slice());
  return new Uint8Array();
}

function readObject(data: Uint8Array): { tag: number; content: Uint8Array } {
  const [first, second, ...more] = readTlvs(data, "PUT DATA");
  if (first === undefined || more.length > 0) throw new Refusal(SW.WRONG_DATA);
  if (first.tag === TAG.DISCOVERY || first.tag === TAG.BIOMETRIC_TEMPLATES) {
    if (second !== undefined) throw new Refusal(SW.WRONG_DATA);
    return { tag: first.tag, content: first.value };
  }
  const tag = readTagList(first.tag === 0x5c ? first.value : undefined);
  if (second?.tag !== outerTag(tag)) throw new Refusal(SW.WRONG_DATA);
  return { tag, content: second.value };
}
