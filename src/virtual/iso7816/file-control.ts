import { encodeTlv } from "../../apdu/index.ts";
import { encodeAccess } from "./access.ts";
import type { CardFile } from "./file.ts";

/** Tags of file control parameters (ISO/IEC 7816-4 section 7.4.3, table 10). */
export const CONTROL = {
  FCP: 0x62,
  FCI: 0x6f,
  DATA_BYTES: 0x80,
  ALL_BYTES: 0x81,
  DESCRIPTOR: 0x82,
  ID: 0x83,
  NAME: 0x84,
  PROPRIETARY: 0x85,
  SECURITY: 0x86,
  SHORT_ID: 0x88,
  LIFE_CYCLE: 0x8a,
} as const;

/** File descriptor bytes (section 7.4.5, table 12); those of keys are MyEID's. */
export const DESCRIPTOR = { TRANSPARENT: 0x01, RECORDS: 0x04, RSA_KEY: 0x11, EC_KEY: 0x22, DF: 0x38 } as const;

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
    encodeTlv(CONTROL.SECURITY, encodeAccess(file.access)),
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
