import { findTlv, readTlvs, StatusError, supportsExtendedLength, SW } from "../../apdu/index.ts";
import { DataError, equalBytes, fromHex, toHex, utf8 } from "../../bytes/index.ts";
import {
  type Card,
  type CardApplication,
  confirmedAnswer,
  PinPadReader,
  selects,
  unlessRefused,
} from "../../card/index.ts";
import { type FoundApplication, Pkcs15Application } from "../application.ts";
import type { Dialect } from "../dialect.ts";
import { ISO_APPLET_LIFE } from "../dialects/iso-applet-initialisation.ts";
import { MYEID_LIFE } from "../dialects/myeid-initialisation.ts";
import { findSmartCardHsm } from "../dialects/smartcard-hsm-catalogue.ts";
import { REFUSES_FORM } from "../files/card-session.ts";
import { select, SELECT_ANSWER, SELECT_BY } from "../files/commands.ts";
import { CardFiles } from "../files/files.ts";
import { type FilePath, masterFilePath, pathName, resolve } from "../files/paths.ts";
import { PublicCache, type PublicFileStore, reliable } from "../files/public-cache.ts";
import { type ApplicationAddress, CardStateCache, Pkcs15Session, selectByName, USUAL_DF } from "../files/session.ts";
import { blankApplication } from "../initialising/blank-token.ts";
import type { Pkcs15Options } from "../options.ts";
import { Findings } from "../objects/catalogue.ts";
import { CardContents } from "../objects/contents.ts";
import { type ApplicationTemplate, PKCS15_AID, readEfDir } from "../syntax/ef-dir.ts";
import { Pkcs15Token } from "../token.ts";
import { announcesEfDir, blankMake, ISO_APPLET_AID, isSmartCardHsm, tellsMake } from "./makes.ts";

/** The application of a card with a maker's own name. */
const OTHER_AIDS: readonly Uint8Array[] = [ISO_APPLET_AID];

/** Most applications of a card, because each listed but absent one costs exchanges. */
const MAX_APPLICATIONS = 8;

const BY_NAME: FilePath = { from: "application", path: new Uint8Array() };
const EF_DIR = masterFilePath(0x2f00);

/** A detection strategy and its result. */
type Way = (cache: CardStateCache, findings: Findings) => Promise<readonly FoundApplication[]>;

/** By the names under which they are remembered. */
const WAYS = {
  maker: findByMaker,
  name: (cache, findings) => findByName(cache, findings, PKCS15_AID),
  directory: findInEfDir,
  usual: async (cache, findings) => {
    if (!cache.selectsFiles) return [];
    const found = await open(cache, findings, { aid: undefined, df: USUAL_DF }, undefined, false);
    return found ? [found] : [];
  },
  "smartcard-hsm": findSmartCardHsm,
} as const satisfies Record<string, Way>;
type WayName = keyof typeof WAYS;

/** Which detection strategies to try; selection by AID costs one APDU each. */
type Extent = "all" | "by name" | "by file";

/**
 * The applications on a card, empty if it has none. Few exchanges, because most cards are of another kind. If a store
 * remembers the strategy for this answer to reset, it comes first.
 */
export async function findApplications(
  card: Card,
  findings: Findings,
  { store, dialects = [] }: Pkcs15Options = {},
  extent: Extent = "all",
): Promise<readonly FoundApplication[]> {
  const cache = new CardStateCache(card, store);
  const remembered = store && (await rememberedWay(store, card.atr));
  const ways = waysTo(card.atr, dialects).filter((way) => extent === "all" || extent === EXTENT[way]);
  for (const way of remembered ? [remembered, ...ways.filter((other) => other !== remembered)] : ways) {
    const found = await WAYS[way](cache, findings);
    if (found.length === 0) continue;
    const shorter = way === "name" && isInUsualPlace(found) ? "usual" : way;
    if (shorter !== remembered) await store?.set(storeKey(card.atr), utf8(shorter)).catch(() => undefined);
    return found;
  }
  return [];
}

/** Whether an application that was found by its name is the one in the usual place: a later process need not select it by its name. */
function isInUsualPlace([only, ...others]: readonly FoundApplication[]): boolean {
  if (!only || others.length > 0) return false;
  return pathName(only.contents.session.applicationDf) === pathName(USUAL_DF);
}

const EXTENT: Readonly<Record<WayName, Extent>> = {
  maker: "by name",
  name: "by name",
  directory: "by file",
  usual: "by file",
  "smartcard-hsm": "by file",
};

/**
 * The order of the strategies. An applet on a Java Card has the Java Card's answer to reset, which does not identify
 * it: then its own name is tried before the registered one, because cards with the latter nearly always announce it. A
 * SmartCard-HSM has an answer of its own; one with another's, of a reader or a simulator, is tried last.
 */
function waysTo(atr: Uint8Array, dialects: readonly Dialect[]): readonly WayName[] {
  if (isSmartCardHsm(atr)) return ["smartcard-hsm", "name", "directory", "usual"];
  if (announcesEfDir(atr)) return ["directory", "name", "usual"];
  return tellsMake(atr, dialects)
    ? ["name", "directory", "usual"]
    : ["maker", "name", "directory", "usual", "smartcard-hsm"];
}

/** Whether a card with this answer to reset had applications, according to the store. */
async function isWayRemembered(atr: Uint8Array, store: PublicFileStore): Promise<boolean> {
  return (await rememberedWay(store, atr)) !== undefined;
}

async function rememberedWay(store: PublicFileStore, atr: Uint8Array): Promise<WayName | undefined> {
  const name = await store.get(storeKey(atr)).catch(() => undefined);
  return Object.keys(WAYS).find((way): way is WayName => name !== undefined && equalBytes(utf8(way), name));
}

const storeKey = (atr: Uint8Array): string => `way ${toHex(atr)}`;

async function findByName(
  cache: CardStateCache,
  findings: Findings,
  aid: Uint8Array,
): Promise<readonly FoundApplication[]> {
  const answer = await cache.card.exclusively(({ send }) => confirmedAnswer(() => selectByName(send, aid)));
  if (answer.sw !== SW.OK) return [];
  // The card has a longer name for it: another application may begin in the same way.
  if (isOneOfSeveral(answer.data, aid)) {
    const several = await findInEfDir(cache, findings);
    if (several.length > 0) return several;
  }
  const found = await open(cache, findings, { aid, df: BY_NAME }, undefined, true);
  return found ? [found] : [];
}

/** A maker's own name selects a whole file system, with the application in its usual place. */
async function findByMaker(cache: CardStateCache, findings: Findings): Promise<readonly FoundApplication[]> {
  for (const aid of OTHER_AIDS) {
    const { data, sw } = await cache.card.exclusively(({ send }) => confirmedAnswer(() => selectByName(send, aid)));
    if (sw !== SW.OK) continue;
    const found = await open(cache, findings, { aid, df: USUAL_DF }, undefined, true);
    if (found) return [{ ...found, selectAnswer: data.length > 0 ? data : await appletInfo(cache.card) }];
  }
  return [];
}

/** Version and features, which IsoApplet reports from 1.0 on (OpenSC, card-isoApplet.c, isoApplet_get_info). */
async function appletInfo(card: Card): Promise<Uint8Array> {
  const command = { cla: 0x00, ins: 0xca, p1: 0x01, p2: 0x01, ne: 3 };
  const { data, sw } = await card.exclusively(({ send }) => confirmedAnswer(() => send(command)));
  return sw === SW.OK && data.length >= 3 ? data : new Uint8Array();
}

async function findInEfDir(cache: CardStateCache, findings: Findings): Promise<readonly FoundApplication[]> {
  const session = new Pkcs15Session(cache, { aid: undefined, df: USUAL_DF }, EF_DIR, true);
  const files = new CardFiles(session, supportsExtendedLength(cache.card.atr));
  let failure: unknown;
  const directory = await unlessRefused(async () => {
    try {
      return await files.read(EF_DIR);
    } catch (error) {
      failure = error;
      throw error;
    }
  });
  if (!directory) {
    // Even the master file was refused in every form, as by applets without a file system.
    if (failure instanceof StatusError && REFUSES_FORM.has(failure.sw)) cache.selectsFiles = false;
    return [];
  }
  const templates = readTemplates(directory.bytes, findings);
  const found: FoundApplication[] = [];
  for (const [address, template] of differing(templates, findings)) {
    const application = await open(cache, findings, address, template, false);
    if (application) found.push(application);
  }
  return found;
}

function readTemplates(bytes: Uint8Array, findings: Findings): readonly ApplicationTemplate[] {
  return readEfDir(bytes, (at, problem) => {
    findings.add(`EF.DIR, at ${at}`, problem);
  });
}

/** Each application once, up to the limit. */
function differing(
  templates: readonly ApplicationTemplate[],
  findings: Findings,
): readonly (readonly [ApplicationAddress, ApplicationTemplate])[] {
  const known = new Map<string, readonly [ApplicationAddress, ApplicationTemplate]>();
  for (const template of templates) {
    const address = addressOf(template);
    const name = nameOf(address);
    if (known.has(name)) findings.add("EF.DIR", `an application is listed twice: ${name}`);
    else if (known.size < MAX_APPLICATIONS) known.set(name, [address, template]);
    else findings.add("EF.DIR", `more than ${MAX_APPLICATIONS} applications`);
  }
  return [...known.values()];
}

/** Identifies an application of a card. */
function nameOf({ aid, df }: ApplicationAddress): string {
  return `${toHex(aid ?? new Uint8Array())} ${pathName(df)}`.trimStart();
}

/** Prefers the path, if there is one: it works from anywhere, and keeps verified PINs. */
function addressOf({ aid, path }: ApplicationTemplate): ApplicationAddress {
  if (path.length === 0 || path.length % 2 !== 0) return { aid, df: BY_NAME };
  return { aid: undefined, df: resolve(masterFilePath(), { path }) };
}

/** The application at an address, if it has an ODF. */
async function open(
  cache: CardStateCache,
  findings: Findings,
  address: ApplicationAddress,
  template: ApplicationTemplate | undefined,
  selectedNow: boolean,
): Promise<FoundApplication | undefined> {
  const session = new Pkcs15Session(cache, address, CardContents.odfPath(address.df, template), selectedNow);
  const files = new CardFiles(session, supportsExtendedLength(cache.card.atr));
  const contents = new CardContents(session, files, findings, template && { template });
  return unlessRefused(async () => {
    if (cache.store) await useCopies(contents, cache.store, address);
    await contents.odf();
    if (cache.store) await keepOdfCopy(contents, address);
    return { contents, aid: address.aid, selectAnswer: new Uint8Array() };
  });
}

/** TokenInfo identifies the card and its state: it is read from the card itself. */
async function useCopies(contents: CardContents, store: PublicFileStore, address: ApplicationAddress): Promise<void> {
  // By its name the application of the usual place is found too.
  const isUsual = address.aid !== undefined && equalBytes(address.aid, PKCS15_AID);
  const name = `${toHex(contents.session.card.atr)} ${nameOf(isUsual ? { aid: undefined, df: USUAL_DF } : address)}`;
  contents.files.keepCopies(PublicCache.of(store, name, await contents.tokenInfo()));
}

/** An application that was found by its name may have told its place only in the ODF itself. */
async function keepOdfCopy(contents: CardContents, address: ApplicationAddress): Promise<void> {
  if (address.df !== BY_NAME) return;
  const place = CardContents.odfPath(BY_NAME);
  const { bytes } = await contents.files.read(place);
  await contents.files.keepCopyAs(place, contents.odfPlace, bytes);
}

const DF_NAME = 0x84;

function isOneOfSeveral(fci: Uint8Array, aid: Uint8Array): boolean {
  try {
    const [outer] = readTlvs(fci);
    const name = outer && findTlv(readTlvs(outer.value), DF_NAME);
    return (name?.length ?? 0) > aid.length;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

/** Whether a card with this answer to reset had applications before. */
export function isRemembered(atr: Uint8Array, store: PublicFileStore): Promise<boolean> {
  return isWayRemembered(atr, reliable(store));
}

/** The applications of a card, with a token for each user PIN; undefined if there is none. */
export async function claim(
  card: Card,
  { store, dialects }: Pkcs15Options,
  extent: Extent,
): Promise<CardApplication | undefined> {
  const findings = new Findings(card);
  const options: Pkcs15Options = { ...(store && { store: reliable(store) }), ...(dialects && { dialects }) };
  const found = await findApplications(card, findings, options, extent);
  if (found.length === 0) return undefined;
  const pinPad = await PinPadReader.find(card);
  const tokens: Pkcs15Token[] = [];
  for (const one of found) {
    const application = await Pkcs15Application.read(one, pinPad, dialects);
    // Without a PIN there is one token all the same: its objects are for everybody.
    const count = Math.max(1, application.pins.users.length);
    for (let index = 0; index < count; index++) tokens.push(new Pkcs15Token(application, index));
  }
  return { profile: "pkcs15", tokens, findings: () => findings.list() };
}

/** The EF(ODF), which every card with PKCS #15 files has (ISO/IEC 7816-15 section 7.5.1). */
const ODF_PATH = fromHex("50155031");

/** A card of a known make that has a file system but no PKCS #15 files, or unreadable ones, which it describes. */
export async function explainBlank(card: Card): Promise<string | CardApplication | undefined> {
  const make = blankMake(card.atr) ?? ((await selects(card, ISO_APPLET_AID)) ? "IsoApplet" : undefined);
  if (make === undefined) return undefined;
  // Existing files may hold data, even if they cannot be read: only a card without any is initialised unasked.
  const odf = select(SELECT_BY.PATH_FROM_MF, ODF_PATH, SELECT_ANSWER.NOTHING);
  const { sw } = await card.exclusively(({ send }) => send(odf));
  if (sw === SW.OK) return `${make} card with PKCS #15 files that cannot be read`;
  return blankApplication(card, make === "MyEID" ? MYEID_LIFE : ISO_APPLET_LIFE);
}
