import { describe, jest, test } from "@jest/globals";
import { cac } from "../../src/cac/index.ts";
import { piv } from "../../src/piv/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { profileSuite, type ProfileSubject } from "../../src/testing/index.ts";
import { AppletCard } from "../cac/applet-card.ts";
import { listedApplets } from "../cac/cards.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";

jest.setTimeout(60_000);

const SUBJECTS: Readonly<Record<string, ProfileSubject>> = {
  PIV: { profile: piv, card: () => testCard(), pin: "123456" },
  "PKCS #15": { profile: pkcs15, card: () => testPkcs15Card(), pin: "123456" },
  CAC: { profile: cac, card: () => new AppletCard(listedApplets()), pin: "12345678" },
};

describe.each(Object.entries(SUBJECTS))("%s", (_, subject) => {
  for (const { name, run } of profileSuite(subject)) test(name, run);
});
