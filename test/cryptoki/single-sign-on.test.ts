import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKS, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { fake } from "./fake-rig.ts";
import { PIN, READER, refusal, rig, type Rig } from "./rig.ts";
import { FAKE } from "./two-pin-card.ts";

const VERIFY = /^00200080..(?!$)/u;
const verifications = (made: Rig): number => made.commands.filter((command) => VERIFY.test(command)).length;

/** Applications over the card of a rig, all with single sign-on. The rig's own has it not. */
async function circle(made: Rig, count: number): Promise<Cryptoki[]> {
  const all = Array.from({ length: count }, () => new Cryptoki({ slots: made.cryptoki.slots, singleSignOn: true }));
  for (const one of all) await one.C_Initialize();
  return all;
}

const open = (cryptoki: Cryptoki, flags: number = CKF.RW_SESSION): Promise<number> =>
  cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION | flags);

const state = async (cryptoki: Cryptoki, session: number): Promise<number> =>
  (await cryptoki.C_GetSessionInfo(session)).state;

async function privateKeys(cryptoki: Cryptoki, session: number): Promise<number[]> {
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
  const found = await cryptoki.C_FindObjects(session);
  await cryptoki.C_FindObjectsFinal(session);
  return found;
}

async function sign(cryptoki: Cryptoki, session: number): Promise<number> {
  const [key = 0] = await privateKeys(cryptoki, session);
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  return (await cryptoki.C_Sign(session, utf8("data"))).length;
}

describe("single sign-on", () => {
  test("lets a second application use the keys, also one whose session was open before", async () => {
    await using made = await rig(await testCard());
    const [one, other, late] = await circle(made, 3);
    if (!one || !other || !late) throw new Error("three");
    const theirs = await open(other, 0);
    expect(await privateKeys(other, theirs)).toEqual([]);
    await one.C_Login(await open(one), CKU.USER, PIN);
    expect(await state(other, theirs)).toBe(CKS.RO_USER_FUNCTIONS);
    expect(await sign(other, theirs)).toBe(256);
    const lateSession = await open(late);
    expect(await state(late, lateSession)).toBe(CKS.RW_USER_FUNCTIONS);
    expect(await sign(late, lateSession)).toBe(256);
    expect(verifications(made)).toBe(1);
    for (const cryptoki of [one, other, late]) await cryptoki.C_Finalize();
  });

  test("is for those who ask for it: another application of the process neither gives nor gets a login", async () => {
    await using made = await rig(await testCard());
    const [one] = await circle(made, 1);
    if (!one) throw new Error("one");
    await using closing = one;
    const outside = await made.session();
    const inside = await open(closing);
    await one.C_Login(inside, CKU.USER, PIN);
    expect(await state(made.cryptoki, outside)).toBe(CKS.RW_PUBLIC_SESSION);
    expect(await privateKeys(made.cryptoki, outside)).toEqual([]);
    await one.C_Logout(inside);
    await made.cryptoki.C_Login(outside, CKU.USER, PIN);
    const again = await open(one);
    expect(await state(one, again)).toBe(CKS.RW_PUBLIC_SESSION);
    await one.C_CloseAllSessions(0);
    expect(await state(one, await open(one))).toBe(CKS.RW_PUBLIC_SESSION);
  });

  test("a login stays with those who have it, and the card forgets the PIN with the last", async () => {
    await using made = await rig(await testCard());
    const [one, other] = await circle(made, 2);
    if (!one || !other) throw new Error("two");
    const mine = await open(one);
    const theirs = await open(other);
    await one.C_Login(mine, CKU.USER, PIN);
    expect(await sign(other, theirs)).toBe(256);
    await one.C_Logout(mine);
    expect(await sign(other, theirs)).toBe(256);
    // Who logged out is out, though another one is in.
    expect(await state(one, mine)).toBe(CKS.RW_PUBLIC_SESSION);
    expect(await privateKeys(one, mine)).toEqual([]);
    const forgotten = "00200080ff".length;
    made.commands.length = 0;
    await other.C_CloseSession(theirs);
    expect(made.commands.some((command) => command.startsWith("0020ff80") && command.length <= forgotten)).toBe(true);
    expect(await state(other, await open(other))).toBe(CKS.RW_PUBLIC_SESSION);
    await one.C_Finalize();
    await other.C_Finalize();
  });

  test.each(["logout", "closing the session", "finalising"])(
    "a login stays with those who have a session, though they made no call in it: %s of the first",
    async (how) => {
      await using made = await rig(await testCard());
      const [one, other, out] = await circle(made, 3);
      if (!one || !other || !out) throw new Error("three");
      const [before, left] = [await open(other), await open(out)];
      const mine = await open(one);
      await one.C_Login(mine, CKU.USER, PIN);
      await out.C_Logout(left);
      const after = await open(other);
      if (how === "logout") await one.C_Logout(mine);
      else if (how === "finalising") await one.C_Finalize();
      else await one.C_CloseSession(mine);
      expect(await state(other, before)).toBe(CKS.RW_USER_FUNCTIONS);
      expect(await sign(other, after)).toBe(256);
      // Who has logged out stays out, and so does an application without single sign-on.
      expect(await state(out, left)).toBe(CKS.RW_PUBLIC_SESSION);
      expect(await state(made.cryptoki, await made.session())).toBe(CKS.RW_PUBLIC_SESSION);
      // The last one ends it for all.
      await other.C_Logout(before);
      expect(await state(other, after)).toBe(CKS.RW_PUBLIC_SESSION);
      if (how === "finalising") await one.C_Initialize();
      expect(await state(one, await open(one))).toBe(CKS.RW_PUBLIC_SESSION);
      for (const cryptoki of [one, other, out]) await cryptoki.C_Finalize();
    },
  );

  test("who closed all sessions comes back into what others share", async () => {
    await using made = await rig(await testCard());
    const [one, other] = await circle(made, 2);
    if (!one || !other) throw new Error("two");
    const theirs = await open(other);
    await one.C_Login(await open(one), CKU.USER, PIN);
    await other.C_Logout(theirs);
    expect(await state(other, await open(other))).toBe(CKS.RW_PUBLIC_SESSION);
    await other.C_CloseAllSessions(0);
    expect(await state(other, await open(other))).toBe(CKS.RW_USER_FUNCTIONS);
    await one.C_Finalize();
    await other.C_Finalize();
  });

  test("C_Login compares the PIN all the same", async () => {
    await using made = await rig(await testCard());
    const [one, other] = await circle(made, 2);
    if (!one || !other) throw new Error("two");
    const theirs = await open(other);
    await one.C_Login(await open(one), CKU.USER, PIN);
    await expect(other.C_Login(theirs, CKU.USER, "999999")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await other.C_Login(theirs, CKU.USER, PIN);
    await expect(other.C_Login(theirs, CKU.USER, PIN)).rejects.toMatchObject(refusal("USER_ALREADY_LOGGED_IN"));
    expect(await sign(other, theirs)).toBe(256);
    await one.C_Finalize();
    await other.C_Finalize();
  });

  test("ends for all with C_Reinitialize, a reset and a removal", async () => {
    for (const end of ["reinitialize", "reset", "removal"] as const) {
      await using made = await rig(await testCard());
      const [one, other] = await circle(made, 2);
      if (!one || !other) throw new Error("two");
      const mine = await open(one);
      const theirs = await open(other);
      await one.C_Login(mine, CKU.USER, PIN);
      expect(await state(other, theirs)).toBe(CKS.RW_USER_FUNCTIONS);
      if (end === "reinitialize") await other.C_Reinitialize(0);
      if (end === "removal") {
        made.readers.eject(READER);
        await one.C_WaitForSlotEvent(0);
        made.insert(await testCard());
        await one.C_WaitForSlotEvent(0);
      }
      if (end === "reset") {
        const program = await made.readers.client().connect(READER);
        await program.reconnect(1);
        await program.disconnect();
        await other.C_GetTokenInfo(0);
        // The sessions stay; no user is logged in.
        expect([await state(one, mine), await state(other, theirs)]).toEqual([
          CKS.RW_PUBLIC_SESSION,
          CKS.RW_PUBLIC_SESSION,
        ]);
        // One who logs in again lets the others in again.
        await other.C_Login(theirs, CKU.USER, PIN);
        expect(await state(one, mine)).toBe(CKS.RW_USER_FUNCTIONS);
        expect(await sign(one, mine)).toBe(256);
      } else {
        for (const cryptoki of [one, other])
          expect(await state(cryptoki, await open(cryptoki))).toBe(CKS.RW_PUBLIC_SESSION);
      }
      await one.C_Finalize();
      await other.C_Finalize();
    }
  });

  test("ends for all when the card turns out to have forgotten the PIN", async () => {
    await using made = await rig(await testCard());
    const [one, other] = await circle(made, 2);
    if (!one || !other) throw new Error("two");
    const mine = await open(one);
    const theirs = await open(other);
    await one.C_Login(mine, CKU.USER, PIN);
    expect(await state(other, theirs)).toBe(CKS.RW_USER_FUNCTIONS);
    // Another program's wrong PIN undoes the right one.
    const program = await made.readers.client().connect(READER);
    await program.transmit(Buffer.from("0020008008393939393939ffff", "hex"));
    await program.disconnect();
    await expect(sign(other, theirs)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    expect(await state(other, theirs)).toBe(CKS.RW_PUBLIC_SESSION);
    await one.C_Finalize();
    await other.C_Finalize();
  });

  test("is for the user: the security officer's login is not shared", async () => {
    await using made = await fake({}, { pinLabel: "PIN1" }, { pinLabel: "PIN2" });
    const one = new Cryptoki({ slots: made.cryptoki.slots, singleSignOn: true });
    const other = new Cryptoki({ slots: made.cryptoki.slots, singleSignOn: true });
    await one.C_Initialize();
    await other.C_Initialize();
    const mine = await open(one);
    const theirs = await open(other);
    await one.C_Login(mine, CKU.SO, FAKE.SO_PIN);
    expect(await state(one, mine)).toBe(CKS.RW_SO_FUNCTIONS);
    expect(await state(other, theirs)).toBe(CKS.RW_PUBLIC_SESSION);
    // And of two tokens of a card each has its own.
    await one.C_Logout(mine);
    await one.C_Login(mine, CKU.USER, "PIN1");
    expect(await state(other, theirs)).toBe(CKS.RW_USER_FUNCTIONS);
    expect(await other.C_GetSlotList(true)).toEqual([0, 1]);
    const second = await other.C_OpenSession(1, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    expect(await state(other, second)).toBe(CKS.RW_PUBLIC_SESSION);
    await expect(other.C_Login(theirs, CKU.SO, FAKE.SO_PIN)).rejects.toMatchObject(
      refusal("USER_ANOTHER_ALREADY_LOGGED_IN"),
    );
    await one.C_Finalize();
    await other.C_Finalize();
  });

  test("leaves the PIN of keys that want it each time to each application", async () => {
    await using made = await rig(await testCard());
    const [one, other] = await circle(made, 2);
    if (!one || !other) throw new Error("two");
    const theirs = await open(other);
    await one.C_Login(await open(one), CKU.USER, PIN);
    await other.C_FindObjectsInit(theirs, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(2) });
    const [key = 0] = await other.C_FindObjects(theirs);
    await other.C_FindObjectsFinal(theirs);
    const { [CKA.ALWAYS_AUTHENTICATE]: always } = await other.C_GetAttributeValue(theirs, key, [
      CKA.ALWAYS_AUTHENTICATE,
    ]);
    expect(always).toBe(true);
    await other.C_SignInit(theirs, { mechanism: CKM.ECDSA_SHA256 }, key);
    await expect(other.C_Sign(theirs, utf8("data"))).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await one.C_Finalize();
    await other.C_Finalize();
  });
});
