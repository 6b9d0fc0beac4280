import { constants, createPublicKey, type KeyObject, publicEncrypt, verify } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKG, CKK, CKM, CKO, type MechanismParameter, mechanismOf } from "../../src/cryptoki/index.ts";
import { dialectOf } from "../../src/pkcs15/dialects/table.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { ISO_APPLET_AID } from "../../src/pkcs15/recognition/makes.ts";
import { refusal, rig, type Rig } from "../cryptoki/rig.ts";
import { testKey } from "../virtual/keys.ts";
import { REBUILT_KEYS, rebuiltCard } from "./rebuilt-card.ts";

const MESSAGE = utf8("message");
const P384 = new Uint8Array(Buffer.from("06052b81040022", "hex"));
const PSS = (sLen: number): MechanismParameter => ({ hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, sLen });

let made: Rig;
let session: number;
beforeEach(async () => {
  made = await rig(rebuiltCard({ make: "iso-applet-1" }), [pkcs15]);
  session = await made.loggedIn();
});
afterEach(async () => {
  // The applet takes no chains and keeps no answers.
  for (const command of made.commands) expect(command).not.toMatch(/^(10|00c0)/u);
  await made[Symbol.asyncDispose]();
});

async function sign(key: number, mechanism: number, parameter?: MechanismParameter): Promise<Uint8Array> {
  await made.cryptoki.C_SignInit(session, mechanismOf(mechanism, parameter), key);
  return made.cryptoki.C_Sign(session, MESSAGE);
}

const publicHalf = (key: KeyObject): KeyObject => createPublicKey(key);

describe("IsoApplet 1 with PSS, RSA-4096 and elliptic curves", () => {
  test("signs with the card's own PSS, as its parameters are", async () => {
    const key = await made.privateKey(session, 1);
    const signature = await sign(key, CKM.SHA256_RSA_PKCS_PSS, PSS(32));
    const rsa = {
      key: publicHalf(REBUILT_KEYS["RSA cert"].key()),
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    };
    expect(verify("sha256", MESSAGE, rsa, signature)).toBe(true);
    expect(made.commands.some((command) => command.startsWith("002241b6") && command.includes("800112"))).toBe(true);
    for (const wrong of [PSS(20), { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA1, sLen: 32 }]) {
      await expect(sign(key, CKM.SHA256_RSA_PKCS_PSS, wrong)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    }
  });

  test("signs a hash with ECDSA, and PKCS #1 as before", async () => {
    const ec = publicHalf(REBUILT_KEYS["EC cert"].key());
    const signature = await sign(await made.privateKey(session, 3), CKM.ECDSA_SHA256);
    expect(verify("sha256", MESSAGE, { key: ec, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
    const rsa = publicHalf(REBUILT_KEYS["RSA cert"].key());
    const padded = await sign(await made.privateKey(session, 1), CKM.SHA256_RSA_PKCS);
    expect(verify("sha256", MESSAGE, rsa, padded)).toBe(true);
  });

  test("deciphers a cryptogram that no short command holds", async () => {
    const key = publicHalf(REBUILT_KEYS["RSA decrypt"].key());
    const secret = publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, MESSAGE);
    await made.cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, await made.privateKey(session, 2));
    expect(await made.cryptoki.C_Decrypt(session, new Uint8Array(secret))).toEqual(MESSAGE);
    expect(made.commands.at(-1)).toMatch(/^002a8086000101/u);
  });

  test("makes keys, and takes them, with extended length", async () => {
    const pair = await made.cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.MODULUS_BITS]: 2048 },
      { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.SIGN]: true },
    );
    expect(made.commands).toContain("00464200000000");
    expect(await sign(pair.privateKey, CKM.SHA256_RSA_PKCS)).toHaveLength(256);
    const own = testKey("p-384", "brought");
    const { d = "" } = own.export({ format: "jwk" });
    const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));
    const key = await made.cryptoki.C_CreateObject(session, {
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.KEY_TYPE]: CKK.EC,
      [CKA.TOKEN]: true,
      [CKA.PRIVATE]: true,
      [CKA.SIGN]: true,
      [CKA.EC_PARAMS]: P384,
      [CKA.VALUE]: bytes(d),
    });
    const signature = await sign(key, CKM.ECDSA_SHA384);
    expect(verify("sha384", MESSAGE, { key: publicHalf(own), dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  }, 60_000);

  test("offers what it has, and EC keys agree on nothing", async () => {
    const slot = await made.slot();
    const list = await made.cryptoki.C_GetMechanismList(slot);
    expect(list).toContain(CKM.SHA256_RSA_PKCS_PSS);
    expect(list).not.toContain(CKM.RSA_X_509);
    const info = await made.cryptoki.C_GetMechanismInfo(slot, CKM.RSA_PKCS_PSS);
    expect(info).toMatchObject({ ulMinKeySize: 2048, ulMaxKeySize: 4096 });
    expect(info.flags & CKF.HW).not.toBe(0);
    for (const key of [await made.privateKey(session, 3), await made.publicKey(session, 3)]) {
      expect((await made.cryptoki.C_GetAttributeValue(session, key, [CKA.DERIVE]))[CKA.DERIVE]).toBe(false);
    }
  });
});

describe("what an applet tells of itself decides", () => {
  const applet = (selectAnswer: readonly number[]): ReturnType<typeof dialectOf> =>
    dialectOf({
      atr: new Uint8Array(),
      historical: "",
      aid: ISO_APPLET_AID,
      selectAnswer: Uint8Array.from(selectAnswer),
    });

  test.each([
    ["0.6", [0, 6, 6], { rsa: ["rsa-pkcs1"], ec: ["ecdsa-sha1"], extended: false }],
    ["1.0 with all", [1, 0, 0x2f], { rsa: ["rsa-pkcs1", "rsa-pss"], ec: ["ecdsa"], extended: true }],
    ["1.0 without PSS", [1, 0, 0x27], { rsa: ["rsa-pkcs1"], ec: ["ecdsa"], extended: true }],
    ["1.0 without curves", [1, 0, 0x09], { rsa: ["rsa-pkcs1", "rsa-pss"], ec: [], extended: true }],
    ["1.0 that does not tell", [], { rsa: ["rsa-pkcs1"], ec: ["ecdsa"], extended: false }],
  ])("%s", (_, answer, { rsa, ec, extended }) => {
    const dialect = applet(answer);
    expect(dialect.primitives("rsa", [])).toEqual(rsa);
    expect(dialect.primitives("ec", [])).toEqual(ec);
    expect(dialect.extended).toBe(extended);
  });

  test("RSA-4096 is refused before anything is sent where the applet has none", () => {
    const make = (features: number): unknown =>
      applet([1, 0, features]).keys?.generation({ type: "rsa", modulusBits: 4096 });
    expect(() => make(0x0f)).toThrow(/at most 2048 bits/u);
    expect(make(0x2f)).toBeDefined();
    expect(() => applet([1, 0, 0x29]).keys?.generation({ type: "ec", curve: "P-256" })).toThrow(
      /does not support EC keys/u,
    );
  });
});
