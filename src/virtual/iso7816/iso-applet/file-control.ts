import { encodeTlv } from "../../../apdu/index.ts";
import { CONTROL, DESCRIPTOR } from "../file-control.ts";
import type { CardFile } from "../file.ts";

const word = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);

/** What a file was made with, which is what SELECT tells of it, as FCI whatever is asked for. */
export function fileControl(_tag: number, file: CardFile): Uint8Array {
  const size = file.kind === "transparent" ? [encodeTlv(CONTROL.ALL_BYTES, word(file.contents.length))] : [];
  return encodeTlv(
    CONTROL.FCI,
    ...size,
    encodeTlv(CONTROL.DESCRIPTOR, Uint8Array.of(file.kind === "df" ? DESCRIPTOR.DF : DESCRIPTOR.TRANSPARENT)),
    encodeTlv(CONTROL.ID, word(file.id)),
    ...(file.kind === "df" && file.name ? [encodeTlv(CONTROL.NAME, file.name)] : []),
    ...(file.security.length > 0 ? [encodeTlv(CONTROL.SECURITY, file.security)] : []),
  );
}
