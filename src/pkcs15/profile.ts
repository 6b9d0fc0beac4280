import { type Card, type CardApplication, type CardProfile, PinPadReader } from "../card/index.ts";
import { Pkcs15Application } from "./application.ts";
import { areExpected, type Extent, findApplications } from "./find.ts";
import { Findings } from "./findings.ts";
import type { PublicFileStore } from "./public-cache.ts";
import { Pkcs15Token } from "./token.ts";

/** What may be asked of the profile. */
export interface Pkcs15Options {
  /**
   * Where copies of public files are kept, so that a card that was seen before costs a few exchanges. A copy counts for one serial
   * number and one time of the last update; a program that changes the card without writing that time is not noticed.
   */
  readonly store?: PublicFileStore;
}

/** Cards with files of ISO/IEC 7816-15 (PKCS #15): one token for each user PIN of each application. */
export function createPkcs15({ store }: Pkcs15Options = {}): CardProfile {
  /** Cards that were asked by name, and are not asked so again. */
  const glanced = new WeakSet<Card>();
  return {
    name: "pkcs15",
    expects: (atr) => areExpected(atr, store),
    glance(card): Promise<CardApplication | undefined> {
      glanced.add(card);
      return claim(card, store, "by name");
    },
    claim: (card) => claim(card, store, glanced.delete(card) ? "by file" : "all"),
  };
}

async function claim(
  card: Card,
  store: PublicFileStore | undefined,
  extent: Extent,
): Promise<CardApplication | undefined> {
  const findings = new Findings(card);
  const found = await findApplications(card, findings, store, extent);
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

/** The profile that keeps no copies. */
export const pkcs15: CardProfile = createPkcs15();
