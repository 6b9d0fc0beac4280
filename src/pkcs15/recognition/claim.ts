import { SW } from "../../apdu/index.ts";
import { fromHex } from "../../bytes/index.ts";
import { type Card, type CardApplication, PinPadReader, selects } from "../../card/index.ts";
import { Pkcs15Application } from "../application.ts";
import { SELECT_ANSWER, SELECT_BY, select } from "../files/commands.ts";
import { blankMake } from "./answer-to-reset.ts";
import { type Extent, findApplications, isRemembered as isRememberedBy } from "./find.ts";
import { ISO_APPLET_AID } from "./makes.ts";
import { Findings } from "../objects/findings.ts";
import { type PublicFileStore, reliable } from "../files/public-cache.ts";
import { Pkcs15Token } from "../token.ts";

/** Whether a card with this answer to reset had applications when it was met before. */
export function isRemembered(atr: Uint8Array, store: PublicFileStore): Promise<boolean> {
  return isRememberedBy(atr, reliable(store));
}

/** The applications of a card, each user PIN of each a token; undefined if there is none. */
export async function claim(
  card: Card,
  store: PublicFileStore | undefined,
  extent: Extent,
): Promise<CardApplication | undefined> {
  const findings = new Findings(card);
  const found = await findApplications(card, findings, store && reliable(store), extent);
  if (found.length === 0) return undefined;
  const pinPad = await PinPadReader.find(card);
  const tokens: Pkcs15Token[] = [];
  for (const one of found) {
    const application = await Pkcs15Application.read(one, pinPad);
    // Without a PIN there is one token all the same: its objects are for everybody.
    const count = Math.max(1, application.pins.users.length);
    for (let index = 0; index < count; index++) tokens.push(new Pkcs15Token(application, index));
  }
  return { profile: "pkcs15", tokens, findings: () => findings.list() };
}

/** The EF(ODF), which every card with PKCS #15 files has (ISO/IEC 7816-15 section 7.5.1). */
const ODF_PATH = fromHex("50155031");

/** What a card is that has a file system and no PKCS #15 files that can be read, if its make is known. */
export async function explainBlank(card: Card): Promise<string | undefined> {
  const make = blankMake(card.atr) ?? ((await selects(card, ISO_APPLET_AID)) ? "IsoApplet" : undefined);
  if (make === undefined) return undefined;
  // Files that exist may hold data, even if they cannot be read: the advice to write new ones is for cards without any.
  const odf = select(SELECT_BY.PATH_FROM_MF, ODF_PATH, SELECT_ANSWER.NOTHING);
  const { sw } = await card.exclusively(({ send }) => send(odf));
  return sw === SW.OK
    ? `${make} card with PKCS #15 files that cannot be read`
    : `${make} card that is not initialised: write its files with "pkcs15-init --create-pkcs15"`;
}
