import { constants, createECDH, createPublicKey, publicEncrypt, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKD, CKF, CKG, CKK, CKM, CKO, CKU, mechanismOf } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { SCARD_DISPOSITION } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { READER, refusal, rig, type Rig } from "../cryptoki/rig.ts";
import { testKey } from "../virtual/keys.ts";
import { HSM_CODE, HSM_PIN, issue, SmartCardHsm } from "./smartcard-hsm-card.ts";
import { claimed, EC, labCard, RSA } from "./smartcard-hsm-lab.ts";

const MESSAGE = utf8("to be signed");
const OAEP_SHA1 = { hashAlg: CKM.SHA_1, mgf: CKG.MGF1_SHA1, source: 1 };

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

  test.each([
    ["rsa-3072", CKM.SHA256_RSA_PKCS_PSS, { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, sLen: 32 }],
    ["p-384", CKM.ECDSA_SHA384, undefined],
  ] as const)("%s: an answer that is longer than a short one, or than the hash", async (type, mechanism, parameter) => {
    const card = new SmartCardHsm().addKey(9, testKey(type, "hsm"), "large");
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const how = mechanismOf(mechanism, parameter);
    await made.cryptoki.C_SignInit(session, how, await made.privateKey(session, 9));
    const signature = await made.cryptoki.C_Sign(session, MESSAGE);
    await made.cryptoki.C_VerifyInit(session, how, await made.publicKey(session, 9));
    await made.cryptoki.C_Verify(session, MESSAGE, signature);
  });

  test("beside another program a signature costs one exchange more, and the login holds", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const key = await made.privateKey(session, 1);
    const other = await made.pcsc.connect(READER);
    const before = card.commands.length;
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await made.cryptoki.C_Sign(session, MESSAGE);
    expect(card.commands.slice(before).map((command) => command.slice(0, 4))).toEqual(["00a4", "8068"]);
    await other.disconnect();
  });

  test("signs with an EC key whose public half stands in a request", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, await made.privateKey(session, 2));
    const signature = await made.cryptoki.C_Sign(session, MESSAGE);
    expect(verify("sha256", MESSAGE, { key: createPublicKey(EC), dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
    // As with RSA: the entry tells the size of the key. Its curve, which stands in the request, only a verification needs.
    expect(card.commands).toHaveLength(6);
    const publicKey = await made.publicKey(session, 2);
    await made.cryptoki.C_VerifyInit(session, { mechanism: CKM.ECDSA_SHA256 }, publicKey);
    await made.cryptoki.C_Verify(session, MESSAGE, signature);
    await made.cryptoki.C_GetAttributeValue(session, publicKey, [CKA.EC_POINT, CKA.EC_PARAMS]);
    expect(card.commands).toHaveLength(7);
  });

  test("deciphers with an RSA key", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const key = await made.privateKey(session, 1);
    for (const [mechanism, padding] of [
      [{ mechanism: CKM.RSA_PKCS }, constants.RSA_PKCS1_PADDING],
      [{ mechanism: CKM.RSA_PKCS_OAEP, parameter: OAEP_SHA1 }, constants.RSA_PKCS1_OAEP_PADDING],
    ] as const) {
      const secret = publicEncrypt({ key: createPublicKey(RSA), padding }, MESSAGE);
      await made.cryptoki.C_DecryptInit(session, mechanism, key);
      expect(await made.cryptoki.C_Decrypt(session, secret)).toEqual(MESSAGE);
    }
    expect(card.commands.slice(-2).map((command) => command.slice(0, 8))).toEqual(["80620121", "80620121"]);
  });

  test("agrees on a secret with an EC key", async () => {
    await using made = await rig(labCard(), [pkcs15]);
    const session = await loggedIn(made);
    const peer = createECDH("prime256v1");
    const parameter = { kdf: CKD.NULL, pPublicData: new Uint8Array(peer.generateKeys()) };
    const key = await made.privateKey(session, 2);
    const secret = await made.cryptoki.C_DeriveKey(session, { mechanism: CKM.ECDH1_DERIVE, parameter }, key, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.SENSITIVE]: false,
      [CKA.EXTRACTABLE]: true,
    });
    const { [CKA.VALUE]: value } = await made.cryptoki.C_GetAttributeValue(session, secret, [CKA.VALUE]);
    const { x = "", y = "" } = createPublicKey(EC).export({ format: "jwk" });
    const point = Buffer.concat([Uint8Array.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
    expect(value).toEqual(new Uint8Array(peer.computeSecret(point)));
  });

  test("gives certificates, each read once, and one of an authority only on request", async () => {
    const card = new SmartCardHsm().addKey(1, RSA, "RSA key");
    const own = await issue(RSA, "Key 1");
    card.certify(1, own);
    const authority = await issue(testKey("p-256", "authority"), "Lab CA");
    card.addAuthority(0, "Lab CA", authority);
    await using made = await rig(card, [pkcs15]);
    const session = await made.session();
    const found = await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    // SELECT, the list, the key's entry, its certificate, the authority's entry.
    expect(card.commands).toHaveLength(5);
    const values: unknown[] = [];
    for (const object of found) {
      const { [CKA.VALUE]: value } = await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE, CKA.SUBJECT]);
      values.push(value);
    }
    expect(values).toEqual([own, authority]);
    expect(card.commands).toHaveLength(6);
  });

  test("gives data, and to the user what only the user may read", async () => {
    await using made = await rig(labCard(), [pkcs15]);
    const session = await made.session();
    const read = async (label: string): Promise<unknown> => {
      const [object] = await made.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: label });
      return object && (await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE];
    };
    expect(await read("open data")).toEqual(utf8("for everybody"));
    expect(await read("guarded data")).toBeUndefined();
    await made.cryptoki.C_Login(session, CKU.USER, HSM_PIN);
    expect(await read("guarded data")).toEqual(utf8("for the user"));
  });

  test("all objects with their values cost an exchange for each file", async () => {
    const card = labCard();
    await using made = await rig(card, profiles);
    const session = await loggedIn(made);
    for (const object of await made.find(session, {})) {
      await made.cryptoki
        .C_GetAttributeValue(session, object, [CKA.CLASS, CKA.LABEL, CKA.ID, CKA.KEY_TYPE, CKA.VALUE, CKA.MODULUS])
        .catch(() => undefined);
    }
    const reads = card.commands.filter((command) => command.startsWith("00b1"));
    expect(new Set(reads).size).toBe(reads.length);
    // SELECT, VERIFY and the list besides.
    expect(card.commands).toHaveLength(reads.length + 3);
  });

  test("has no object changed, and no public key destroyed without its private key", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const certificate = await made.object(session, CKO.CERTIFICATE, 1);
    const publicKey = await made.publicKey(session, 2);
    const before = card.commands.length;
    await expect(made.cryptoki.C_DestroyObject(session, publicKey)).rejects.toThrow(/CKR_ACTION_PROHIBITED/u);
    await expect(made.cryptoki.C_SetAttributeValue(session, certificate, { [CKA.LABEL]: "x" })).rejects.toThrow(
      /CKR_/u,
    );
    // What the refusals name the token by is read, and nothing else is done.
    expect(card.commands.slice(before).every((command) => command.startsWith("00b1"))).toBe(true);
  });
});

describe("the PIN of a SmartCard-HSM", () => {
  test("a wrong one costs a try, which the token shows; no right one is needed to ask", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await made.session();
    const flags = async (): Promise<number> => (await made.cryptoki.C_GetTokenInfo(await made.slot())).flags;
    const login = (pin: string): Promise<void> => made.cryptoki.C_Login(session, CKU.USER, pin);
    expect((await flags()) & (CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY)).toBe(0);
    await expect(login("111111")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    expect((await flags()) & CKF.USER_PIN_COUNT_LOW).not.toBe(0);
    await expect(login("11111")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await expect(login("111111")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    expect((await flags()) & CKF.USER_PIN_FINAL_TRY).not.toBe(0);
    await expect(login("111111")).rejects.toMatchObject(refusal("PIN_LOCKED"));
    expect((await flags()) & CKF.USER_PIN_LOCKED).not.toBe(0);
    await made.cryptoki.C_UnlockPIN(session, HSM_CODE, "new PIN");
    await login("new PIN");
  });

  test("is changed by its user, and the initialisation code by who knows it", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await made.session();
    await made.cryptoki.C_SetPIN(session, HSM_PIN, "Letters 15 long");
    await made.cryptoki.C_Login(session, CKU.USER, "Letters 15 long");
    const [token] = (await claimed(labCard())).tokens;
    await token?.changePin?.("puk", utf8(HSM_CODE), utf8("0123456789ABCDEF"));
    await expect(token?.unlockPin?.(utf8(HSM_CODE), utf8("123456"))).rejects.toMatchObject({ reason: "incorrect" });
    await token?.unlockPin?.(utf8("0123456789abcdef"), utf8("123456"));
    expect(await token?.pinStatus("puk")).toMatchObject({ triesLeft: 15 });
  });

  test.each([
    ["123456789012345", "length"],
    ["12345678901234567", "length"],
    ["123456789012345G", "characters"],
  ])("a code of %s never reaches the card", async (code, reason) => {
    const card = labCard();
    const [token] = (await claimed(card)).tokens;
    const before = card.commands.length;
    await expect(token?.unlockPin?.(utf8(code), utf8("123456"))).rejects.toMatchObject({ reason });
    expect(card.commands).toHaveLength(before);
  });

  test("a card that was initialised without it is not unlocked, and no try is lost", async () => {
    const card = labCard();
    card.allowsReset = false;
    const [token] = (await claimed(card)).tokens;
    await expect(token?.unlockPin?.(utf8(HSM_CODE), utf8("123456"))).rejects.toMatchObject({ sw: 0x6985 });
    expect(await token?.pinStatus("puk")).toMatchObject({ triesLeft: 15 });
  });

  test("is forgotten by a SELECT when its user logs out", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const before = card.commands.length;
    await made.cryptoki.C_Logout(session);
    expect(card.commands.slice(before)).toEqual([card.commands[0]]);
    const [token] = (await claimed(card)).tokens;
    expect(await token?.pinStatus("user")).toMatchObject({ verified: false, triesLeft: 3 });
  });

  test("after a reset by another program the user is logged out, and no PIN is sent", async () => {
    const card = labCard();
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    const key = await made.privateKey(session, 1);
    const other = await made.pcsc.connect(READER);
    await other.disconnect(SCARD_DISPOSITION.RESET_CARD);
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await expect(made.cryptoki.C_Sign(session, MESSAGE)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    expect(card.commands.filter((command) => command.startsWith("0020008106"))).toHaveLength(1);
  });
});
