import { utf8 } from "../../src/bytes/index.ts";
import type { CardApplication } from "../../src/card/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { testKey } from "../virtual/keys.ts";
import { insert } from "./file-card.ts";
import { issue, SmartCardHsm } from "./smartcard-hsm-card.ts";

export const RSA = testKey("rsa-2048", "hsm");
export const EC = testKey("p-256", "hsm");

const OWN = await issue(RSA, "Key 1");
const AUTHORITY = await issue(testKey("p-256", "authority"), "Lab CA");

/** Key 1 is RSA with a certificate, key 2 EC with a request; an authority, and data for everybody and for the user. */
export function labCard(atr?: string): SmartCardHsm {
  const card = new SmartCardHsm(atr).addKey(1, RSA, "RSA key", "0560").addKey(2, EC, "EC key", "072080");
  card.certify(1, OWN);
  card.addAuthority(0, "Lab CA", AUTHORITY);
  card.addData(0, "open data", utf8("for everybody"));
  card.addData(1, "guarded data", utf8("for the user"), true);
  return card;
}

/** The card, as the profile has it. */
export async function claimed(card: SmartCardHsm): Promise<CardApplication> {
  const application = await pkcs15.claim(await insert(card), "thorough");
  if (!application) throw new Error("no application");
  return application;
}
