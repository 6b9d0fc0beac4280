import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { rig } from "../cryptoki/rig.ts";
import { HSM_PIN, SmartCardHsm } from "./smartcard-hsm-card.ts";
import { claimed, EC, labCard, RSA } from "./smartcard-hsm-lab.ts";

const names = async (card: SmartCardHsm): Promise<readonly string[]> => {
  const application = await claimed(card);
  const objects = (await application.tokens[0]?.objects()) ?? [];
  return [...objects.map((object) => `${object.class} ${object.label}`), ...findings(application.findings?.())];
};
const findings = (found: readonly { readonly where: string }[] = []): string[] =>
  found.map(({ where }) => `! ${where}`);

describe("firmware whose list of objects has no certificates of keys", () => {
  test("has the same objects as firmware that lists them", async () => {
    const card = labCard();
    card.listsCertificates = false;
    expect(await names(card)).toEqual(await names(labCard()));
  });

  test("a key without a certificate file has neither certificate nor public key, and nothing is wrong", async () => {
    const card = new SmartCardHsm().addKey(1, RSA, "one").addKey(2, EC, "two");
    card.listsCertificates = false;
    card.files.delete("ce01");
    expect(await names(card)).toEqual(["private-key one", "private-key two", "public-key two"]);
  });

  test("a withheld file is reported", async () => {
    const card = new SmartCardHsm().addKey(1, RSA, "one");
    card.listsCertificates = false;
    card.lies.set("00b1ce01", "6982");
    expect(await names(card)).toEqual(["private-key one", "! certificate of one"]);
  });

  test("a list with certificates is believed: no file is asked for that it leaves out", async () => {
    const card = new SmartCardHsm().addKey(1, RSA, "one").addKey(2, EC, "two");
    card.files.delete("ce01");
    expect(await names(card)).toEqual(["private-key one", "private-key two", "public-key two"]);
    expect(card.commands.some((command) => command.startsWith("00b1ce01"))).toBe(false);
  });

  test("its keys sign", async () => {
    const card = labCard();
    card.listsCertificates = false;
    await using made = await rig(card, [pkcs15]);
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.USER, HSM_PIN);
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, await made.privateKey(session, 1));
    expect(await made.cryptoki.C_Sign(session, utf8("message"))).toHaveLength(256);
    expect(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(1) })).toHaveLength(1);
  });
});

describe("a SmartCard-HSM that was not initialised", () => {
  const blank = (): SmartCardHsm => {
    const card = new SmartCardHsm();
    card.initialised = false;
    return card;
  };
  const FLAGS = CKF.LOGIN_REQUIRED | CKF.USER_PIN_INITIALIZED | CKF.TOKEN_INITIALIZED;

  test("wants no login and has no PIN", async () => {
    await using made = await rig(blank(), [pkcs15]);
    expect((await made.cryptoki.C_GetTokenInfo(await made.slot())).flags & FLAGS).toBe(0);
    const session = await made.session();
    await expect(made.cryptoki.C_Login(session, CKU.USER, HSM_PIN)).rejects.toMatchObject({
      code: "CKR_USER_PIN_NOT_INITIALIZED",
      message: expect.stringMatching(/not set yet/u),
    });
  });

  test.each([
    ["one that was", undefined, FLAGS],
    ["one whose PIN is blocked", "6983", FLAGS | CKF.USER_PIN_LOCKED],
  ])("%s has all of these", async (_card, status, wanted) => {
    const card = labCard();
    if (status !== undefined) card.lies.set("00200081", status);
    await using made = await rig(card, [pkcs15]);
    const { flags } = await made.cryptoki.C_GetTokenInfo(await made.slot());
    expect(flags & (FLAGS | CKF.USER_PIN_LOCKED)).toBe(wanted);
  });
});
