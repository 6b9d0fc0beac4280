import { parseAtr } from "../apdu/index.ts";
import { DataError, fromHex, startsWith } from "../bytes/index.ts";
import { type CardApplication, type CardProfile, type PublicStore, untilCancelled } from "../card/index.ts";
import type * as Room from "./find.ts";

/** Historical bytes with which CAC cards begin (OpenSC, card-piv.c; pcsc-tools, smartcard_list.txt). */
const BEGINNINGS: readonly Uint8Array[] = [
  // These are PIV cards too, and the PIV profile must also expect them: see CardProfile.expects.
  "0031c06477e303",
  "0031c064b0f310",
  "80318065b0831113ac83",
  "80318065b0831117d683",
  "80318065b07549170f83",
  // Also libcacard (cac.c, cac_atr).
  "73667465206364313434",
  "534345372003002046",
  "8031c164080692",
  // Before PIV: Gemplus GXP3 64V2N, Oberthur CosmopolIC 32K and Galactic, Axalto Cyberflex Access 32K V2.
  "8065b083010474",
  "0031c053cac40164",
  "003180718e6486d6",
  "9c02020702",
].map(fromHex);

/** Whether cards with this answer to reset usually are CAC cards. */
function announcesCac(atr: Uint8Array): boolean {
  try {
    const { historicalBytes } = parseAtr(atr);
    return BEGINNINGS.some((beginning) => startsWith(historicalBytes, beginning));
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

/** The profile's code is loaded when it first examines a card: most programs meet one kind of card. */
const room = (): Promise<typeof Room> => import("./find.ts");

/** What the profiles take from the program. */
export interface CacOptions {
  /**
   * Where copies of certificates are kept, so that they need not be read again. A copy counts for one number of a capability container, and
   * if the card's certificate begins in the same way.
   */
  readonly store?: PublicStore;
}

/** Both profiles: for cards with a capability container, and for those without one. */
export function createCac({ store }: CacOptions = {}): readonly [listed: CardProfile, unlisted: CardProfile] {
  const listed: CardProfile = {
    name: "cac",
    expects: announcesCac,
    claim: (card, _effort, options) => untilCancelled(options, async () => (await room()).claimListed(card, store)),
  };
  const unlisted: CardProfile = {
    name: "cac",
    searches: true,
    async claim(card, effort, options): Promise<CardApplication | undefined> {
      // One with a container never counts as one without: it would show other objects there, and another serial number.
      if (effort === "quick") return untilCancelled(options, () => undefined);
      const askedListed = options?.asked?.has(listed) ?? false;
      return untilCancelled(options, async () => (await room()).claimUnlisted(card, askedListed, store));
    },
  };
  return [listed, unlisted];
}

const [listed, unlisted] = createCac();

/**
 * CAC cards with a capability container. Most of them are PIV cards too: the profile that is asked first provides the
 * token.
 */
export const cac: CardProfile = listed;

/** CAC cards without one, which take many exchanges to find: asked when no profile claims the card quickly. */
export const cacUnlisted: CardProfile = unlisted;
