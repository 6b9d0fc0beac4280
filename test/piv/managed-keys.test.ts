import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { CKA, CKF, CKM, CKO, Cryptoki, CKU, type Template } from "../../src/cryptoki/index.ts";
import { first, refusal, type Rig, rig } from "../cryptoki/rig.ts";
import { testCard, testKey } from "../virtual/keys.ts";

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const NO_KEYS = { "9a": null, "9c": null, "9d": null, "9e": null };
const P_256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);

/** A YubiKey with a key in 9A and another in 9D, and its officer's session. */
async function officer(): Promise<Rig & { readonly officers: number }> {
  const keys = {
    ...NO_KEYS,
    "9a": { privateKey: testKey("p-256", "9a") },
    "9d": { privateKey: testKey("p-256", "9d") },
  };
  const made = await rig(await testCard({ yubico: true, keys }));
  const session = await made.session();
  await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
  return Object.assign(made, { officers: session });
}

const key = (id: number): Template => ({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(id) });

describe("the officer of a YubiKey", () => {
  test("sees the private keys, and uses none", async () => {
    await using made = await officer();
    const session = made.officers;
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(2);
    const handle = first(await made.find(session, key(1)));
    expect(await made.cryptoki.C_GetAttributeValue(session, handle, [CKA.PRIVATE, CKA.DESTROYABLE])).toEqual({
      [CKA.PRIVATE]: true,
      [CKA.DESTROYABLE]: true,
    });
    await expect(made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, handle)).rejects.toMatchObject(
      refusal("USER_NOT_LOGGED_IN"),
    );
    await made.cryptoki.C_Logout(session);
    await expect(made.cryptoki.C_GetAttributeValue(session, handle, [CKA.LABEL])).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
  });

  test("sees no private data, though another application's user does", async () => {
    await using made = await officer();
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    await other.C_Login(theirs, CKU.USER, "123456");
    const wanted = { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "Printed Information" };
    await other.C_FindObjectsInit(theirs, wanted);
    expect(await other.C_FindObjects(theirs)).toHaveLength(1);
    expect(await made.find(made.officers, wanted)).toEqual([]);
  });

  test("destroys a key, whose certificate stays", async () => {
    await using made = await officer();
    const session = made.officers;
    const handle = first(await made.find(session, key(1)));
    await made.cryptoki.C_DestroyObject(session, handle);
    expect(await made.find(session, key(1))).toEqual([]);
    await expect(made.cryptoki.C_DestroyObject(session, handle)).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
    const certificates = await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(1) });
    expect(certificates).toHaveLength(1);
    await made.cryptoki.C_Logout(session);
    await made.cryptoki.C_Login(session, CKU.USER, "123456");
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(1);
  });

  test("moves a key by its CKA_ID, and it signs in its new place", async () => {
    await using made = await officer();
    const session = made.officers;
    const { cryptoki } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    await other.C_Login(theirs, CKU.USER, "123456");
    await other.C_FindObjectsInit(theirs, key(1));
    const [same = 0] = await other.C_FindObjects(theirs);
    const before = first(await made.find(session, key(1)));
    await cryptoki.C_SetAttributeValue(session, before, { [CKA.ID]: Uint8Array.of(2) });
    // It is the same object, in every application.
    expect(await cryptoki.C_GetAttributeValue(session, before, [CKA.ID])).toEqual({ [CKA.ID]: Uint8Array.of(2) });
    expect(await made.find(session, key(2))).toEqual([before]);
    expect(await made.find(session, key(1))).toEqual([]);
    expect(await other.C_GetAttributeValue(theirs, same, [CKA.ID])).toEqual({ [CKA.ID]: Uint8Array.of(2) });
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, "123456");
    const moved = await made.privateKey(session, 2);
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, moved);
    const signature = await cryptoki.C_Sign(session, new Uint8Array(32).fill(7));
    await cryptoki.C_VerifyInit(session, { mechanism: CKM.ECDSA }, await made.publicKey(session, 2));
    await cryptoki.C_Verify(session, new Uint8Array(32).fill(7), signature);
  });

  test("overwrites no key by that, renames none, and copies none", async () => {
    await using made = await officer();
    const session = made.officers;
    const { cryptoki } = made;
    const handle = first(await made.find(session, key(1)));
    for (const [template, reason] of [
      [{ [CKA.ID]: Uint8Array.of(3) }, /a key in 9D already/u],
      [{ [CKA.ID]: Uint8Array.of(0x20) }, /CKA_ID 01 to 18/u],
      [{ [CKA.LABEL]: "mine" }, /are fixed/u],
      [{ [CKA.ID]: Uint8Array.of(5), [CKA.LABEL]: "mine" }, /are fixed/u],
    ] as const) {
      await expect(cryptoki.C_SetAttributeValue(session, handle, template)).rejects.toMatchObject({
        ...refusal("TEMPLATE_INCONSISTENT"),
        message: expect.stringMatching(reason),
      });
    }
    await expect(cryptoki.C_CopyObject(session, handle, { [CKA.ID]: Uint8Array.of(5) })).rejects.toMatchObject(
      refusal("ACTION_PROHIBITED"),
    );
    expect(made.commands.some((command) => command.startsWith("00f6"))).toBe(false);
  });

  test("has a user who changes nothing", async () => {
    await using made = await officer();
    const session = made.officers;
    await made.cryptoki.C_Logout(session);
    await made.cryptoki.C_Login(session, CKU.USER, "123456");
    const handle = await made.privateKey(session, 1);
    const move = made.cryptoki.C_SetAttributeValue(session, handle, { [CKA.ID]: Uint8Array.of(5) });
    await expect(move).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await expect(made.cryptoki.C_DestroyObject(session, handle)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  });
});

describe("attestations", () => {
  const LABEL = "X.509 Certificate for PIV Attestation";

  async function certificate(made: Rig, session: number, label: string): Promise<X509Certificate> {
    const handle = first(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.LABEL]: label }));
    const { [CKA.VALUE]: value } = await made.cryptoki.C_GetAttributeValue(session, handle, [CKA.VALUE]);
    return new X509Certificate(value);
  }

  test("are certificates that a search for their label finds, and that belong to the key that is there", async () => {
    await using made = await rig(
      await testCard({ yubico: true, keys: { ...NO_KEYS, "9e": { privateKey: testKey("p-256") } } }),
    );
    const { cryptoki } = made;
    const session = await made.session();
    await cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    const generate = async (): Promise<Uint8Array> => {
      const pair = await cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.EC_KEY_PAIR_GEN },
        { [CKA.TOKEN]: true, [CKA.EC_PARAMS]: P_256 },
        { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(1), [CKA.SENSITIVE]: true },
      );
      const types = [CKA.PUBLIC_KEY_INFO];
      const { [CKA.PUBLIC_KEY_INFO]: spki } = await cryptoki.C_GetAttributeValue(session, pair.publicKey, types);
      return spki;
    };
    const signer = await certificate(made, session, LABEL);
    const spki = await generate();
    const attested = await certificate(made, session, `${LABEL} 9a`);
    expect(attested.verify(signer.publicKey)).toBe(true);
    expect(Uint8Array.from(attested.publicKey.export({ format: "der", type: "spki" }))).toEqual(spki);
    // The next key has one of its own.
    const again = await generate();
    const renewed = await certificate(made, session, `${LABEL} 9a`);
    expect(Uint8Array.from(renewed.publicKey.export({ format: "der", type: "spki" }))).toEqual(again);
    // Of a key that was brought there, and of one that is not there, none is made.
    for (const place of ["9e", "9d"]) {
      expect(await made.find(session, { [CKA.LABEL]: `${LABEL} ${place}` })).toEqual([]);
    }
    // No other search costs what they cost.
    expect(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(1) })).toEqual([]);
    const before = made.commands.length;
    await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    expect(made.commands.slice(before).some((command) => command.startsWith("00f9"))).toBe(false);
  });

  test("are read-only, and no other card has them", async () => {
    await using made = await rig(await testCard());
    const session = await made.session();
    expect(await made.find(session, { [CKA.LABEL]: `${LABEL} 9a` })).toEqual([]);
    expect(await made.find(session, { [CKA.LABEL]: LABEL })).toEqual([]);
    await using yubikey = await officer();
    const handle = first(await yubikey.find(yubikey.officers, { [CKA.LABEL]: LABEL }));
    await expect(yubikey.cryptoki.C_DestroyObject(yubikey.officers, handle)).rejects.toMatchObject(
      refusal("ACTION_PROHIBITED"),
    );
  });
});

test("a full card is CKR_DEVICE_MEMORY, and keeps what it has", async () => {
  await using made = await officer();
  const session = made.officers;
  const types = [CKA.VALUE];
  const handle = first(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(1) }));
  const { [CKA.VALUE]: before } = await made.cryptoki.C_GetAttributeValue(session, handle, types);
  const big = { [CKA.CLASS]: CKO.DATA, [CKA.TOKEN]: true, [CKA.PRIVATE]: false, [CKA.VALUE]: new Uint8Array(33_000) };
  const written = made.cryptoki.C_CreateObject(session, {
    ...big,
    [CKA.LABEL]: "Security Object",
    [CKA.APPLICATION]: "PIV",
  });
  await expect(written).rejects.toMatchObject(refusal("DEVICE_MEMORY"));
  expect(await made.cryptoki.C_GetAttributeValue(session, handle, types)).toEqual({ [CKA.VALUE]: before });
});
