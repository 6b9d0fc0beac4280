import { type CardApplication, type CardProfile, untilCancelled } from "../card/index.ts";
import { announcesPiv, PivSession } from "./session.ts";
import { PivToken } from "./token.ts";

/** The PIV card application of NIST SP 800-73-4 and -5. */
export const piv: CardProfile = {
  name: "piv",
  expects: announcesPiv,
  async claim(card, _effort, options): Promise<CardApplication | undefined> {
    const session = new PivSession(card);
    if (!(await untilCancelled(options, () => session.claim()))) return undefined;
    return { profile: "piv", tokens: [new PivToken(session)] };
  },
};
