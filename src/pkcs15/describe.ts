import { MalformedAnswerError, StatusError } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import type { Card, CardFinding } from "../card/index.ts";
import { accessRules } from "./access/access-rules.ts";
import { RuleFiles } from "./access/rule-files.ts";
import type { CardContents } from "./objects/contents.ts";
import { findApplications } from "./recognition/find.ts";
import { Findings } from "./objects/findings.ts";
import { childOf, type FilePlace, masterFilePlace, placeName, resolve } from "./files/place.ts";
import { DIRECTORY_KINDS, type DirectoryEntry } from "./syntax/directory.ts";
import type { FileReference } from "./syntax/path.ts";
import type { CardTurn } from "./files/turn.ts";

/** A file of a card, as the card and its directories tell of it. */
export interface DescribedFile {
  /** "3F00/5015/4401". */
  readonly path: string;
  /** What the directories say is in it. */
  readonly content: string;
  readonly structure?: "transparent" | "records" | "df";
  /** In bytes. */
  readonly size?: number;
  /** Who may do what, as far as the card tells. */
  readonly access: readonly string[];
  /** Why the card does not let it be selected. */
  readonly problem?: string;
}

export interface CardDescription {
  readonly files: readonly DescribedFile[];
  readonly findings: readonly CardFinding[];
}

/**
 * The files of a card with ISO/IEC 7816-15 that its directories name, in the order of their paths. Selects each, and reads none but
 * the directories.
 * @returns Undefined for a card without such an application.
 * @throws {CardAccessError} if the card cannot be reached.
 */
export async function describeFiles(card: Card): Promise<CardDescription | undefined> {
  const findings = new Findings(card);
  const applications = await findApplications(card, findings);
  if (applications.length === 0) return undefined;
  const files = new Map<string, DescribedFile>();
  for (const { contents } of applications) {
    const places = await namedPlaces(contents);
    const rules = new RuleFiles(contents.session);
    for (const [name, { place, what }] of places) {
      if (!files.has(name)) files.set(name, await describe(contents, rules, place, [...what].join(", ")));
    }
  }
  const sorted = [...files.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files: sorted, findings: findings.list() };
}

type Places = Map<string, { readonly place: FilePlace; readonly what: Set<string> }>;

async function namedPlaces(contents: CardContents): Promise<Places> {
  const df = contents.session.applicationDf;
  const places: Places = new Map();
  const add = (place: FilePlace, what: string): void => {
    const name = placeName(place);
    const known = places.get(name) ?? { place, what: new Set() };
    known.what.add(what);
    places.set(name, known);
  };
  if (contents.hasOdf) {
    add(masterFilePlace(), "master file");
    add(masterFilePlace(0x2f00), "EF.DIR");
    add(contents.odfPlace, "EF(ODF)");
    add(contents.tokenInfoPlace, "EF(TokenInfo)");
    for (const entry of await contents.odf()) {
      if ("file" in entry && entry.file.path.length > 1) add(resolve(df, entry.file), `directory of ${entry.kind}`);
    }
  }
  for (const kind of DIRECTORY_KINDS) {
    for (const { entry } of await contents.directory(kind)) {
      const file = fileOf(entry);
      if (file && file.path.length > 1) add(resolve(df, file), `${entry.class} "${entry.head.label}"`);
    }
  }
  // The DF itself, now that its files have said where it is.
  const own = contents.session.applicationDf;
  add(own.path.length > 0 ? own : childOf(own, own.path), "application");
  return places;
}

function fileOf(entry: DirectoryEntry): FileReference | undefined {
  if (!("value" in entry) || entry.value?.kind !== "file") return undefined;
  return entry.value.file;
}

async function describe(
  contents: CardContents,
  rules: RuleFiles,
  place: FilePlace,
  content: string,
): Promise<DescribedFile> {
  const path = placeName(place);
  try {
    const { size, structure, security } = await contents.session.read((turn: CardTurn) => turn.select(place));
    return {
      path,
      content,
      ...(structure && { structure }),
      ...(size !== undefined && { size }),
      access: accessRules(security, structure === "df", await rules.of(place, security)),
    };
  } catch (error) {
    if (!(error instanceof StatusError || error instanceof DataError || error instanceof MalformedAnswerError)) {
      throw error;
    }
    return { path, content, access: [], problem: error.message };
  }
}
