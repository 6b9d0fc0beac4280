import { findTlv, readTlvs, SW, type Tlv } from "../../apdu/index.ts";
import { ByteReader, DataError } from "../../bytes/index.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import {
  type CardFile,
  CONTROL,
  currentDf,
  type DedicatedFile,
  DESCRIPTOR,
  type IsoContext,
  requireAccess,
} from "./model.ts";

/** Bytes of all files together, each with a fixed overhead: as much as large cards have. */
const MEMORY = 262_144;
const HEAD = 64;

/**
 * CREATE FILE in the current directory; the new file becomes the current one (ISO/IEC 7816-9 section 6.1).
 * @param check Refuses what the make does not support.
 */
export function createFile(
  context: IsoContext,
  { p1, p2, data }: CardCommand,
  check: (file: CardFile, df: DedicatedFile) => void = requireNew,
): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const df = currentDf(context);
  requireAccess(context, df, "use");
  const file = describe(data);
  // Rules that do not parse would make the file unusable.
  context.make.rules(file);
  check(file, df);
  if (sizeOf(context.contents.masterFile) + sizeOf(file) > MEMORY) throw new Refusal(SW.NOT_ENOUGH_MEMORY);
  df.files.push(file);
  if (file.kind === "df") context.session.path = [...context.session.path, file];
  context.session.file = file.kind === "df" ? undefined : file;
  context.contents.changes++;
  return new Uint8Array();
}

/** Identifiers are unique in a directory. */
function requireNew({ id }: CardFile, df: DedicatedFile): void {
  if (df.id === id || df.files.some((other) => other.id === id)) throw new Refusal(SW.FILE_EXISTS);
}

/** DELETE FILE: a child of the current directory by its identifier, or without data the current file (section 6.2). */
export function deleteFile(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const { session } = context;
  const isDf = data.length === 0 && !session.file;
  const path = isDf ? session.path.slice(0, -1) : session.path;
  const file = data.length === 0 ? (session.file ?? session.path.at(-1)) : childOf(context, data);
  if (!file) throw new Refusal(SW.FILE_NOT_FOUND);
  removeFile(context, path, file);
  return new Uint8Array();
}

/** Deletes a file; its directory becomes the current one. */
export function removeFile(context: IsoContext, path: readonly DedicatedFile[], file: CardFile): void {
  const siblings = path.at(-1)?.files ?? [];
  const index = siblings.indexOf(file);
  if (index < 0) throw new Refusal(SW.FILE_NOT_FOUND);
  requireAccess(context, file, "delete");
  siblings.splice(index, 1);
  context.session.path = path;
  context.session.file = undefined;
  context.contents.changes++;
}

function childOf(context: IsoContext, data: Uint8Array): CardFile | undefined {
  if (data.length !== 2) throw new Refusal(SW.WRONG_LENGTH);
  const id = new ByteReader(data).u16();
  return currentDf(context).files.find((file) => file.id === id);
}

function sizeOf(file: CardFile): number {
  switch (file.kind) {
    case "df":
      return file.files.reduce((sum, child) => sum + sizeOf(child), HEAD);
    case "transparent":
      return HEAD + file.contents.length;
    case "records":
      return file.records.reduce((sum, { length }) => sum + length, HEAD);
    case "key":
      return HEAD + file.bits;
  }
}

/** MyEID has the PIN for each use in the first four bits (OpenSC, pkcs15-myeid.c, myeid_create_key). */
function wantsConsent(fields: readonly Tlv[]): boolean {
  const [first = 0] = findTlv(fields, CONTROL.PROPRIETARY) ?? [];
  return first >> 4 !== 0;
}

/** Makes the file that its control parameters describe. */
function describe(data: Uint8Array): CardFile {
  const [outer] = readTlvs(data, "file control parameters");
  if (outer?.tag !== CONTROL.FCP && outer?.tag !== CONTROL.FCI) throw new DataError("no file control parameters");
  const fields = readTlvs(outer.value, "file control parameters");
  const number = (tag: number): number | undefined => {
    const value = findTlv(fields, tag);
    return value?.length === 2 ? new ByteReader(value).u16() : undefined;
  };
  const id = number(CONTROL.ID);
  if (id === undefined) throw new DataError("a file without identifier");
  const security = (findTlv(fields, CONTROL.SECURITY) ?? new Uint8Array()).slice();
  const size = number(CONTROL.DATA_BYTES) ?? number(CONTROL.ALL_BYTES) ?? 0;
  const [shortId = 0] = findTlv(fields, CONTROL.SHORT_ID) ?? [];
  const short = shortId === 0 ? {} : { shortId: shortId >> 3 };
  const name = findTlv(fields, CONTROL.NAME);
  const consent = wantsConsent(fields);
  switch (findTlv(fields, CONTROL.DESCRIPTOR)?.[0]) {
    case DESCRIPTOR.TRANSPARENT:
      return { kind: "transparent", id, security, contents: new Uint8Array(size), ...short };
    case DESCRIPTOR.RECORDS:
      return { kind: "records", id, security, records: [], ...short };
    case DESCRIPTOR.RSA_KEY:
      return { kind: "key", id, security, type: "rsa", bits: size, consent };
    case DESCRIPTOR.EC_KEY:
      return { kind: "key", id, security, type: "ec", bits: size, consent };
    case DESCRIPTOR.DF:
      return { kind: "df", id, security, files: [], ...(name && { name }) };
    default:
      throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  }
}
