import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKU } from "../../src/cryptoki/index.ts";
import { EVERY_FUNCTION } from "../cryptoki/every-function.ts";
import { PIN, READER, refusal, rig, settled } from "../cryptoki/rig.ts";
import { pivCard, testCard, testKey } from "../virtual/keys.ts";
import { until } from "../until.ts";
import { Observed } from "./observed.ts";

const SHA256_RSA = { mechanism: CKM.SHA256_RSA_PKCS } as never;

describe("observers", () => {
  test("see a call from its start to its end, with its session and its exchanges between", async () => {
    await using cards = await rig(await testCard());
    const session = await cards.loggedIn();
    const key = await cards.privateKey(session, 1);
    await cards.cryptoki.C_SignInit(session, SHA256_RSA, key);
    using observed = new Observed();
    await cards.cryptoki.C_Sign(session, utf8("a letter"));
    const [start] = observed.of("cryptoki:call:start");
    const [end] = observed.of("cryptoki:call");
    expect(start).toMatchObject({ function: "C_Sign", session });
    expect(end).toEqual({ ...start, rv: "CKR_OK", duration: expect.any(Number) });
    expect(observed.all.map(({ name }) => name)).toEqual([
      "cryptoki:call:start",
      "cryptoki:queue",
      // A chain of two, and GET RESPONSE.
      "cryptoki:apdu",
      "cryptoki:apdu",
      "cryptoki:apdu",
      "cryptoki:call",
    ]);
    const [first] = observed.of("cryptoki:apdu");
    expect(first).toMatchObject({ reader: READER, ins: 0x87, name: "GENERAL AUTHENTICATE", sw: 0x9000, failed: false });
    expect(observed.of("cryptoki:queue")).toEqual([expect.objectContaining({ reader: READER, ahead: 0 })]);
  });

  test("see how long a caller waits behind another", async () => {
    await using cards = await rig(await testCard());
    const [a, b] = [await cards.session(), await cards.session()];
    using observed = new Observed();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    cards.before = () => held;
    const both = [a, b].map((session) => cards.cryptoki.C_Login(session, CKU.USER, PIN));
    await settled();
    release();
    await Promise.allSettled(both);
    expect(observed.of("cryptoki:queue").length).toBeGreaterThan(0);
    for (const { queued, transaction } of observed.of("cryptoki:queue")) {
      expect(queued).toBeGreaterThanOrEqual(0);
      expect(transaction).toBeGreaterThanOrEqual(0);
    }
  });

  test("see a card's verdict on a PIN, and the tries left", async () => {
    await using cards = await rig(await testCard());
    const session = await cards.session();
    const slot = await cards.slot();
    using observed = new Observed();
    await expect(cards.cryptoki.C_Login(session, CKU.USER, "999999")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await expect(cards.cryptoki.C_Login(session, CKU.USER, "1")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await cards.cryptoki.C_Login(session, CKU.USER, PIN);
    const verdicts = observed.of("cryptoki:login");
    expect(verdicts).toMatchObject([
      { slot, user: "user", outcome: "incorrect", triesLeft: 2 },
      { slot, user: "user", outcome: "length" },
      { slot, user: "user", outcome: "accepted" },
    ]);
    expect(observed.of("cryptoki:error")).toMatchObject([
      { layer: "cryptoki", code: "CKR_PIN_INCORRECT", function: "C_Login" },
      { layer: "cryptoki", code: "CKR_PIN_INCORRECT", function: "C_Login" },
    ]);
  });

  test("see the length of no command with a PIN", async () => {
    await using cards = await rig(await testCard());
    const session = await cards.session();
    using observed = new Observed();
    await cards.cryptoki.C_Login(session, CKU.USER, PIN);
    const verify = observed
      .of("cryptoki:apdu")
      .filter(({ name, commandLength }) => name === "VERIFY" && !commandLength);
    expect(verify).toHaveLength(1);
    expect(verify[0]).not.toHaveProperty("commandLength");
    expect(verify[0]).toMatchObject({ answerLength: 2, sw: 0x9000 });
  });

  test("see cards come and go", async () => {
    await using cards = await rig();
    using observed = new Observed();
    const card = await testCard();
    cards.insert(card);
    await until(() => observed.of("cryptoki:card").length === 1);
    cards.readers.eject(READER);
    await until(() => observed.of("cryptoki:card").length === 2);
    expect(observed.of("cryptoki:card")).toMatchObject([
      { reader: READER, change: "inserted", atr: toHex(card.atr) },
      { reader: READER, change: "removed" },
    ]);
  });

  test("see an exchange that got no answer", async () => {
    await using cards = await rig(await testCard());
    const session = await cards.session();
    using observed = new Observed();
    cards.before = () => {
      cards.readers.eject(READER);
      throw new Error("the contact broke");
    };
    await expect(cards.cryptoki.C_Login(session, CKU.USER, PIN)).rejects.toThrow();
    expect(observed.of("cryptoki:apdu").some(({ failed, sw }) => failed && sw === undefined)).toBe(true);
    expect(observed.of("cryptoki:error")).toContainEqual(expect.objectContaining({ layer: "card", reader: READER }));
  });

  test("see no secret in a broad run", async () => {
    const secrets = { pin: "528491", puk: "71839264", newPin: "639502" };
    const privateKey = testKey("rsa-2048", "9d");
    const plaintext = utf8("the plaintext that nothing may show");
    const card = await pivCard({ pin: secrets.pin, puk: secrets.puk, keys: { "9d": { privateKey } } });
    await using cards = await rig(card);
    const { cryptoki } = cards;
    using observed = new Observed();
    const session = await cards.session(CKF.RW_SESSION);
    await cryptoki.C_Login(session, CKU.USER, "111222").catch(() => undefined);
    await cryptoki.C_Login(session, CKU.USER, secrets.pin);
    await cryptoki.C_SetPIN(session, secrets.pin, secrets.newPin);
    const [publicKey, ownKey] = [await cards.publicKey(session, 3), await cards.privateKey(session, 3)];
    await cryptoki.C_EncryptInit(session, { mechanism: CKM.RSA_PKCS }, publicKey);
    const ciphertext = await cryptoki.C_Encrypt(session, plaintext);
    await cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, ownKey);
    expect(await cryptoki.C_Decrypt(session, ciphertext)).toEqual(plaintext);
    const value = createHash("sha256").update("a secret key").digest();
    await cryptoki.C_CreateObject(session, { [CKA.CLASS]: 4, [CKA.KEY_TYPE]: 0x1f, [CKA.VALUE]: value });
    // Every function with arguments of any kind, refused or not.
    const given = { session, pin: secrets.newPin, bytes: plaintext, secret: value };
    for (const { name, call } of EVERY_FUNCTION) {
      if (name !== "C_Finalize" && name !== "C_WaitForSlotEvent") await call(cryptoki, given).catch(() => undefined);
    }
    expect(new Set(observed.all.map(({ name }) => name)).size).toBeGreaterThanOrEqual(6);
    const text = JSON.stringify(observed.all).toLowerCase();
    const forbidden = [...Object.values(secrets), "111222"].flatMap((pin) => [pin, toHex(utf8(pin))]);
    const values = [plaintext, value].flatMap((bytes) => [
      toHex(bytes),
      Buffer.from(bytes).toString("base64").toLowerCase(),
    ]);
    for (const secret of [...forbidden, ...values, "the plaintext"]) expect(text).not.toContain(secret);
  });

  test("cost nothing when there are none: no event is made", async () => {
    await using cards = await rig(await testCard());
    const session = await cards.loggedIn();
    const numberOf = async (): Promise<number> => {
      using observed = new Observed();
      await cards.cryptoki.C_GetSessionInfo(session);
      return observed.of("cryptoki:call")[0]?.id ?? NaN;
    };
    const before = await numberOf();
    await cards.cryptoki.C_GetSessionInfo(session);
    await cards.cryptoki.C_GetInfo();
    // Only observed calls are numbered.
    expect(await numberOf()).toBe(before + 1);
  });
});
