import type * as Room from "./recognition/find.ts";
import type { CardProfile } from "../card/index.ts";
import type { PublicFileStore } from "./files/public-cache.ts";
import { announcesEfDir, tellsMake } from "./recognition/makes.ts";

/** What may be asked of the profile. */
export interface Pkcs15Options {
  /**
   * Where copies of public files are kept, so that a card that was seen before costs a few exchanges. A copy counts for one serial
   * number and one time of the last update; a program that changes the card without writing that time is not noticed.
   */
  readonly store?: PublicFileStore;
}

/** All that this profile knows is read when the first card is put to it: most programs meet one kind of card. */
const room = (): Promise<typeof Room> => import("./recognition/find.ts");

/** Cards with files of ISO/IEC 7816-15 (PKCS #15): one token for each user PIN of each application. */
export function createPkcs15({ store }: Pkcs15Options = {}): CardProfile {
  const profile: CardProfile = {
    name: "pkcs15",
    searches: true,
    async expects(atr): Promise<boolean> {
      if (announcesEfDir(atr) || tellsMake(atr)) return true;
      return store !== undefined && (await room()).isRemembered(atr, store);
    },
    claim: async (card, effort, asked) =>
      (await room()).claim(card, store, effort === "quick" ? "by name" : asked?.has(profile) ? "by file" : "all"),
    explain: async (card) => (await room()).explainBlank(card),
  };
  return profile;
}

/** The profile that keeps no copies. */
export const pkcs15: CardProfile = createPkcs15();
