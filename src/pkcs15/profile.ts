import type * as Room from "./recognition/find.ts";
import type { CardProfile } from "../card/index.ts";
import type { PublicFileStore } from "./files/public-cache.ts";
import { announcesEfDir, tellsMake } from "./recognition/makes.ts";

/** Options of the profile. */
export interface Pkcs15Options {
  /**
   * A store for copies of public files, so that a known card costs few exchanges. A copy is valid for one serial number
   * and one time of the last update; changes by a program that does not write that time are not noticed.
   */
  readonly store?: PublicFileStore;
}

/** The profile's code is loaded when it first examines a card: most programs meet one kind of card. */
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

/** The profile without a store. */
export const pkcs15: CardProfile = createPkcs15();
