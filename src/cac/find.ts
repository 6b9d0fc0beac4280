import { StatusError, SW } from "../apdu/index.ts";
import { concat, startsWith } from "../bytes/index.ts";
import {
  type Card,
  type CardApplication,
  confirmedAnswer,
  isAnswer,
  PinPadReader,
  type PublicStore,
  unlessRefused,
} from "../card/index.ts";
import {
  ACCESS_CONTROL,
  CAC_RID,
  CCC,
  getCertificate,
  getProperties,
  getServiceTable,
  pkiApplet,
  type AppletAddress,
  readBuffer,
} from "./commands.ts";
import {
  APPLICATION_TYPE,
  type CardContents,
  type CardUrl,
  containerEntry,
  type ObjectProperties,
  type PkiEntry,
  pkiEntry,
  readCapabilities,
  readProperties,
  readServiceTable,
  UNLISTED_APPLETS,
} from "./data-model.ts";
import { CacSession, NoSuchPlaceError } from "./session.ts";
import { buffered, CacToken, firstGeneration, unnumbered, type Variant } from "./token.ts";

/**
 * A card with a capability container (GSC-IS 2.1 chapter 7): every CAC since 2003. Costs one exchange on any other
 * card.
 */
async function findListed(session: CacSession): Promise<Variant | undefined> {
  if (!(await isThere(session, CCC))) return undefined;
  return withoutRefusals(async () => {
    const { cardId, urls } = await readCapabilities(session);
    const contents = contentsOf(urls, cardId);
    if (contents.pki.length + contents.containers.length === 0) return undefined;
    return buffered(session, "CAC II", contents, { place: CCC, only: false, changeP1: 0x00 });
  });
}

/** Cards without such a container: "alternative" tokens, and the first CAC (OpenSC, card-cac.c and card-cac1.c). */
async function findUnlisted(session: CacSession): Promise<Variant | undefined> {
  for (const place of ACCESS_CONTROL) {
    const found = (await isThere(session, place)) ? await withoutRefusals(() => readTable(session, place)) : undefined;
    if (found) return found;
  }
  return findBare(session);
}

function contentsOf(urls: readonly CardUrl[], cardId: Uint8Array | undefined): CardContents {
  const pki = urls
    .filter(({ type }) => type === APPLICATION_TYPE.PKI)
    .flatMap(({ place }, index) => pkiEntry(place, index) ?? []);
  const containers = urls
    .filter(({ type }) => type === APPLICATION_TYPE.GENERIC)
    .flatMap(({ place }) => containerEntry(place, place.object) ?? []);
  return { pki, containers, cardId };
}

/** First bytes of the identifiers of PKI applets. */
const PKI_APPLETS = [concat(CAC_RID, Uint8Array.of(0x01)), concat(CAC_RID, Uint8Array.of(0x00))];
const AID_LENGTH = 7;

/** A card whose access control applet lists its applets; each applet lists its own objects. */
async function readTable(session: CacSession, place: AppletAddress): Promise<Variant | undefined> {
  const { data, sw } = await session.at(place, (send) => send(getServiceTable()));
  if (sw !== SW.OK) throw new StatusError("GET ACR", sw);
  const pki: PkiEntry[] = [];
  let index = 0;
  for (const aid of readServiceTable(data)) {
    if (aid.length !== AID_LENGTH || !PKI_APPLETS.some((beginning) => startsWith(aid, beginning))) continue;
    for (const { id, hasPrivateKey } of await propertiesOf(session, { aid })) {
      // One without a key keeps its number, so that the number of the next one does not depend on it.
      const entry = pkiEntry({ aid, object: id }, index++);
      if (entry && hasPrivateKey) pki.push(entry);
    }
  }
  if (pki.length === 0) return undefined;
  const contents = { pki, containers: [], cardId: undefined };
  // G&D's card needs P1 = 01 (OpenSC, card-cac.c).
  return buffered(session, "CAC ALT HID", contents, { place, only: true, changeP1: 0x01 });
}

/** Empty if the applet is listed but absent, or its answer is malformed. */
async function propertiesOf(session: CacSession, place: AppletAddress): Promise<readonly ObjectProperties[]> {
  const found = await withoutRefusals(async () => {
    const { data, sw } = await session.at(place, (send) => send(getProperties()));
    if (sw !== SW.OK) throw new StatusError("GET PROPERTIES", sw);
    return readProperties(data);
  });
  return found ?? [];
}

/** The three applets of every CAC: if none is present, the card is not a CAC. */
const USUAL_APPLETS = 3;
const MAX_APPLETS = 16;

/** A card without lists, whose applets are found by trial. */
async function findBare(session: CacSession): Promise<Variant | undefined> {
  for (let number = 0; number < USUAL_APPLETS; number++) {
    const place = pkiApplet(number);
    if (!(await isThere(session, place))) continue;
    const generation = await generationOf(session, place);
    if (generation === undefined) continue;
    const pki: PkiEntry[] = [];
    for (let index = number; index < MAX_APPLETS; index++) {
      const entry = pkiEntry(pkiApplet(index), index);
      if (entry && (await isThere(session, entry.place))) pki.push(entry);
    }
    const pin = { place, only: false, changeP1: 0x00 };
    if (generation === 1) return firstGeneration(session, { pki, containers: [], cardId: undefined }, pin);
    return unnumbered(session, { pki, containers: await bareContainers(session), cardId: undefined }, pin);
  }
  return undefined;
}

/**
 * By the command with which the applet returns its certificate; undefined if the applet belongs to another kind of
 * card.
 */
async function generationOf(session: CacSession, place: AppletAddress): Promise<1 | 2 | undefined> {
  const LENGTH = 2;
  return session.at(place, async (send) => {
    const { data, sw } = await confirmedAnswer(() => send(readBuffer("TAGS", 0, LENGTH)));
    if (sw === SW.OK && data.length === LENGTH) return 2;
    const first = await send(getCertificate(LENGTH));
    return first.sw >> 8 === SW.VERIFICATION_FAILED >> 8 ? 1 : undefined;
  });
}

async function bareContainers(session: CacSession): Promise<CardContents["containers"]> {
  const found = [];
  for (const object of UNLISTED_APPLETS) {
    const entry = containerEntry({ aid: concat(CAC_RID, object) }, object);
    if (entry && (await isThere(session, entry.place))) found.push(entry);
  }
  return found;
}

/** Whether the card has `place`, and allows its selection. */
async function isThere(session: CacSession, place: AppletAddress): Promise<boolean> {
  const found = await withoutRefusals(() => session.at(place, () => Promise.resolve(true)));
  return found ?? false;
}

/** As {@link unlessRefused}, except that an unambiguous "not found" is an answer. */
function withoutRefusals<T>(read: () => Promise<T>): Promise<T | undefined> {
  return unlessRefused(async () => {
    try {
      return await read();
    } catch (error) {
      if (error instanceof NoSuchPlaceError && isAnswer(error.cause)) return undefined;
      throw error;
    }
  });
}

/** The application of a card whose capability container lists its applets; undefined without one. */
export async function claimListed(card: Card, store?: PublicStore): Promise<CardApplication | undefined> {
  const session = new CacSession(card);
  return applicationOf(session, await session.together(() => findListed(session)), store);
}

/**
 * The application of a CAC, with a capability container or without; undefined for any other card.
 * @param isListless The container was looked for, in vain.
 */
export async function claimUnlisted(
  card: Card,
  isListless: boolean,
  store?: PublicStore,
): Promise<CardApplication | undefined> {
  const session = new CacSession(card);
  const variant = await session.together(
    async () => (isListless ? undefined : await findListed(session)) ?? (await findUnlisted(session)),
  );
  return applicationOf(session, variant, store);
}

async function applicationOf(
  session: CacSession,
  variant: Variant | undefined,
  store?: PublicStore,
): Promise<CardApplication | undefined> {
  if (!variant) return undefined;
  return { profile: "cac", tokens: [new CacToken(session, variant, await PinPadReader.find(session.card), store)] };
}
