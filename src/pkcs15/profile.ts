import type * as Room from "./recognition/find.ts";
import { type CardProfile, untilCancelled } from "../card/index.ts";
import type { Pkcs15Options } from "./options.ts";
import { announcesEfDir, tellsMake } from "./recognition/makes.ts";

/** All that this profile knows is read when the first card is put to it: most programs meet one kind of card. */
const room = (): Promise<typeof Room> => import("./recognition/find.ts");

/** Cards with files of ISO/IEC 7816-15 (PKCS #15): one token for each user PIN of each application. */
export function createPkcs15(options: Pkcs15Options = {}): CardProfile {
  const { store, dialects } = options;
  const profile: CardProfile = {
    name: "pkcs15",
    searches: true,
    async expects(atr): Promise<boolean> {
      if (announcesEfDir(atr) || tellsMake(atr, dialects)) return true;
      return store !== undefined && (await room()).isRemembered(atr, store);
    },
    claim: (card, effort, claim) =>
      untilCancelled(claim, async () => {
        const extent = effort === "quick" ? "by name" : claim?.asked?.has(profile) ? "by file" : "all";
        return (await room()).claim(card, options, extent);
      }),
    explain: (card, call) => untilCancelled(call, async () => (await room()).explainBlank(card)),
  };
  return profile;
}

/** The profile without a store. */
export const pkcs15: CardProfile = createPkcs15();
