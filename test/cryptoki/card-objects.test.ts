import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKC, CKF, CKK, CKM, CKO, CKU, Cryptoki, type Template } from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { first, PIN, refusal, rig } from "./rig.ts";
import { find, writableRig } from "./writable-card.ts";

const DATA: Template = {
  [CKA.CLASS]: CKO.DATA,
  [CKA.TOKEN]: true,
  [CKA.PRIVATE]: false,
  [CKA.LABEL]: "note",
  [CKA.APPLICATION]: "test",
  [CKA.OBJECT_ID]: Uint8Array.of(6, 1, 42),
  [CKA.VALUE]: utf8("first"),
};

async function login(cryptoki: Cryptoki, session: number): Promise<void> {
  await cryptoki.C_Login(session, CKU.USER, PIN);
}

test("an object of the card is made, changed and destroyed, and every application sees it", async () => {
  await using made = await writableRig();
  const { one, other } = made;
  const [mine, theirs] = [await made.session(one), await made.session(other)];
  await login(one, mine);
  const handle = await one.C_CreateObject(mine, DATA);
  const types = [CKA.LABEL, CKA.APPLICATION, CKA.OBJECT_ID, CKA.VALUE, CKA.TOKEN, CKA.MODIFIABLE, CKA.DESTROYABLE];
  const [found] = await find(other, theirs, { [CKA.LABEL]: "note" });
  expect(await other.C_GetAttributeValue(theirs, found ?? 0, types)).toEqual({
    [CKA.LABEL]: "note",
    [CKA.APPLICATION]: "test",
    [CKA.OBJECT_ID]: Uint8Array.of(6, 1, 42),
    [CKA.VALUE]: utf8("first"),
    [CKA.TOKEN]: true,
    [CKA.MODIFIABLE]: true,
    [CKA.DESTROYABLE]: true,
  });

  await one.C_SetAttributeValue(mine, handle, { [CKA.LABEL]: "other", [CKA.VALUE]: utf8("second") });
  for (const [cryptoki, session, object] of [
    [one, mine, handle],
    [other, theirs, found ?? 0],
  ] as const) {
    expect(await cryptoki.C_GetAttributeValue(session, object, [CKA.LABEL, CKA.VALUE])).toEqual({
      [CKA.LABEL]: "other",
      [CKA.VALUE]: utf8("second"),
    });
    expect(await find(cryptoki, session, { [CKA.LABEL]: "other" })).toEqual([object]);
    expect(await find(cryptoki, session, { [CKA.LABEL]: "note" })).toEqual([]);
  }

  await one.C_DestroyObject(mine, handle);
  for (const [cryptoki, session, object] of [
    [one, mine, handle],
    [other, theirs, found ?? 0],
  ] as const) {
    await expect(cryptoki.C_GetAttributeValue(session, object, [CKA.LABEL])).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
    expect(await find(cryptoki, session, { [CKA.LABEL]: "other" })).toEqual([]);
  }
  expect(made.token.written).toEqual(["create data note", "change object 1", "destroy object 1"]);
});

test("a key pair that took the place of another ends its handles in every application", async () => {
  await using made = await rig(await testCard());
  await using other = new Cryptoki({ slots: made.cryptoki.slots });
  await other.C_Initialize();
  const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
  const old = first(await find(other, theirs, { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: Uint8Array.of(4) }));
  const types = [CKA.KEY_TYPE, CKA.PUBLIC_KEY_INFO];
  const before = await other.C_GetAttributeValue(theirs, old, types);

  const session = await made.session();
  await made.cryptoki.C_Login(session, CKU.SO, "010203040506070801020304050607080102030405060708");
  const template = { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(4) };
  const EC_PARAMS = Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7);
  await made.cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: CKM.EC_KEY_PAIR_GEN },
    { ...template, [CKA.EC_PARAMS]: EC_PARAMS },
    template,
  );
  await expect(other.C_GetAttributeValue(theirs, old, types)).rejects.toMatchObject(refusal("OBJECT_HANDLE_INVALID"));
  const fresh = first(await find(other, theirs, { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: Uint8Array.of(4) }));
  expect(fresh).not.toBe(old);
  expect(await other.C_GetAttributeValue(theirs, fresh, types)).not.toEqual(before);
});

describe("writing on a card", () => {
  test.each<[string, Template]>([
    ["TEMPLATE_INCONSISTENT", { ...DATA, [CKA.LABEL]: "too much" }],
    ["TEMPLATE_INCONSISTENT", { ...DATA, [CKA.MODIFIABLE]: false }],
    ["TEMPLATE_INCONSISTENT", { ...DATA, [CKA.COPYABLE]: false }],
    ["ATTRIBUTE_VALUE_INVALID", { ...DATA, [CKA.OBJECT_ID]: utf8("no identifier") }],
    [
      "TEMPLATE_INCONSISTENT",
      {
        [CKA.CLASS]: CKO.SECRET_KEY,
        [CKA.KEY_TYPE]: CKK.AES,
        [CKA.TOKEN]: true,
        [CKA.PRIVATE]: false,
        [CKA.VALUE]: new Uint8Array(16),
      },
    ],
    [
      "ATTRIBUTE_VALUE_INVALID",
      {
        [CKA.CLASS]: CKO.CERTIFICATE,
        [CKA.CERTIFICATE_TYPE]: CKC.X_509,
        [CKA.TOKEN]: true,
        [CKA.SUBJECT]: new Uint8Array(),
        [CKA.VALUE]: utf8("no certificate"),
      },
    ],
  ])("%s, and nothing is written", async (name, template) => {
    await using made = await writableRig();
    const session = await made.session();
    await login(made.one, session);
    await expect(made.one.C_CreateObject(session, template)).rejects.toMatchObject(refusal(name));
    expect(made.token.written).toEqual([]);
  });

  test("wants a read/write session, and its user", async () => {
    await using made = await writableRig();
    const { one } = made;
    const [reading, writing] = [await made.session(one, 0), await made.session(one)];
    await expect(one.C_CreateObject(reading, DATA)).rejects.toMatchObject(refusal("SESSION_READ_ONLY"));
    await expect(one.C_CreateObject(writing, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await login(one, writing);
    const object = await one.C_CreateObject(writing, DATA);
    await expect(one.C_SetAttributeValue(reading, object, { [CKA.LABEL]: "x" })).rejects.toMatchObject(
      refusal("SESSION_READ_ONLY"),
    );
    await expect(one.C_DestroyObject(reading, object)).rejects.toMatchObject(refusal("SESSION_READ_ONLY"));
    await expect(one.C_CopyObject(reading, object, {})).rejects.toMatchObject(refusal("SESSION_READ_ONLY"));
    expect(made.token.written).toEqual(["create data note"]);
  });

  test("needs no login if the card needs no PIN, and its user's login again if it does", async () => {
    for (const free of [true, false]) {
      await using made = await writableRig({ free });
      const { one } = made;
      const session = await made.session();
      if (!free) await login(one, session);
      const object = await one.C_CreateObject(session, DATA);
      if (!free) await one.C_Logout(session);
      const destroyed = one.C_DestroyObject(session, object);
      if (free) await destroyed;
      else await expect(destroyed).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
      expect(await find(one, session, { [CKA.LABEL]: "note" })).toEqual(free ? [] : [object]);
    }
  });

  test.each([
    [{ fixed: true }, "TEMPLATE_INCONSISTENT"],
    [{ fixed: true, writeProtected: true }, "TOKEN_WRITE_PROTECTED"],
  ])("is refused by a token with %j", async (options, name) => {
    await using made = await writableRig(options);
    const session = await made.session();
    await expect(made.one.C_CreateObject(session, DATA)).rejects.toMatchObject(refusal(name));
  });

  describe("as programs write keys and certificates", () => {
    const ID = utf8("made");
    const PUBLIC: Template = {
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.KEY_TYPE]: CKK.RSA,
      [CKA.TOKEN]: true,
      [CKA.PRIVATE]: false,
      [CKA.ID]: ID,
      [CKA.VERIFY]: true,
      [CKA.MODULUS]: new Uint8Array(256).fill(0xc5),
      [CKA.PUBLIC_EXPONENT]: Uint8Array.of(1, 0, 1),
    };

    test("a public key that the card shows already is that one; others are written", async () => {
      await using made = await writableRig();
      const { one } = made;
      const session = await made.session();
      await login(one, session);
      const key = await one.C_CreateObject(session, PUBLIC);
      expect(await one.C_CreateObject(session, PUBLIC)).toBe(key);
      expect(await one.C_CreateObject(session, { ...PUBLIC, [CKA.ENCRYPT]: true })).toBe(key);
      // Another label becomes its label.
      expect(await one.C_CreateObject(session, { ...PUBLIC, [CKA.LABEL]: "other" })).toBe(key);
      expect(made.token.written).toEqual(["create public-key ", "change object 1"]);
      const others: Template[] = [
        { ...PUBLIC, [CKA.ID]: utf8("other") },
        { ...PUBLIC, [CKA.MODULUS]: new Uint8Array(256).fill(0xc7) },
      ];
      for (const other of others) expect(await one.C_CreateObject(session, other)).not.toBe(key);
      expect(made.token.written).toHaveLength(4);
      await one.C_Logout(session);
      await expect(one.C_CreateObject(session, PUBLIC)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    });

    test("a key takes the subject of its certificate with its label and CKA_ID, and not alone", async () => {
      await using made = await writableRig();
      const { one } = made;
      const session = await made.session();
      await login(one, session);
      const key = await one.C_CreateObject(session, PUBLIC);
      const subject = { [CKA.SUBJECT]: Uint8Array.of(0x30, 0x00) };
      await one.C_SetAttributeValue(session, key, { ...subject, [CKA.LABEL]: "imported", [CKA.ID]: ID });
      const types = [CKA.LABEL, CKA.ID] as const;
      expect(await one.C_GetAttributeValue(session, key, types)).toEqual({ [CKA.LABEL]: "imported", [CKA.ID]: ID });
      const refused = refusal("ATTRIBUTE_READ_ONLY");
      await expect(one.C_SetAttributeValue(session, key, subject)).rejects.toMatchObject(refused);
    });
  });

  test("changes what a card can change, and no more", async () => {
    await using made = await writableRig();
    const { one } = made;
    const session = await made.session();
    await login(one, session);
    const object = await one.C_CreateObject(session, DATA);
    for (const [template, name] of [
      [{ [CKA.APPLICATION]: "x" }, "ATTRIBUTE_READ_ONLY"],
      [{ [CKA.CLASS]: CKO.DATA }, "ATTRIBUTE_READ_ONLY"],
      [{ [CKA.UNIQUE_ID]: "x" }, "ATTRIBUTE_READ_ONLY"],
      [{ [CKA.ID]: utf8("x") }, "TEMPLATE_INCONSISTENT"],
    ] as const) {
      await expect(one.C_SetAttributeValue(session, object, template)).rejects.toMatchObject(refusal(name));
    }
    expect(made.token.written).toHaveLength(1);
  });
});

test("an object of the card is copied into the session, and one of the session onto the card", async () => {
  await using made = await writableRig();
  const { one } = made;
  const session = await made.session();
  await login(one, session);
  const object = await one.C_CreateObject(session, DATA);
  const copy = await one.C_CopyObject(session, object, { [CKA.TOKEN]: false, [CKA.LABEL]: "copy" });
  const types = [CKA.TOKEN, CKA.LABEL, CKA.VALUE, CKA.APPLICATION];
  expect(await one.C_GetAttributeValue(session, copy, types)).toEqual({
    [CKA.TOKEN]: false,
    [CKA.LABEL]: "copy",
    [CKA.VALUE]: utf8("first"),
    [CKA.APPLICATION]: "test",
  });
  const back = await one.C_CopyObject(session, copy, { [CKA.TOKEN]: true });
  expect(await one.C_GetAttributeValue(session, back, types)).toMatchObject({ [CKA.TOKEN]: true, [CKA.LABEL]: "copy" });
  const ids = await Promise.all(
    [object, copy, back].map((each) => one.C_GetAttributeValue(session, each, [CKA.UNIQUE_ID])),
  );
  expect(new Set(ids.map((each) => each[CKA.UNIQUE_ID])).size).toBe(3);
});

test("a certificate is written into a PIV card by its officer; its public key and the card's contents are others then", async () => {
  const [card, source] = [await testCard(), await testCard()];
  await using from = await rig(source);
  const reading = await from.session(0);
  const VALUE = (
    await from.cryptoki.C_GetAttributeValue(reading, await from.object(reading, CKO.CERTIFICATE, 2), [CKA.VALUE])
  )[CKA.VALUE];
  await using made = await rig(card);
  const { cryptoki } = made;
  await using other = new Cryptoki({ slots: cryptoki.slots });
  await other.C_Initialize();
  const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
  const ID = Uint8Array.of(1);
  const publicKey = first(await find(other, theirs, { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: ID }));
  expect(await other.C_GetAttributeValue(theirs, publicKey, [CKA.KEY_TYPE])).toEqual({ [CKA.KEY_TYPE]: CKK.RSA });
  const old = first(await find(other, theirs, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: ID }));

  const session = await made.session();
  const template: Template = {
    [CKA.CLASS]: CKO.CERTIFICATE,
    [CKA.CERTIFICATE_TYPE]: CKC.X_509,
    [CKA.TOKEN]: true,
    [CKA.ID]: ID,
    [CKA.SUBJECT]: new Uint8Array(),
    [CKA.VALUE]: VALUE,
  };
  await expect(cryptoki.C_CreateObject(session, template)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  await cryptoki.C_Login(session, CKU.SO, "010203040506070801020304050607080102030405060708");
  const wrong = { ...template, [CKA.PUBLIC_KEY_INFO]: utf8("another key's") };
  await expect(cryptoki.C_CreateObject(session, wrong)).rejects.toMatchObject(refusal("TEMPLATE_INCONSISTENT"));
  // What the certificate tells itself: SunPKCS11 gives the bytes of the number alone.
  const told = { [CKA.ISSUER]: new Uint8Array(), [CKA.SERIAL_NUMBER]: Uint8Array.of(0x47, 0x11) };
  const written = await cryptoki.C_CreateObject(session, { ...template, ...told });
  expect(await cryptoki.C_GetAttributeValue(session, written, [CKA.VALUE])).toEqual({ [CKA.VALUE]: VALUE });
  const { [CKA.SERIAL_NUMBER]: serial } = await cryptoki.C_GetAttributeValue(session, written, [CKA.SERIAL_NUMBER]);
  expect(serial[0]).toBe(0x02);
  await expect(other.C_GetAttributeValue(theirs, old, [CKA.VALUE])).rejects.toMatchObject(
    refusal("OBJECT_HANDLE_INVALID"),
  );
  expect(await other.C_GetAttributeValue(theirs, publicKey, [CKA.KEY_TYPE])).toEqual({ [CKA.KEY_TYPE]: CKK.EC });
  await cryptoki.C_DestroyObject(session, written);
  expect(await find(other, theirs, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: ID })).toEqual([]);
});
