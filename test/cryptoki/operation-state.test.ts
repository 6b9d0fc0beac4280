import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import { CKF, CKM, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, refusal, rig, settled } from "./rig.ts";

const HASH = { mechanism: CKM.SHA256 };
const HEAD = utf8("what they have in common, ");
const digestOf = (...parts: Uint8Array[]): Uint8Array =>
  new Uint8Array(
    createHash("sha256")
      .update(concat(...parts))
      .digest(),
  );

describe("a digest that is saved", () => {
  test("goes on from there, as often as it is restored, in any session of the token that is in the same state", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    await cryptoki.C_DigestInit(session, HASH);
    await cryptoki.C_DigestUpdate(session, HEAD);
    const state = await cryptoki.C_GetOperationState(session);
    const other = await made.session();
    for (const [where, word] of [
      [other, "one"],
      [session, "two"],
      [session, "three"],
    ] as const) {
      await cryptoki.C_SetOperationState(where, state, 0, 0);
      await cryptoki.C_DigestUpdate(where, utf8(word));
      expect(await cryptoki.C_DigestFinal(where)).toEqual(digestOf(HEAD, utf8(word)));
    }
  });

  test("is left as it is by saving it", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    await cryptoki.C_DigestInit(session, HASH);
    await cryptoki.C_DigestUpdate(session, HEAD);
    await cryptoki.C_GetOperationState(session);
    expect(await cryptoki.C_DigestFinal(session)).toEqual(digestOf(HEAD));
  });

  test("means nothing when it was changed, or to another application, and ends nothing then", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    await cryptoki.C_DigestInit(session, HASH);
    const state = await cryptoki.C_GetOperationState(session);
    await cryptoki.C_DigestUpdate(session, HEAD);
    for (const wrong of [new Uint8Array(), state.slice(1), state.map((byte) => byte ^ 1)]) {
      await expect(cryptoki.C_SetOperationState(session, wrong, 0, 0)).rejects.toMatchObject(
        refusal("SAVED_STATE_INVALID"),
      );
    }
    for (const [encryption, authentication] of [
      [1, 0],
      [0, 1],
    ] as const) {
      await expect(cryptoki.C_SetOperationState(session, state, encryption, authentication)).rejects.toMatchObject(
        refusal("KEY_NOT_NEEDED"),
      );
    }
    expect(await cryptoki.C_DigestFinal(session)).toEqual(digestOf(HEAD));
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const [slot = 0] = await other.C_GetSlotList(true);
    const elsewhere = await other.C_OpenSession(slot, 4);
    await expect(other.C_SetOperationState(elsewhere, state, 0, 0)).rejects.toMatchObject(
      refusal("SAVED_STATE_INVALID"),
    );
  });
});

test("a digest that was saved does not go on in another state of a session, or with another token", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  await cryptoki.C_DigestInit(session, HASH);
  const state = await cryptoki.C_GetOperationState(session);
  made.readers.plug("Other Reader");
  made.insert(await testCard(), "Other Reader");
  await settled();
  const [, otherSlot = 0] = await cryptoki.C_GetSlotList(true);
  const elsewhere = await cryptoki.C_OpenSession(otherSlot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
  for (const wrong of [await made.session(0), elsewhere]) {
    await expect(cryptoki.C_SetOperationState(wrong, state, 0, 0)).rejects.toMatchObject(
      refusal("SAVED_STATE_INVALID"),
    );
  }
  await cryptoki.C_Login(session, CKU.USER, PIN);
  await expect(cryptoki.C_SetOperationState(session, state, 0, 0)).rejects.toMatchObject(
    refusal("SAVED_STATE_INVALID"),
  );
});

test("nothing else is saved", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, await made.privateKey(session, 1));
  await expect(cryptoki.C_GetOperationState(session)).rejects.toMatchObject(refusal("STATE_UNSAVEABLE"));
  await cryptoki.C_DigestInit(session, HASH);
  await expect(cryptoki.C_GetOperationState(session)).rejects.toMatchObject(refusal("STATE_UNSAVEABLE"));
  expect(await cryptoki.C_Sign(session, HEAD)).toHaveLength(256);
  expect(await cryptoki.C_Digest(session, HEAD)).toEqual(digestOf(HEAD));
});

test("a search does not keep a digest from being saved, and has no state of its own", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  await cryptoki.C_FindObjectsInit(session, {});
  await cryptoki.C_SignRecoverInit(
    session,
    { mechanism: CKM.RSA_PKCS },
    await made.privateKey(await made.session(), 1),
  );
  await expect(cryptoki.C_GetOperationState(session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
  await cryptoki.C_DigestInit(session, HASH);
  await cryptoki.C_DigestUpdate(session, HEAD);
  const state = await cryptoki.C_GetOperationState(session);
  expect((await cryptoki.C_FindObjects(session)).length).toBeGreaterThan(0);
  await cryptoki.C_SetOperationState(session, state, 0, 0);
  expect(await cryptoki.C_DigestFinal(session)).toEqual(digestOf(HEAD));
  await expect(cryptoki.C_FindObjects(session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
});
