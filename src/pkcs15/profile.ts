import { type CardApplication, type CardProfile, PinPadReader } from "../card/index.ts";
import { Pkcs15Application } from "./application.ts";
import { findApplications } from "./find.ts";
import { Findings } from "./findings.ts";
import { Pkcs15Token } from "./token.ts";

/** Cards with files of ISO/IEC 7816-15 (PKCS #15): one token for each user PIN of each application. */
export const pkcs15: CardProfile = {
  name: "pkcs15",
  async claim(card): Promise<CardApplication | undefined> {
    const findings = new Findings();
    const found = await findApplications(card, findings);
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
  },
};
