import { describe, expect, test } from "@jest/globals";
import { fromUtf8, toHex } from "../../src/bytes/index.ts";
import { CKA, CKF, CKH, CKO, CKP, CKU, type Cryptoki } from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { first, PIN, refusal, rig, type Rig } from "./rig.ts";
import { find, writableRig } from "./writable-card.ts";

async function valueOf(cryptoki: Cryptoki, session: number, label: string): Promise<Uint8Array> {
  const object = first(await find(cryptoki, session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: label }));
  return (await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE];
}

describe("the data objects of every token", () => {
  test("tell in full what CK_TOKEN_INFO cuts off, under the names of who defines them", async () => {
    await using made = await writableRig();
    const { one } = made;
    const session = await made.session();
    const shown = new Map<string, string>();
    for (const object of await find(one, session, { [CKA.CLASS]: CKO.DATA })) {
      const values = await one.C_GetAttributeValue(session, object, [CKA.LABEL, CKA.APPLICATION, CKA.PRIVATE]);
      expect(values[CKA.PRIVATE]).toBe(false);
      shown.set(values[CKA.LABEL], values[CKA.APPLICATION]);
    }
    expect(Object.fromEntries(shown)).toEqual({
      TokenSerialNumber: "PKCS #15",
      ATR: "PKCS #15",
      TokenLabel: "Net iD",
      UpdateCount: "Net iD",
    });
    expect(fromUtf8(await valueOf(one, session, "TokenSerialNumber"))).toBe("12345678901234567890");
    expect(fromUtf8(await valueOf(one, session, "TokenLabel"))).toBe(
      "A token with a name that is longer than a label may be",
    );
    expect(toHex(await valueOf(one, session, "ATR"))).toBe("3b00");
  });

  test("cost no exchange unless they are read", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    expect(
      await made.count(async () => {
        for (const label of ["TokenSerialNumber", "ATR", "TokenLabel", "UpdateCount"]) {
          const object = first(await made.find(session, { [CKA.LABEL]: label }));
          await cryptoki.C_GetAttributeValue(session, object, [CKA.CLASS, CKA.TOKEN, CKA.LABEL]);
        }
        await valueOf(cryptoki, session, "ATR").catch(() => undefined);
        await made.find(session, { [CKA.CLASS]: CKO.PROFILE });
        await made.find(session, { [CKA.CLASS]: CKO.MECHANISM });
      }),
    ).toBe(0);
  });

  test.each([
    [
      "PIV",
      () => testCard(),
      /CKA_VALUE of TokenLabel cannot be changed: the label of a PIV card is made from its serial number/u,
    ],
  ])("of a %s card say why the label stays, before any login and exchange", async (_, card, why) => {
    await using made = await rig(await card());
    const session = await made.session();
    const object = first(await made.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "TokenLabel" }));
    const change = (): Promise<void> =>
      made.cryptoki.C_SetAttributeValue(session, object, { [CKA.VALUE]: Uint8Array.of(0x41) });
    await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]);
    const cost = await made.count(() =>
      expect(change()).rejects.toMatchObject({
        ...refusal("ATTRIBUTE_READ_ONLY"),
        message: expect.stringMatching(why),
      }),
    );
    expect(cost).toBe(0);
  });

  test("are not to be copied or destroyed", async () => {
    await using made = await writableRig();
    const { one } = made;
    const session = await made.session();
    await one.C_Login(session, CKU.USER, PIN);
    const object = first(await find(one, session, { [CKA.LABEL]: "TokenLabel" }));
    const prohibited = refusal("ACTION_PROHIBITED");
    await expect(one.C_CopyObject(session, object, {})).rejects.toMatchObject(prohibited);
    await expect(one.C_DestroyObject(session, object)).rejects.toMatchObject(prohibited);
  });
});

describe("UpdateCount", () => {
  const template = {
    [CKA.CLASS]: CKO.DATA,
    [CKA.TOKEN]: true,
    [CKA.PRIVATE]: true,
    [CKA.LABEL]: "note",
  } as const;

  test.each([{ counts: true }, { counts: false }])("differs after every change, where %j", async (options) => {
    await using made = await writableRig(options);
    const { one, other } = made;
    const session = await made.session(one);
    const theirs = await made.session(other);
    await one.C_Login(session, CKU.USER, PIN);
    const seen = [await valueOf(other, theirs, "UpdateCount")];
    expect(await valueOf(one, session, "UpdateCount")).toEqual(seen[0]);
    const object = await one.C_CreateObject(session, template);
    seen.push(await valueOf(other, theirs, "UpdateCount"));
    await one.C_SetAttributeValue(session, object, { [CKA.VALUE]: Uint8Array.of(1) });
    seen.push(await valueOf(other, theirs, "UpdateCount"));
    await one.C_DestroyObject(session, object);
    seen.push(await valueOf(other, theirs, "UpdateCount"));
    expect(new Set(seen.map((value) => toHex(value))).size).toBe(4);
  });

  test("is the same for the same card in another process, and another for another card", async () => {
    const read = async (made: Rig): Promise<string> =>
      toHex(await valueOf(made.cryptoki, await made.session(0), "UpdateCount"));
    const card = await testCard();
    await using one = await rig(card);
    const before = await read(one);
    card.reset();
    await using again = await rig(card);
    expect(await read(again)).toBe(before);
    await using another = await rig(await testCard());
    expect(await read(another)).not.toBe(before);
  });
});

describe("profile objects", () => {
  test("are those whose conditions the token meets", async () => {
    await using made = await rig(await testCard());
    const session = await made.session(0);
    const found = await made.find(session, { [CKA.CLASS]: CKO.PROFILE, [CKA.TOKEN]: true });
    const ids = await Promise.all(
      found.map(
        async (object) => (await made.cryptoki.C_GetAttributeValue(session, object, [CKA.PROFILE_ID]))[CKA.PROFILE_ID],
      ),
    );
    expect(ids.sort()).toEqual([
      CKP.BASELINE_PROVIDER,
      CKP.EXTENDED_PROVIDER,
      CKP.AUTHENTICATION_TOKEN,
      CKP.PUBLIC_CERTIFICATES_TOKEN,
    ]);
  });

  test("do not promise signatures of a token that makes none, nor public certificates where one is private", async () => {
    await using made = await writableRig();
    const session = await made.session();
    const ids = async (): Promise<readonly number[]> =>
      (
        await Promise.all(
          (await find(made.one, session, { [CKA.CLASS]: CKO.PROFILE })).map((object) =>
            made.one.C_GetAttributeValue(session, object, [CKA.PROFILE_ID]),
          ),
        )
      ).map((values) => values[CKA.PROFILE_ID]);
    expect(await ids()).not.toContain(CKP.AUTHENTICATION_TOKEN);
    expect(await ids()).toContain(CKP.PUBLIC_CERTIFICATES_TOKEN);
    made.token.kept.set("hidden", {
      class: "certificate",
      reference: "hidden",
      label: "hidden",
      id: Uint8Array.of(1),
      private: true,
      isPresent: () => Promise.resolve(true),
      value: () => Promise.resolve(new Uint8Array()),
    });
    expect(await ids()).not.toContain(CKP.PUBLIC_CERTIFICATES_TOKEN);
  });
});

test("an object for each mechanism is found by its class alone, and no card has a hardware feature", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const slot = await made.slot();
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  const found = await made.find(session, { [CKA.CLASS]: CKO.MECHANISM });
  const types = await Promise.all(
    found.map(
      async (object) => (await cryptoki.C_GetAttributeValue(session, object, [CKA.MECHANISM_TYPE]))[CKA.MECHANISM_TYPE],
    ),
  );
  expect(types).toEqual(await cryptoki.C_GetMechanismList(slot));
  const all = await made.find(session, {});
  expect(all.filter((object) => found.includes(object))).toEqual([]);
  expect(await made.find(session, { [CKA.CLASS]: CKO.HW_FEATURE })).toEqual([]);
  expect(await made.find(session, { [CKA.HW_FEATURE_TYPE]: CKH.CLOCK })).toEqual([]);
});

test("every object has a CKA_UNIQUE_ID of its own, and is found by it", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  await cryptoki.C_CreateObject(session, { [CKA.CLASS]: CKO.DATA });
  await cryptoki.C_CreateObject(session, { [CKA.CLASS]: CKO.DATA });
  const objects = [
    ...(await made.find(session, {})),
    ...(await made.find(session, { [CKA.CLASS]: CKO.MECHANISM })),
    ...(await made.find(session, { [CKA.CLASS]: CKO.DATA })),
  ];
  const ids = new Map<string, number>();
  for (const object of new Set(objects)) {
    const { [CKA.UNIQUE_ID]: id } = await cryptoki.C_GetAttributeValue(session, object, [CKA.UNIQUE_ID]);
    expect(ids.has(id)).toBe(false);
    ids.set(id, object);
  }
  for (const [id, object] of [...ids].slice(0, 25)) {
    const { [CKA.CLASS]: objectClass } = await cryptoki.C_GetAttributeValue(session, object, [CKA.CLASS]);
    expect(await made.find(session, { [CKA.UNIQUE_ID]: id, [CKA.CLASS]: objectClass })).toEqual([object]);
  }
});
