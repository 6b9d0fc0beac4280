import { utf8 } from "../../bytes/index.ts";
import { UnsupportedError } from "../../card/index.ts";
import { pathName } from "../files/paths.ts";
import type { CardSession } from "../files/card-session.ts";
import type { CardContents } from "../objects/contents.ts";
import { readElements } from "../syntax/directory.ts";
import { MAX_LABEL, relabelledTokenInfo } from "../syntax/token-info.ts";
import { updateAtOnce } from "./allocation.ts";

/**
 * Writes another label into TokenInfo (ISO/IEC 7816-15 section 8.10), by one UPDATE BINARY: if the card is removed, it
 * has the old TokenInfo or the new one. A larger file is not possible, because no directory names it.
 * @throws {UnsupportedError} for a label that does not fit.
 */
export async function writeTokenLabel(turn: CardSession, contents: CardContents, label: string): Promise<void> {
  const place = contents.tokenInfoPlace;
  const name = `TokenInfo ${pathName(place)}`;
  if (utf8(label).length > MAX_LABEL) throw new UnsupportedError(`the label has more than ${MAX_LABEL} bytes`);
  const { bytes, control } = await contents.files.during(turn, place);
  if (control.structure === "records") throw new UnsupportedError(`${name} is a file of records: it is not written to`);
  const { elements, broken } = readElements(bytes, name);
  const [first] = elements;
  const before = broken[0];
  if (!first || (before && before.offset < first.offset)) {
    throw new UnsupportedError(`${name} is malformed: it is not written to`);
  }
  const end = first.offset + first.length;
  const wanted = relabelledTokenInfo(first.der, label);
  const room = bytes.length - first.offset;
  if (wanted.length > room) {
    throw new UnsupportedError(`${name} has ${room} bytes, but needs ${wanted.length} with this label`);
  }
  const image = bytes.slice();
  image.set(wanted, first.offset);
  const newEnd = first.offset + wanted.length;
  if (newEnd < end) image.fill(bytes[end] === 0xff ? 0xff : 0x00, newEnd, end);
  if (await updateAtOnce(turn, contents.files, place, bytes, image)) return;
  throw new UnsupportedError(`${name} cannot be changed in one exchange, so it is not changed`);
}
