/** What one application has read of a card, the others know: an exchange is made once while the card is in. */
import { createPublicKey } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import type { CardObject } from "../../src/card/index.ts";
import { CKA, CKF, CKO, CKU, Cryptoki, type CryptokiError } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { first, PIN, rig } from "./rig.ts";
import { find, type WritableRig, writableRig } from "./writable-card.ts";

const PUBLIC = new Uint8Array(createPublicKey(testKey("p-256", "9a")).export({ type: "spki", format: "der" }));
const COMMON = { label: "mine", private: false, isPresent: () => Promise.resolve(true), modifiable: true } as const;

/** Everything that an application can see of a card, but for the object that is read anew each time, so that it sees what others write. */
async function seeAll(cryptoki: Cryptoki, session: number): Promise<readonly string[]> {
  const seen: string[] = [];
  const [count] = await find(cryptoki, session, { [CKA.LABEL]: "UpdateCount" });
  for (const object of await find(cryptoki, session, {})) {
    if (object === count) continue;
    for (const type of [CKA.CLASS, CKA.LABEL, CKA.ID, CKA.VALUE, CKA.SUBJECT, CKA.MODULUS, CKA.PUBLIC_KEY_INFO]) {
      const value = await cryptoki
        .C_GetAttributeValue(session, object, [type])
        .catch((error: unknown) => (error as CryptokiError).name);
      seen.push(JSON.stringify(value));
    }
  }
  return seen;
}

test.each(["PIV", "PIV with extended APDUs"])(
  "a second application sees all of a %s card without an exchange",
  async (name) => {
    await using made = await rig(await testCard({ extended: name !== "PIV" }), profiles);
    const session = await made.session();
    const seen = await seeAll(made.cryptoki, session);
    expect(seen.length).toBeGreaterThan(50);
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const used = await made.count(async () => {
      const theirs = await other.C_OpenSession(first(await other.C_GetSlotList(true)), CKF.SERIAL_SESSION);
      expect(await seeAll(other, theirs)).toEqual(seen);
    });
    expect(used).toBe(0);
  },
);

/** Puts objects on the card that count how often they are read. */
function counting(made: WritableRig, isPrivate = false): () => number {
  let count = 0;
  const read =
    <T>(value: T): (() => Promise<T>) =>
    () => {
      count++;
      return Promise.resolve(value);
    };
  const common = { ...COMMON, private: isPrivate };
  const usage = { sign: true, decrypt: true, derive: true };
  const objects: readonly CardObject[] = [
    { ...common, reference: "data", id: new Uint8Array(), class: "data", application: "", value: read(utf8("value")) },
    { ...common, reference: "public", id: Uint8Array.of(1), class: "public-key", usage, publicKey: read(PUBLIC) },
  ];
  for (const object of objects) made.token.kept.set(object.reference, object);
  return () => count;
}

describe("objects of one card", () => {
  test("are read once for all applications, each with handles of its own", async () => {
    await using made = await writableRig();
    const reads = counting(made);
    const seen = await seeAll(made.one, await made.session());
    const before = reads();
    expect(before).toBe(2);
    const theirs = await made.session(made.other);
    await made.other.C_CreateObject(theirs, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "of the session" });
    const of = { [CKA.TOKEN]: true };
    expect(await find(made.other, theirs, of)).not.toEqual(await find(made.one, await made.session(), of));
    expect(await seeAll(made.other, await made.session(made.other))).toEqual(expect.arrayContaining([...seen]));
    expect(reads()).toBe(before);
  });

  test("are read again by all once one application has changed them", async () => {
    await using made = await writableRig();
    counting(made);
    const [mine, theirs] = [await made.session(), await made.session(made.other)];
    const wanted = { [CKA.CLASS]: CKO.DATA, [CKA.TOKEN]: true, [CKA.LABEL]: "mine" };
    const object = first(await find(made.one, mine, wanted));
    const other = first(await find(made.other, theirs, wanted));
    await made.other.C_GetAttributeValue(theirs, other, [CKA.VALUE]);
    await made.one.C_Login(mine, CKU.USER, PIN);
    await made.one.C_SetAttributeValue(mine, object, { [CKA.VALUE]: utf8("changed") });
    expect(await made.other.C_GetAttributeValue(theirs, other, [CKA.VALUE])).toEqual({ [CKA.VALUE]: utf8("changed") });
  });

  test("that are private are forgotten when the last application logs out", async () => {
    await using made = await writableRig();
    const reads = counting(made, true);
    const [mine, theirs] = [await made.session(), await made.session(made.other)];
    await made.one.C_Login(mine, CKU.USER, PIN);
    await made.other.C_Login(theirs, CKU.USER, PIN);
    await seeAll(made.one, mine);
    await made.one.C_Logout(mine);
    await seeAll(made.other, theirs);
    expect(reads()).toBe(2);
    await made.other.C_Logout(theirs);
    await made.other.C_Login(theirs, CKU.USER, PIN);
    await seeAll(made.other, theirs);
    expect(reads()).toBe(4);
  });

  test("are read again after a write that was abandoned", async () => {
    await using made = await writableRig();
    const reads = counting(made);
    const mine = await made.session();
    await made.one.C_Login(mine, CKU.USER, PIN);
    const object = first(await find(made.one, mine, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "mine" }));
    await made.one.C_GetAttributeValue(mine, object, [CKA.VALUE]);
    const stop = new AbortController();
    Object.defineProperty(made.token, "setAttributes", {
      value: () => {
        const now = made.token.kept.get("data");
        if (now?.class !== "data") throw new Error("no data");
        made.token.kept.set("data", { ...now, label: "late", value: () => Promise.resolve(utf8("late")) });
        stop.abort();
        return Promise.reject(new Error("not waited for"));
      },
    });
    await expect(
      made.one.C_SetAttributeValue(mine, object, { [CKA.LABEL]: "late" }, { signal: stop.signal }),
    ).rejects.toMatchObject({ code: "CKR_FUNCTION_CANCELED" });
    expect(await find(made.one, mine, { [CKA.LABEL]: "late" })).toEqual([object]);
    expect(await made.one.C_GetAttributeValue(mine, object, [CKA.VALUE])).toEqual({ [CKA.VALUE]: utf8("late") });
    expect(reads()).toBe(1);
  });

  test("a failure is not shared: the next application asks again", async () => {
    await using made = await writableRig();
    let failures = 1;
    made.token.kept.set("data", {
      ...COMMON,
      reference: "data",
      id: new Uint8Array(),
      class: "data",
      application: "",
      value: () => (failures-- > 0 ? Promise.reject(new Error("the driver of the reader")) : Promise.resolve(PUBLIC)),
    });
    const [mine, theirs] = [await made.session(), await made.session(made.other)];
    const [object = 0] = await find(made.one, mine, { [CKA.LABEL]: "mine" });
    await expect(made.one.C_GetAttributeValue(mine, object, [CKA.VALUE])).rejects.toThrow("the driver of the reader");
    const [other = 0] = await find(made.other, theirs, { [CKA.LABEL]: "mine" });
    expect(await made.other.C_GetAttributeValue(theirs, other, [CKA.VALUE])).toEqual({ [CKA.VALUE]: PUBLIC });
  });
});
