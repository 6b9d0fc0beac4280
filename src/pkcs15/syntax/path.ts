import { contextTag, derOctetString, DerReader, derSequence, encodeDer, TAG } from "../../asn1/index.ts";
import { concat, DataError, toHex } from "../../bytes/index.ts";
import { derNumber, optionalNumber } from "./fields.ts";

/** The place of a value: a file, or a part of one (ISO/IEC 7816-15 section 8.2.5, Path). */
export interface FileReference {
  /**
   * File identifiers of two bytes each from the master file (3F00 first) or from the application's DF; one byte is a
   * short EF identifier; empty is the application's DF itself.
   */
  readonly path: Uint8Array;
  /** Bytes to skip, or the number of the record. */
  readonly index?: number;
  /** Bytes to read. */
  readonly length?: number;
}

const LENGTH = contextTag(0, "primitive");
/** 8 levels below the master file: deeper than any card goes. */
const MAX_PATH = 18;
/** Limit of READ BINARY's offsets, and more than any card holds. */
const MAX_SIZE = 0x100000;

/**
 * Parses a Path whose fields `reader` holds.
 * @throws {DataError} for an impossible path.
 */
export function readPath(reader: DerReader): FileReference {
  const path = reader.octetString();
  const index = optionalNumber(reader);
  const length = optionalNumber(reader, LENGTH);
  if (path.length > MAX_PATH || (path.length > 1 && path.length % 2 !== 0)) throw new DataError(`path ${toHex(path)}`);
  for (const value of [index, length]) {
    if (value !== undefined && value > MAX_SIZE) throw new DataError(`path ${toHex(path)}: ${value} bytes`);
  }
  return { path, ...(index !== undefined && { index }), ...(length !== undefined && { length }) };
}

export function optionalPath(reader: DerReader): FileReference | undefined {
  return reader.peek() === TAG.SEQUENCE ? readPath(reader.enter()) : undefined;
}

export function encodePath({ path, index, length }: FileReference): Uint8Array {
  const part = concat(
    index === undefined ? new Uint8Array() : derNumber(index),
    length === undefined ? new Uint8Array() : encodeDer(LENGTH, derNumber(length).subarray(2)),
  );
  return derSequence(derOctetString(path), part);
}

/** An object's value: its place, or the value itself (ISO/IEC 7816-15 section 8.2.6, ObjectValue). */
export type ObjectValue =
  | { readonly kind: "file"; readonly file: FileReference }
  /** One element, DER. */
  | { readonly kind: "direct"; readonly der: Uint8Array }
  | { readonly kind: "url"; readonly url: string }
  /** Enveloped, for a recipient with the key. */
  | { readonly kind: "protected" };

const DIRECT = contextTag(0, "constructed");
const INDIRECT_PROTECTED = contextTag(1, "constructed");
const DIRECT_PROTECTED = contextTag(2, "constructed");
const URL_WITH_DIGEST = contextTag(3, "constructed");

/** @throws {DataError} if the next element is not an ObjectValue. */
export function readValue(reader: DerReader): ObjectValue {
  const tag = reader.peek();
  switch (tag) {
    case TAG.SEQUENCE:
      return { kind: "file", file: readPath(reader.enter()) };
    case DIRECT:
      return { kind: "direct", der: readDirect(reader.next().contents) };
    case TAG.PRINTABLE_STRING:
    case TAG.IA5_STRING:
      return { kind: "url", url: readUrl(reader.next().contents) };
    case URL_WITH_DIGEST:
      return { kind: "url", url: readUrl(readWithDigest(reader)) };
    case INDIRECT_PROTECTED:
    case DIRECT_PROTECTED:
      reader.next();
      return { kind: "protected" };
    default:
      throw new DataError(`no value: tag ${tag?.toString(16) ?? "missing"}`);
  }
}

function readWithDigest(reader: DerReader): Uint8Array {
  const fields = reader.enter(URL_WITH_DIGEST);
  // The SEQUENCE is optional, because writers interpret the module's tagging differently.
  const inner = fields.peek() === TAG.SEQUENCE ? fields.enter() : fields;
  return inner.next().contents;
}

function readUrl(contents: Uint8Array): string {
  if (contents.length > 2048) throw new DataError(`a URL of ${contents.length} bytes`);
  return String.fromCharCode(...contents);
}

/**
 * The tag is explicit by X.680 section 31.2.7; some writers take it for implicit, and it replaces the value's own
 * SEQUENCE.
 */
function readDirect(contents: Uint8Array): Uint8Array {
  try {
    const reader = new DerReader(contents);
    const { encoding } = reader.next();
    reader.end();
    return encoding;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return encodeDer(TAG.SEQUENCE, contents);
  }
}
