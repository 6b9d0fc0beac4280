import { DerReader } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import { optionalOctets } from "./fields.ts";
import { readElements } from "./directory.ts";
import { type FileReference, readPath } from "./path.ts";

/** A part of a file that is free for new objects (ISO/IEC 7816-15 section 8.11, UnusedSpace). */
export interface UnusedSpace {
  readonly file: FileReference;
  /** Whose PIN is wanted to write there. */
  readonly authId: Uint8Array | undefined;
}

/** The free parts that EF.UnusedSpace lists; entries that do not parse are left out. */
export function readUnusedSpace(bytes: Uint8Array): UnusedSpace[] {
  return readElements(bytes, "EF.UnusedSpace").elements.flatMap(({ der }) => {
    try {
      const reader = new DerReader(der, "EF.UnusedSpace").enter();
      return [{ file: readPath(reader.enter()), authId: optionalOctets(reader) }];
    } catch (error) {
      if (error instanceof DataError) return [];
      throw error;
    }
  });
}
