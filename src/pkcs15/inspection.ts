import { type CommandApdu, MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { DataError, toHex } from "../bytes/index.ts";
import type { Card, CardFinding } from "../card/index.ts";
import { accessRules, RuleFiles } from "./access/rules.ts";
import type { CardSession } from "./files/card-session.ts";
import { select, SELECT_ANSWER, SELECT_BY } from "./files/commands.ts";
import { childOf, type FilePath, masterFilePath, pathName, resolve } from "./files/paths.ts";
import { Findings } from "./objects/catalogue.ts";
import type { CardContents } from "./objects/contents.ts";
import { pinInfo, pukOf, sortPins, unblockingKeyOf, unlistedPuk } from "./pins/pins.ts";
import { findApplications } from "./recognition/find.ts";
import { DIRECTORY_KINDS, type DirectoryEntry } from "./syntax/directory.ts";
import type { FileReference } from "./syntax/path.ts";

/** Facts on a card with ISO/IEC 7816-15 that its objects do not show after the driver has parsed them. */
export interface Pkcs15Inspection {
  /** Certificates as stored on the card, in any form. */
  readonly certificates: readonly { readonly label: string; readonly stored: Uint8Array }[];
  /** Names of the PINs that may be unblocked but have no entry of a PUK. */
  readonly pinsWithoutPuk: readonly string[];
  /** Answers to a command in two parts, and to GET RESPONSE without waiting data; undefined if they were not sent. */
  readonly chaining: number | undefined;
  readonly getResponse: number | undefined;
}

/**
 * Reads the first application of a card, and tests two forms of commands. Changes nothing on the card.
 * @returns Undefined for a card without files of ISO/IEC 7816-15.
 * @throws {CardAccessError} if the card cannot be reached.
 */
export async function inspectPkcs15(card: Card): Promise<Pkcs15Inspection | undefined> {
  const [application] = await findApplications(card, new Findings(card));
  if (!application?.contents.hasOdf) return undefined;
  const { contents } = application;
  const pins = sortPins(await contents.directory("authentication"), () => undefined);
  const pinsWithoutPuk = pins.users.filter(
    (pin) => !pukOf(pins, pin) && !unblockingKeyOf(pins, pin) && unlistedPuk(pin),
  );
  return {
    certificates: await storedCertificates(contents),
    pinsWithoutPuk: pinsWithoutPuk.map((pin) => pinInfo(pin).label),
    ...(await askForms(contents)),
  };
}

async function storedCertificates(contents: CardContents): Promise<{ label: string; stored: Uint8Array }[]> {
  const found: { label: string; stored: Uint8Array }[] = [];
  for (const { entry } of await contents.directory("certificates")) {
    if (entry.class !== "certificate" || !entry.value) continue;
    const label = entry.head.label || toHex(entry.id);
    const stored = await unlessUnreadable(() => (entry.value ? contents.value(entry.value, label) : undefined));
    if (stored) found.push({ label, stored });
  }
  return found;
}

const GET_RESPONSE: CommandApdu = { cla: 0x00, ins: 0xc0, p1: 0x00, p2: 0x00, ne: 256 };
const CHAINING = 0x10;

/** Selects the current file again, its identifier in two commands: it stays selected whatever the answer. */
async function askForms(contents: CardContents): Promise<Pick<Pkcs15Inspection, "chaining" | "getResponse">> {
  const { session, tokenInfoPlace: place } = contents;
  const asked = await unlessUnreadable(() =>
    session.read(async (turn) => {
      await turn.select(place);
      const part = (from: number, cla: number): CommandApdu => ({
        ...select(SELECT_BY.FILE_ID, place.path.slice(-2).subarray(from, from + 1), SELECT_ANSWER.NOTHING),
        cla,
      });
      const { sw: first } = await turn.send(part(0, CHAINING));
      const chaining = first === SW.OK ? (await turn.send(part(1, 0x00))).sw : first;
      turn.changed(place);
      return { chaining, getResponse: (await turn.send(GET_RESPONSE)).sw };
    }),
  );
  return asked ?? { chaining: undefined, getResponse: undefined };
}

async function unlessUnreadable<T>(read: () => Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof StatusError || error instanceof DataError || error instanceof MalformedAnswerError) {
      return undefined;
    }
    throw error;
  }
}

/** A file of a card, described by the card and its directories. */
export interface DescribedFile {
  /** "3F00/5015/4401". */
  readonly path: string;
  /** Its contents according to the directories. */
  readonly content: string;
  readonly structure?: "transparent" | "records" | "df";
  /** In bytes. */
  readonly size?: number;
  /** Its access rules, as far as the card reports them. */
  readonly access: readonly string[];
  /** Why the card refuses its selection. */
  readonly problem?: string;
}

export interface CardDescription {
  readonly files: readonly DescribedFile[];
  readonly findings: readonly CardFinding[];
}

/**
 * The files that the directories of a card with ISO/IEC 7816-15 name, in the order of their paths. Selects each, and
 * reads none but the directories.
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

type Places = Map<string, { readonly place: FilePath; readonly what: Set<string> }>;

async function namedPlaces(contents: CardContents): Promise<Places> {
  const df = contents.session.applicationDf;
  const places: Places = new Map();
  const add = (place: FilePath, what: string): void => {
    const name = pathName(place);
    const known = places.get(name) ?? { place, what: new Set() };
    known.what.add(what);
    places.set(name, known);
  };
  if (contents.hasOdf) {
    add(masterFilePath(), "master file");
    add(masterFilePath(0x2f00), "EF.DIR");
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
  // A card without directories has no path to its application, only its name.
  if (!contents.hasOdf) return places;
  // The DF itself; its files have given its path by now.
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
  place: FilePath,
  content: string,
): Promise<DescribedFile> {
  const path = pathName(place);
  try {
    const { size, structure, security } = await contents.session.read((turn: CardSession) => turn.select(place));
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
