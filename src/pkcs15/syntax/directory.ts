import { berLength, berToDer, contextTag, DerReader, TAG } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import { type AuthenticationEntry, readAuthentication } from "./authentication.ts";
import { type CertificateEntry, type DataEntry, readCertificate, readData } from "./object.ts";
import {
  type PrivateKeyEntry,
  type PublicKeyEntry,
  readPrivateKey,
  readPublicKey,
  readSecretKey,
  type SecretKeyEntry,
} from "./key.ts";
import { type FileReference, readPath } from "./path.ts";

/** An object of a directory file. */
export type DirectoryEntry =
  PrivateKeyEntry | PublicKeyEntry | SecretKeyEntry | CertificateEntry | DataEntry | AuthenticationEntry;

/** The kinds of directory files, in the order of the tags of CIOChoice (ISO/IEC 7816-15 section 8.3). */
export const DIRECTORY_KINDS = [
  "private-keys",
  "public-keys",
  "trusted-public-keys",
  "secret-keys",
  "certificates",
  "trusted-certificates",
  "useful-certificates",
  "data",
  "authentication",
] as const;
export type DirectoryKind = (typeof DIRECTORY_KINDS)[number];

/** An entry of the ODF: a kind of objects, and the place of their directory, or the objects themselves. */
export type OdfEntry =
  | { readonly kind: DirectoryKind; readonly file: FileReference }
  | { readonly kind: DirectoryKind; readonly objects: Uint8Array }
  /** Enveloped. */
  | { readonly kind: DirectoryKind; readonly protected: true };

/** One element of a file, its position, and its error, if any. */
interface FileElement {
  readonly offset: number;
  /** Its length in the file in bytes. */
  readonly length: number;
  readonly der: Uint8Array;
}

/** Limit for the objects of a directory file. */
const MAX_ELEMENTS = 1024;

/** The contents of a file: its elements, and its errors with their positions. */
export interface FileElements {
  readonly elements: readonly FileElement[];
  readonly broken: readonly { readonly offset: number; readonly reason: string }[];
}

/**
 * Returns the elements of a directory file, converted from BER to DER. Skips padding of 00 and FF before, between and
 * after them, and malformed elements. A malformed length ends the search, because the next element's position is
 * unknown.
 */
export function readElements(bytes: Uint8Array, what: string): FileElements {
  const elements: FileElement[] = [];
  const broken: { offset: number; reason: string }[] = [];
  let offset = 0;
  for (;;) {
    while (bytes[offset] === 0x00 || bytes[offset] === 0xff) offset++;
    if (offset >= bytes.length) return { elements, broken };
    if (elements.length + broken.length === MAX_ELEMENTS) {
      broken.push({ offset, reason: `more than ${MAX_ELEMENTS} objects` });
      return { elements, broken };
    }
    try {
      const { der, length } = berToDer(bytes, offset, what);
      elements.push({ offset, length, der });
      offset += length;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      broken.push({ offset, reason: error.message });
      const length = lengthOf(bytes, offset, what);
      if (length === undefined) return { elements, broken };
      offset += length;
    }
  }
}

function lengthOf(bytes: Uint8Array, offset: number, what: string): number | undefined {
  try {
    return berLength(bytes, offset, what);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

const OBJECTS = contextTag(0, "constructed");

/** @throws {DataError} if `der` is not a CIOChoice. */
export function readOdfEntry(der: Uint8Array): OdfEntry {
  const outer = new DerReader(der, "ODF");
  const tag = outer.peek() ?? 0;
  const kind = DIRECTORY_KINDS.find((_, number) => tag === contextTag(number, "constructed"));
  if (!kind) throw new DataError(`ODF: an entry with tag ${tag.toString(16)}`);
  const entry = outer.enter(tag);
  if (entry.peek() === TAG.SEQUENCE) return { kind, file: readPath(entry.enter()) };
  if (entry.peek() === OBJECTS) return { kind, objects: entry.next().contents };
  return { kind, protected: true };
}

const READERS: Readonly<Record<DirectoryKind, (reader: DerReader) => DirectoryEntry>> = {
  "private-keys": readPrivateKey,
  "public-keys": readPublicKey,
  "trusted-public-keys": readPublicKey,
  "secret-keys": readSecretKey,
  certificates: readCertificate,
  "trusted-certificates": readCertificate,
  "useful-certificates": readCertificate,
  data: readData,
  authentication: readAuthentication,
};

/** @throws {DataError} if `der` is not an object of this kind. */
export function readEntry(kind: DirectoryKind, der: Uint8Array): DirectoryEntry {
  return READERS[kind](new DerReader(der, kind));
}
