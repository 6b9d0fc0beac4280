import {
  type CardChannel,
  CardError,
  findTlv,
  parseAtr,
  parseHistoricalBytes,
  readTlvs,
  supportsExtendedLength,
  SW,
} from "../apdu/index.ts";
import { DataError, fromHex, toHex } from "../bytes/index.ts";
import type { Card } from "../card/index.ts";
import { CardContents } from "./contents.ts";
import { CardFiles } from "./files.ts";
import type { Findings } from "./findings.ts";
import { type FilePlace, masterFilePlace, placeName, resolve } from "./place.ts";
import { PublicCache, type PublicFileStore } from "./public-cache.ts";
import { type ApplicationAddress, CardHand, Pkcs15Session, selectByName, USUAL_DF } from "./session.ts";
import { type ApplicationTemplate, PKCS15_AID, readEfDir } from "./syntax/ef-dir.ts";

/** The application of a card that has it under a name of the maker's own: IsoApplet (OpenSC, card-isoApplet.c). */
const OTHER_AIDS: readonly Uint8Array[] = [fromHex("f276a288bcfba69d34f31001")];

const BY_NAME: FilePlace = { from: "application", path: new Uint8Array() };
const EF_DIR = masterFilePlace(0x2f00);

/** An application of ISO/IEC 7816-15 that was found on a card. */
export interface FoundApplication {
  readonly contents: CardContents;
  /** What SELECT took; undefined where the files are simply there. */
  readonly aid: Uint8Array | undefined;
  /** What the card told when it was selected so. */
  readonly selectAnswer: Uint8Array;
}

/**
 * The applications on a card, none if it carries none. Few exchanges, because most cards that are asked are of another kind:
 * the registered name first, then the names of makers, EF.DIR, and the usual place.
 */
export async function findApplications(
  card: Card,
  findings: Findings,
  store?: PublicFileStore,
): Promise<readonly FoundApplication[]> {
  const hand = new CardHand(card, store);
  if (!announcesEfDir(card.atr)) {
    const found = (await findByName(hand, findings, PKCS15_AID)) ?? (await findByMaker(hand, findings));
    if (found) return found;
  }
  const fromDirectory = await findInEfDir(hand, findings);
  if (fromDirectory.length > 0) return fromDirectory;
  if (announcesEfDir(card.atr)) {
    const found = await findByName(hand, findings, PKCS15_AID);
    if (found) return found;
  }
  const usual = await open(hand, findings, { aid: undefined, df: USUAL_DF }, undefined, false);
  return usual ? [usual] : [];
}

async function findByName(
  hand: CardHand,
  findings: Findings,
  aid: Uint8Array,
): Promise<readonly FoundApplication[] | undefined> {
  const answer = await hand.card.exclusively((channel) => selectByName(channel, aid));
  if (answer.sw !== SW.OK) return undefined;
  // The card has a longer name for it: where one begins so, another may.
  if (isOneOfSeveral(answer.data, aid)) {
    const several = await findInEfDir(hand, findings);
    if (several.length > 0) return several;
  }
  const found = await open(hand, findings, { aid, df: BY_NAME }, undefined, true);
  return found && [found];
}

/** Under a maker's own name there is a whole file system, with the application where it usually is. */
async function findByMaker(hand: CardHand, findings: Findings): Promise<readonly FoundApplication[] | undefined> {
  for (const aid of OTHER_AIDS) {
    const { data, sw } = await hand.card.exclusively((channel: CardChannel) => selectByName(channel, aid));
    if (sw !== SW.OK) continue;
    const found = await open(hand, findings, { aid, df: USUAL_DF }, undefined, true);
    return found && [{ ...found, selectAnswer: data }];
  }
  return undefined;
}

async function findInEfDir(hand: CardHand, findings: Findings): Promise<readonly FoundApplication[]> {
  const session = new Pkcs15Session(hand, { aid: undefined, df: USUAL_DF }, EF_DIR, true);
  const files = new CardFiles(session, supportsExtendedLength(hand.card.atr));
  let templates: readonly ApplicationTemplate[];
  try {
    templates = readEfDir((await files.read(EF_DIR)).bytes);
  } catch (error) {
    if (error instanceof CardError) return [];
    throw error;
  }
  const found: FoundApplication[] = [];
  for (const template of templates) {
    const application = await open(hand, findings, addressOf(template), template, false);
    if (application) found.push(application);
  }
  return found;
}

/** The way by the path, where there is one: it works from anywhere, and drops no verified PIN. */
function addressOf({ aid, path }: ApplicationTemplate): ApplicationAddress {
  if (path.length === 0 || path.length % 2 !== 0) return { aid, df: BY_NAME };
  return { aid: undefined, df: resolve(masterFilePlace(), { path }) };
}

/** The application at an address, if it has an ODF. */
async function open(
  hand: CardHand,
  findings: Findings,
  address: ApplicationAddress,
  template: ApplicationTemplate | undefined,
  selectedNow: boolean,
): Promise<FoundApplication | undefined> {
  const session = new Pkcs15Session(hand, address, CardContents.odfPlace(address.df, template), selectedNow);
  const files = new CardFiles(session, supportsExtendedLength(hand.card.atr));
  const contents = new CardContents(session, files, findings, template);
  try {
    if (hand.store) await useCopies(contents, hand.store, address);
    await contents.odf();
  } catch (error) {
    if (error instanceof CardError) return undefined;
    throw error;
  }
  return { contents, aid: address.aid, selectAnswer: new Uint8Array() };
}

/** TokenInfo tells which card it is, and in which state: it is read from the card itself. */
async function useCopies(
  contents: CardContents,
  store: PublicFileStore,
  { aid, df }: ApplicationAddress,
): Promise<void> {
  const name = `${toHex(contents.session.card.atr)} ${toHex(aid ?? new Uint8Array())} ${placeName(df)}`;
  contents.files.keepCopies(PublicCache.of(store, name, await contents.tokenInfo()));
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

/** The historical bytes tell of EF.DIR (ISO/IEC 7816-4 section 12.1.1.7). */
function announcesEfDir(atr: Uint8Array): boolean {
  try {
    return parseHistoricalBytes(parseAtr(atr).historicalBytes).serviceData?.efDir ?? false;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
