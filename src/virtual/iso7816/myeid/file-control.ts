import { encodeTlv } from "../../../apdu/index.ts";
import { CONTROL, DESCRIPTOR } from "../file-control.ts";
import type { CardFile } from "../file.ts";

/** Operational state, activated (section 7.4.10, table 14). */
const ACTIVATED = 0x05;

/** File control information of a file: what SELECT tells of it. */
export function fileControl(tag: typeof CONTROL.FCP | typeof CONTROL.FCI, file: CardFile): Uint8Array {
  return encodeTlv(
    tag,
    ...sizeOf(file),
    encodeTlv(CONTROL.DESCRIPTOR, descriptorOf(file)),
    encodeTlv(CONTROL.ID, word(file.id)),
    ...(file.kind === "df" && file.name ? [encodeTlv(CONTROL.NAME, file.name)] : []),
    encodeTlv(CONTROL.SECURITY, file.security),
    ...("shortId" in file ? [encodeTlv(CONTROL.SHORT_ID, Uint8Array.of(file.shortId << 3))] : []),
    encodeTlv(CONTROL.LIFE_CYCLE, Uint8Array.of(ACTIVATED)),
  );
}

/** Bytes of a file; of a key its bits, as MyEID counts. */
function sizeOf(file: CardFile): Uint8Array[] {
  switch (file.kind) {
    case "transparent":
      return [encodeTlv(CONTROL.DATA_BYTES, word(file.contents.length))];
    case "records":
      return [encodeTlv(CONTROL.DATA_BYTES, word(file.records.reduce((sum, { length }) => sum + length, 0)))];
    case "key":
      return [encodeTlv(CONTROL.ALL_BYTES, word(file.bits))];
    case "df":
      return [];
  }
}

function descriptorOf(file: CardFile): Uint8Array {
  switch (file.kind) {
    case "transparent":
      return Uint8Array.of(DESCRIPTOR.TRANSPARENT);
    case "records": {
      // Data coding byte, the longest record, and how many.
      const longest = Math.max(0, ...file.records.map(({ length }) => length));
      return Uint8Array.of(DESCRIPTOR.RECORDS, 0x41, longest >> 8, longest & 0xff, file.records.length);
    }
    case "key":
      return Uint8Array.of(file.type === "rsa" ? DESCRIPTOR.RSA_KEY : DESCRIPTOR.EC_KEY);
    case "df":
      return Uint8Array.of(DESCRIPTOR.DF);
  }
}

function word(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}
