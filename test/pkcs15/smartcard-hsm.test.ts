import { createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { rig, type Rig } from "../cryptoki/rig.ts";
import { testKey } from "../virtual/keys.ts";
import { HSM_PIN, SmartCardHsm } from "./smartcard-hsm-card.ts";

const RSA = testKey("rsa-2048", "hsm");
const EC = testKey("p-256", "hsm");
const MESSAGE = utf8("to be signed");

/** Key 1 is RSA with a certificate, key 2 EC with a request; an authority, and data for everybody and for the user. */
function labCard(atr?: string): SmartCardHsm {
  const card = new SmartCardHsm(atr).addKey(1, RSA, "RSA key", "0560").addKey(2, EC, "EC key", "072080");
  card.certify(1);
  card.addAuthority(0, "Lab CA");
  card.addData(0, "open data", utf8("for everybody"));
  card.addData(1, "guarded data", utf8("for the user"), true);
  return card;
}

async function loggedIn(made: Rig): Promise<number> {
  const session = await made.session();
  await made.cryptoki.C_Login(session, CKU.USER, HSM_PIN);
  return session;
}

describe("a SmartCard-HSM through C_ functions", () => {
  test("is one token with the label, the number and the PIN that OpenSC shows, for four exchanges", async () => {
    const card = labCard();
    await using made = await rig(card, profiles);
    const info = await made.cryptoki.C_GetTokenInfo(await made.slot());
    expect(info).toMatchObject({
      label: "Lab HSM",
      manufacturerID: "www.CardContact.de",
      serialNumber: "DENK0100123",
      ulMinPinLen: 6,
      ulMaxPinLen: 15,
    });
    expect(info.flags & CKF.WRITE_PROTECTED).toBe(0);
    expect(card.commands).toHaveLength(4);
  });

  test("shows keys, public keys, certificates and data", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const seen: unknown[] = [];
    for (const object of await made.find(session, {})) {
      const { [CKA.CLASS]: type, [CKA.LABEL]: label } = await made.cryptoki.C_GetAttributeValue(session, object, [
        CKA.CLASS,
        CKA.LABEL,
      ]);
      seen.push([type, label]);
    }
    // Behind them stands what the facade shows of every card.
    expect(seen.slice(0, 8)).toEqual([
      [CKO.PRIVATE_KEY, "RSA key"],
      [CKO.PRIVATE_KEY, "EC key"],
      [CKO.PUBLIC_KEY, "RSA key"],
      [CKO.PUBLIC_KEY, "EC key"],
      [CKO.CERTIFICATE, "RSA key"],
      [CKO.CERTIFICATE, "Lab CA"],
      [CKO.DATA, "open data"],
      [CKO.DATA, "guarded data"],
    ]);
  });

  test("signs with an RSA key, and again for one exchange", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const key = await made.privateKey(session, 1);
    const sign = async (): Promise<Uint8Array> => {
      await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      return made.cryptoki.C_Sign(session, MESSAGE);
    };
    expect(verify("sha256", MESSAGE, createPublicKey(RSA), await sign())).toBe(true);
    // SELECT, VERIFY, the list, two entries, SIGN.
    expect(card.commands).toHaveLength(6);
    await sign();
    expect(card.commands).toHaveLength(7);
  });
});
