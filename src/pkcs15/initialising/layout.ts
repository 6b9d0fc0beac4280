import { encodeTlv } from "../../apdu/index.ts";
import { contextTag, derOctetString, derSequence, encodeDer } from "../../asn1/index.ts";
import { concat, utf8 } from "../../bytes/index.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import { DIRECTORY_KINDS, type DirectoryKind } from "../syntax/directory.ts";
import { PKCS15_AID } from "../syntax/ef-dir.ts";
import { derFlags, derNumber, derText } from "../syntax/fields.ts";
import { pinEntry } from "../syntax/new-entry.ts";
import { encodePath } from "../syntax/path.ts";

/** Identifiers of the files of every new application (PKCS #15 v1.1 sections 5.4 and 5.5.1). */
export const FILE = { MASTER: 0x3f00, DIR: 0x2f00, APPLICATION: 0x5015, ODF: 0x5031, TOKEN_INFO: 0x5032 } as const;

/** A directory file of a new application. */
export interface NewDirectory {
  readonly kind: DirectoryKind;
  /** File identifier. */
  readonly id: number;
  /** In bytes. */
  readonly size: number;
}

/** What is written on a new card. */
export interface NewContents {
  readonly label: string;
  readonly serialNumber: Uint8Array;
  readonly manufacturer: string;
  readonly pins: readonly PinEntry[];
  readonly directories: readonly NewDirectory[];
}

/** A file identifier, two bytes. */
export const word = (id: number): Uint8Array => Uint8Array.of(id >> 8, id & 0xff);

/** A path from the master file. */
export const pathOf = (...ids: readonly number[]): Uint8Array => concat(...[FILE.MASTER, ...ids].map(word));

/** Bits of TokenFlags: loginRequired, prnGeneration (ISO/IEC 7816-15 section 8.10). */
const TOKEN_FLAGS = [1, 2] as const;

/** EF.TokenInfo (ISO/IEC 7816-15 section 8.10). */
export function tokenInfo({ label, serialNumber, manufacturer }: NewContents): Uint8Array {
  return derSequence(
    derNumber(0),
    derOctetString(serialNumber),
    derText(manufacturer),
    encodeDer(contextTag(0, "primitive"), utf8(label)),
    derFlags(TOKEN_FLAGS),
  );
}

/** The ODF: the place of each directory (ISO/IEC 7816-15 section 8.3). */
export function odf({ directories }: NewContents): Uint8Array {
  return concat(
    ...directories.map(({ kind, id }) =>
      encodeDer(
        contextTag(DIRECTORY_KINDS.indexOf(kind), "constructed"),
        encodePath({ path: pathOf(FILE.APPLICATION, id) }),
      ),
    ),
  );
}

/** The AODF. */
export function aodf({ pins }: NewContents): Uint8Array {
  return concat(...pins.map(pinEntry));
}

/** EF.DIR, with this application only (ISO/IEC 7816-15 section 8.1). */
export function efDir({ label }: NewContents): Uint8Array {
  return encodeTlv(
    0x61,
    encodeTlv(0x4f, PKCS15_AID),
    encodeTlv(0x50, utf8(label)),
    encodeTlv(0x51, pathOf(FILE.APPLICATION)),
  );
}
