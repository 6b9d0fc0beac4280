import { derOctetString, DerReader, derSequence } from "../../asn1/index.ts";
import { optionalOctets } from "./fields.ts";
import { encodePath, type FileReference, readPath } from "./path.ts";

/** A part of a file that is free for new objects (ISO/IEC 7816-15 section 8.11, UnusedSpace). */
export interface UnusedSpace {
  readonly file: FileReference;
  /** Whose PIN is wanted to write there. */
  readonly authId: Uint8Array | undefined;
}

/** @throws {DataError} if `der` is no entry of EF.UnusedSpace. */
export function readUnusedSpace(der: Uint8Array): UnusedSpace {
  const reader = new DerReader(der, "EF.UnusedSpace").enter();
  return { file: readPath(reader.enter()), authId: optionalOctets(reader) };
}

export function unusedSpaceEntry({ file, authId }: UnusedSpace): Uint8Array {
  return derSequence(encodePath(file), ...(authId ? [derOctetString(authId)] : []));
}
