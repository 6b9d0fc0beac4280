import { SW } from "../../apdu/index.ts";
import { ByteReader, startsWith } from "../../bytes/index.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import {
  type CardFile,
  CONTROL,
  currentDf,
  type DedicatedFile,
  type ElementaryFile,
  type IsoContext,
  MASTER_FILE,
} from "./model.ts";

/** P1 (ISO/IEC 7816-4 section 11.1.1, table 62). */
const BY = {
  ID: 0x00,
  CHILD_DF: 0x01,
  EF: 0x02,
  PARENT: 0x03,
  NAME: 0x04,
  PATH: 0x08,
  PATH_FROM_DF: 0x09,
} as const;
/** P2, the requested information on the file (table 63). */
const ANSWER = { FCI: 0x00, FCP: 0x04, NOTHING: 0x0c } as const;

/** The position of a file: the directories above it and the file itself. */
type Place = readonly CardFile[];

/** SELECT (ISO/IEC 7816-4 section 11.1.1). If the file is not found, the selection does not change. */
export function select(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const place = find(context, p1, data);
  const file = place?.at(-1);
  if (!place || !file) throw new Refusal(SW.FILE_NOT_FOUND);
  const answer = tell(context, p2, file);
  enter(context, place, file);
  return answer;
}

/** Makes a file current; selecting a directory clears the current EF. */
function enter({ session }: IsoContext, place: Place, file: CardFile): void {
  session.path = place.filter((part) => part.kind === "df");
  session.file = file.kind === "df" ? undefined : file;
  session.half = undefined;
}

function tell({ contents, make }: IsoContext, p2: number, file: CardFile): Uint8Array {
  switch (p2) {
    case ANSWER.FCI:
      return make.fileControl(CONTROL.FCI, file, contents);
    case ANSWER.FCP:
      return make.fileControl(CONTROL.FCP, file, contents);
    case ANSWER.NOTHING:
      return new Uint8Array();
    default:
      throw new Refusal(SW.INCORRECT_P1_P2);
  }
}

function find(context: IsoContext, p1: number, data: Uint8Array): Place | undefined {
  const { contents, session } = context;
  const above = session.path;
  const root = [contents.masterFile];
  switch (p1) {
    case BY.ID:
      return byId(context, data.length === 0 ? MASTER_FILE : onlyId(data));
    case BY.CHILD_DF:
      return kindOf(descend(above, [onlyId(data)]), true);
    case BY.EF:
      return kindOf(descend(above, [onlyId(data)]), false);
    case BY.PARENT:
      return above.length > 1 ? above.slice(0, -1) : undefined;
    case BY.NAME:
      return byName(root, data);
    case BY.PATH:
      return descend(root, identifiers(data));
    case BY.PATH_FROM_DF:
      return descend(above, identifiers(data));
    default:
      throw new Refusal(SW.INCORRECT_P1_P2);
  }
}

/** The master file, a child of the current directory, the directory itself, a sibling, or its parent. */
function byId(context: IsoContext, id: number): Place | undefined {
  const { path } = context.session;
  if (id === MASTER_FILE) return [context.contents.masterFile];
  if (id === currentDf(context).id) return path;
  const above = path.slice(0, -1);
  return descend(path, [id]) ?? (above.at(-1)?.id === id ? above : above.length > 0 ? descend(above, [id]) : undefined);
}

/** The first application whose name begins with `name` (section 8.2.1.2). */
function byName(above: readonly DedicatedFile[], name: Uint8Array): Place | undefined {
  if (name.length === 0) return undefined;
  for (const file of above.at(-1)?.files ?? []) {
    if (file.kind !== "df") continue;
    if (file.name && startsWith(file.name, name)) return [...above, file];
    const deeper = byName([...above, file], name);
    if (deeper) return deeper;
  }
  return undefined;
}

function descend(above: readonly DedicatedFile[], ids: readonly number[]): Place | undefined {
  const [id, ...rest] = ids;
  if (id === undefined) return above;
  const file = above.at(-1)?.files.find((candidate) => candidate.id === id);
  if (!file) return undefined;
  if (file.kind === "df") return descend([...above, file], rest);
  return rest.length === 0 ? [...above, file] : undefined;
}

const kindOf = (place: Place | undefined, df: boolean): Place | undefined =>
  (place?.at(-1)?.kind === "df") === df ? place : undefined;

function onlyId(data: Uint8Array): number {
  if (data.length !== 2) throw new Refusal(SW.LC_INCONSISTENT_WITH_P1_P2);
  return new ByteReader(data).u16();
}

function identifiers(data: Uint8Array): number[] {
  if (data.length === 0 || data.length % 2 !== 0) throw new Refusal(SW.LC_INCONSISTENT_WITH_P1_P2);
  const reader = new ByteReader(data);
  return Array.from({ length: data.length / 2 }, () => reader.u16());
}

/**
 * The EF of the current directory with a short identifier (ISO/IEC 7816-4 section 7.3.2.4).
 * @throws {Refusal} 6A82 if there is none.
 */
export function shortFile(context: IsoContext, shortId: number): ElementaryFile {
  for (const file of currentDf(context).files) {
    if ((file.kind === "transparent" || file.kind === "records") && file.shortId === shortId) return file;
  }
  throw new Refusal(SW.FILE_NOT_FOUND);
}
