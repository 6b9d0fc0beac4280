/** UpdateCount of a PIV card: a value of its contents, read anew, the same for every process. */
import { describe, expect, test } from "@jest/globals";
import { fromUtf8, toHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKC, CKF, CKM, CKO, CKU } from "../../src/cryptoki/index.ts";
import type { VirtualPivCard } from "../../src/virtual/index.ts";
import { first, PIN, type Rig, rig } from "../cryptoki/rig.ts";
import { testCard, testKey } from "../virtual/keys.ts";

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";

async function count(made: Rig, session: number): Promise<string> {
  const object = first(await made.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "UpdateCount" }));
  return toHex((await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE]);
}

/** Another program's session, as security officer. */
async function officer(made: Rig): Promise<number> {
  const session = await made.session();
  await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
  return session;
}

async function twoPrograms(card: VirtualPivCard): Promise<AsyncDisposable & { one: Rig; other: Rig }> {
  // One card, two readers' worth of drivers: each has its own memory of the card.
  const [one, other] = [await rig(card), await rig(card)];
  return {
    one,
    other,
    [Symbol.asyncDispose]: async () => {
      await one[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    },
  };
}

const noCertificate = { "9d": null, "82": { privateKey: testKey("p-256", "82") } } as const;

async function certificateOf(made: Rig, session: number, id: number): Promise<string> {
  const object = await made.object(session, CKO.CERTIFICATE, id);
  return toHex((await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE]);
}

describe("UpdateCount of a PIV card that another program uses", () => {
  test.each([false, true])(
    "is the same while nothing changes, and for both (Yubico's commands: %j)",
    async (yubico) => {
      const card = await testCard({ yubico });
      await using programs = await twoPrograms(card);
      const { one, other } = programs;
      const session = await one.session();
      const before = await count(one, session);
      expect(before).toMatch(/^[0-9a-f]{24}$/u);
      expect(await count(one, session)).toBe(before);
      await one.cryptoki.C_Login(session, CKU.USER, PIN);
      await one.find(session, {});
      expect(await count(one, session)).toBe(before);
      expect(await count(other, await other.session())).toBe(before);
    },
  );

  test("differs when a certificate was written, which is shown from then on", async () => {
    await using programs = await twoPrograms(await testCard());
    const { one, other } = programs;
    const session = await one.session();
    const theirs = await officer(other);
    const before = await count(one, session);
    const [authentication, signature] = [await certificateOf(one, session, 1), await certificateOf(one, session, 2)];
    const value = Uint8Array.from(Buffer.from(signature, "hex"));
    const template = await one.object(session, CKO.CERTIFICATE, 2);
    const { [CKA.SUBJECT]: subject } = await one.cryptoki.C_GetAttributeValue(session, template, [CKA.SUBJECT]);
    const certificate = {
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.CERTIFICATE_TYPE]: CKC.X_509,
      [CKA.TOKEN]: true,
      [CKA.ID]: Uint8Array.of(1),
    } as const;
    await other.cryptoki.C_DestroyObject(theirs, await other.object(theirs, CKO.CERTIFICATE, 1));
    const without = await count(one, session);
    await other.cryptoki.C_CreateObject(theirs, { ...certificate, [CKA.SUBJECT]: subject, [CKA.VALUE]: value });
    expect(await certificateOf(one, session, 2)).toBe(signature);
    const after = await count(one, session);
    expect(new Set([before, without, after]).size).toBe(3);
    expect(await certificateOf(one, session, 1)).not.toBe(authentication);
    expect(await certificateOf(one, session, 1)).toBe(signature);
    expect(await count(other, theirs)).toBe(after);
    expect(await count(one, session)).toBe(after);
  });

  test("differs when a public data object was written", async () => {
    await using programs = await twoPrograms(await testCard());
    const { one, other } = programs;
    const session = await one.session();
    const before = await count(one, session);
    const theirs = await officer(other);
    await other.cryptoki.C_CreateObject(theirs, {
      [CKA.CLASS]: CKO.DATA,
      [CKA.TOKEN]: true,
      [CKA.LABEL]: "Card Capability Container",
      [CKA.APPLICATION]: "PIV",
      [CKA.VALUE]: utf8("written"),
    });
    const after = await count(one, session);
    expect(after).not.toBe(before);
    expect(await count(other, theirs)).toBe(after);
    const [object] = await one.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "Card Capability Container" });
    const values = await one.cryptoki.C_GetAttributeValue(session, object ?? 0, [CKA.VALUE]);
    expect(fromUtf8(values[CKA.VALUE])).toContain("written");
  });

  test("differs when a key was made, on a card that tells of its keys; the key is shown", async () => {
    await using programs = await twoPrograms(await testCard({ yubico: true, keys: noCertificate }));
    const { one, other } = programs;
    const session = await one.session();
    const before = await count(one, session);
    const point = async (id: number): Promise<string> => {
      const key = await one.publicKey(session, id);
      return toHex((await one.cryptoki.C_GetAttributeValue(session, key, [CKA.EC_POINT]))[CKA.EC_POINT]);
    };
    const old = await point(2);
    const theirs = await officer(other);
    for (const id of [2, 3]) {
      await other.cryptoki.C_GenerateKeyPair(
        theirs,
        { mechanism: CKM.EC_KEY_PAIR_GEN },
        {
          [CKA.TOKEN]: true,
          [CKA.ID]: Uint8Array.of(id),
          [CKA.EC_PARAMS]: Uint8Array.from(Buffer.from("06082a8648ce3d030107", "hex")),
        },
        { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(id) },
      );
    }
    const after = await count(one, session);
    expect(after).not.toBe(before);
    expect(await count(other, theirs)).toBe(after);
    expect(await point(2)).not.toBe(old);
    expect(await one.find(session, { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.ID]: Uint8Array.of(3) })).toHaveLength(1);
  });

  test("a key that this process alone knows of counts until its certificate is there", async () => {
    await using programs = await twoPrograms(await testCard());
    const { one, other } = programs;
    const session = await officer(one);
    const before = await count(one, session);
    await one.cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      {
        [CKA.TOKEN]: true,
        [CKA.ID]: Uint8Array.of(3),
        [CKA.EC_PARAMS]: Uint8Array.from(Buffer.from("06082a8648ce3d030107", "hex")),
      },
      { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(3) },
    );
    expect(await count(one, session)).not.toBe(before);
    expect(await count(other, await other.session())).toBe(before);
  });

  test("nothing is read for those who do not ask", async () => {
    await using made = await rig(await testCard());
    const session = await made.session(CKF.RW_SESSION);
    expect(await made.count(() => made.find(session, { [CKA.LABEL]: "UpdateCount" }))).toBe(0);
  });
});
