import { DataError } from "../../bytes/index.ts";
import type { FileAccess } from "../files/file-access.ts";
import { NOTHING_TOLD } from "../files/file-control.ts";
import { childOf, type FilePlace, placeName } from "../files/place.ts";
import { readFile } from "./commands.ts";

/** First bytes of identifiers; the second is the number of the key or object (OpenSC, card-sc-hsm.h). */
export const FILE_PREFIX = {
  KEY_ENTRY: 0xc4,
  CERTIFICATE_ENTRY: 0xc8,
  DATA_ENTRY: 0xc9,
  KEY: 0xcc,
  GUARDED_DATA: 0xcd,
  OWN_CERTIFICATE: 0xce,
} as const;

/** The applet's only DF, which has no path. */
export const APPLET: FilePlace = { from: "application", path: new Uint8Array() };
/** Certificates of the device and of who issued it; every card has them. */
export const DEVICE_CERTIFICATE = childOf(APPLET, Uint8Array.of(0x2f, 0x02));
export const TOKEN_INFO = childOf(APPLET, Uint8Array.of(0x2f, 0x03));

export function fileId(prefix: number, number: number): Uint8Array {
  return Uint8Array.of(prefix, number);
}

/** Reading names the file. An extended command brings all of it (CardContact's sc-hsm-embedded, token-sc-hsm.c, readEF). */
export const SMARTCARD_HSM_ACCESS: FileAccess = {
  open(_turn, place) {
    if (place.path.length < 2) throw new DataError(`${placeName(place)} is no file`);
    return Promise.resolve(NOTHING_TOLD);
  },
  read: (place, offset, length) => readFile(place.path.subarray(-2), offset, length),
  isAll: (data) => data.length > 256,
};
