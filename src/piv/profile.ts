import { type CardApplication, type CardProfile, type PublicStore, untilCancelled } from "../card/index.ts";
import { announcesPiv, PivSession } from "./session.ts";
import { PivToken } from "./token.ts";

/** What the profile takes from the program. */
export interface PivOptions {
  /**
   * Where copies of certificates are kept, so that a card that was seen before costs a few exchanges. A copy counts for one answer to reset
   * and one CHUID. The card confirms it before its value is given, and a signature is verified before it is.
   */
  readonly store?: PublicStore;
}

/** The PIV card application of NIST SP 800-73-4 and -5. */
export function createPiv({ store }: PivOptions = {}): CardProfile {
  return {
    name: "piv",
    expects: announcesPiv,
    async claim(card, _effort, options): Promise<CardApplication | undefined> {
      const session = new PivSession(card);
      if (!(await untilCancelled(options, () => session.claim()))) return undefined;
      return { profile: "piv", tokens: [new PivToken(session, store)] };
    },
  };
}

/** The profile without a store. */
export const piv: CardProfile = createPiv();
