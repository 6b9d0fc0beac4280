import { createPublicKey, diffieHellman, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import {
  CKA,
  CKA_CRYPTOKI,
  CKA_YUBICO,
  CKD,
  CKF,
  CKK,
  CKM,
  CKO,
  CKR,
  CKU,
  CryptokiError,
} from "../../src/cryptoki/index.ts";
import type { KeySource, PivCardOptions } from "../../src/virtual/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { PIN, refusal, type Rig, rig } from "./rig.ts";

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const NONE = { "9a": null, "9c": null, "9d": null, "9e": null } as const;
const P_256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);

const yubikey = (keys: Record<string, KeySource | null>, options: PivCardOptions = {}): Promise<Rig> =>
  testCard({ yubico: true, ...options, keys: { ...NONE, ...keys } }).then((card) => rig(card));

function attributes(made: Rig, session: number, object: number, types: readonly number[]): Promise<object> {
  return made.cryptoki.C_GetAttributeValue(session, object, types);
}

async function failure(work: Promise<unknown>): Promise<CryptokiError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CryptokiError)) throw new Error("no CryptokiError");
  return error;
}

describe("what a key is for", () => {
  test("an EC key in 9D agrees on secrets and signs nothing, and its public half says the same", async () => {
    await using made = await rig(await testCard({ keys: { "9d": { privateKey: testKey("p-256") } } }));
    const session = await made.loggedIn();
    const [privateKey, publicKey] = [await made.privateKey(session, 3), await made.publicKey(session, 3)];
    expect(await attributes(made, session, privateKey, [CKA.SIGN, CKA.DERIVE, CKA.DECRYPT])).toEqual({
      [CKA.SIGN]: false,
      [CKA.DERIVE]: true,
      [CKA.DECRYPT]: false,
    });
    expect(await attributes(made, session, publicKey, [CKA.VERIFY, CKA.DERIVE, CKA.ENCRYPT])).toEqual({
      [CKA.VERIFY]: false,
      [CKA.DERIVE]: true,
      [CKA.ENCRYPT]: false,
    });
    const begun = made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, privateKey);
    await expect(begun).rejects.toMatchObject(refusal("KEY_FUNCTION_NOT_PERMITTED"));
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.DERIVE]: true })).toEqual([privateKey]);
  });

  test("an EC key elsewhere signs, and agrees on none", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    for (const id of [2, 4]) {
      const uses = await attributes(made, session, await made.privateKey(session, id), [CKA.SIGN, CKA.DERIVE]);
      expect(uses).toEqual({ [CKA.SIGN]: true, [CKA.DERIVE]: false });
    }
  });

  test("an RSA key signs, and decrypts in every place but 9E", async () => {
    const rsa = { privateKey: testKey("rsa-2048", "9a") };
    await using made = await rig(await testCard({ keys: { "9c": rsa, "9e": rsa } }));
    const session = await made.loggedIn();
    for (const [id, decrypts] of [
      [1, true],
      [2, true],
      [3, true],
      [4, false],
    ] as const) {
      const uses = await attributes(made, session, await made.privateKey(session, id), [CKA.SIGN, CKA.DECRYPT]);
      expect(uses).toEqual({ [CKA.SIGN]: true, [CKA.DECRYPT]: decrypts });
    }
  });
});

describe("a key whose card says when it wants the PIN", () => {
  const sign = async (made: Rig, session: number, id: number, contextPin?: string): Promise<Uint8Array> => {
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, await made.privateKey(session, id));
    if (contextPin !== undefined) await made.cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, contextPin);
    return made.cryptoki.C_Sign(session, new Uint8Array(32).fill(3));
  };

  test("each time: CKA_ALWAYS_AUTHENTICATE, and a login for each signature", async () => {
    await using made = await yubikey({ "9a": { privateKey: testKey("p-256"), pinPolicy: "always" } });
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    expect(await attributes(made, session, key, [CKA.ALWAYS_AUTHENTICATE])).toEqual({
      [CKA.ALWAYS_AUTHENTICATE]: true,
    });
    await expect(sign(made, session, 1)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    expect(await sign(made, session, 1, PIN)).toHaveLength(64);
    expect(await sign(made, session, 1, PIN)).toHaveLength(64);
  });

  test("once: 9C signs as often as one likes", async () => {
    await using made = await yubikey({ "9c": { privateKey: testKey("p-256"), pinPolicy: "once" } });
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 2);
    expect(await attributes(made, session, key, [CKA.ALWAYS_AUTHENTICATE])).toEqual({
      [CKA.ALWAYS_AUTHENTICATE]: false,
    });
    for (let i = 0; i < 3; i++) expect(await sign(made, session, 2)).toHaveLength(64);
  });

  test("a card that does not tell: C_Login for the use is taken for any key", async () => {
    const keys = { "9a": { privateKey: testKey("p-256"), pinPolicy: "always" } } as const;
    await using made = await yubikey(keys, { deviations: ["no-metadata"] });
    const session = await made.loggedIn();
    expect(await sign(made, session, 1, PIN)).toHaveLength(64);
    expect(await sign(made, session, 1, PIN)).toHaveLength(64);
  });

  test("the policies, and where it was made, are attributes of the private key", async () => {
    await using made = await yubikey({
      "9a": { privateKey: { type: "p-256" }, pinPolicy: "always", touchPolicy: "cached" },
      "9c": { privateKey: testKey("p-256") },
    });
    const session = await made.loggedIn();
    const types = [CKA_YUBICO.PIN_POLICY, CKA_YUBICO.TOUCH_POLICY, CKA.LOCAL];
    expect(await attributes(made, session, await made.privateKey(session, 1), types)).toEqual({
      [CKA_YUBICO.PIN_POLICY]: 3,
      [CKA_YUBICO.TOUCH_POLICY]: 3,
      [CKA.LOCAL]: true,
    });
    expect(await attributes(made, session, await made.privateKey(session, 2), types)).toEqual({
      [CKA_YUBICO.PIN_POLICY]: 3,
      [CKA_YUBICO.TOUCH_POLICY]: 1,
      [CKA.LOCAL]: false,
    });
  });

  test("a card without metadata has no such attributes", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const asked = attributes(made, session, await made.privateKey(session, 1), [CKA_YUBICO.PIN_POLICY]);
    await expect(asked).rejects.toMatchObject(refusal("ATTRIBUTE_TYPE_INVALID"));
  });
});

describe("keys on Curve25519", () => {
  const keys = { "9a": { privateKey: testKey("ed25519") }, "9d": { privateKey: testKey("x25519") } };

  test("Ed25519 in 9A signs with CKM_EDDSA", async () => {
    await using made = await yubikey(keys);
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    expect(await attributes(made, session, key, [CKA.KEY_TYPE, CKA.SIGN, CKA.DERIVE])).toEqual({
      [CKA.KEY_TYPE]: CKK.EC_EDWARDS,
      [CKA.SIGN]: true,
      [CKA.DERIVE]: false,
    });
    const message = utf8("message");
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.EDDSA }, key);
    const signature = await made.cryptoki.C_Sign(session, message);
    expect(verify(null, message, createPublicKey(testKey("ed25519")), signature)).toBe(true);
  });

  test("X25519 in 9D agrees on a secret with CKM_ECDH1_DERIVE", async () => {
    await using made = await yubikey(keys);
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 3);
    expect(await attributes(made, session, key, [CKA.KEY_TYPE, CKA.SIGN, CKA.DERIVE])).toEqual({
      [CKA.KEY_TYPE]: CKK.EC_MONTGOMERY,
      [CKA.SIGN]: false,
      [CKA.DERIVE]: true,
    });
    const peer = testKey("x25519", "peer");
    const { x } = createPublicKey(peer).export({ format: "jwk" });
    const parameter = { kdf: CKD.NULL, pPublicData: new Uint8Array(Buffer.from(x ?? "", "base64url")) };
    const derived = await made.cryptoki.C_DeriveKey(session, { mechanism: CKM.ECDH1_DERIVE, parameter }, key, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.SENSITIVE]: false,
      [CKA.EXTRACTABLE]: true,
    });
    const { [CKA.VALUE]: secret } = await made.cryptoki.C_GetAttributeValue(session, derived, [CKA.VALUE]);
    const expected = diffieHellman({ privateKey: peer, publicKey: createPublicKey(testKey("x25519")) });
    expect(Buffer.from(secret).equals(expected)).toBe(true);
  });

  test("are made on the card by their own mechanisms", async () => {
    await using made = await yubikey({});
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    for (const [mechanism, id, oid] of [
      [CKM.EC_EDWARDS_KEY_PAIR_GEN, 1, [0x06, 0x03, 0x2b, 0x65, 0x70]],
      [CKM.EC_MONTGOMERY_KEY_PAIR_GEN, 3, [0x06, 0x03, 0x2b, 0x65, 0x6e]],
    ] as const) {
      const pair = await made.cryptoki.C_GenerateKeyPair(
        session,
        { mechanism },
        { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(id), [CKA.EC_PARAMS]: Uint8Array.from(oid) },
        { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(id) },
      );
      expect(await attributes(made, session, pair.publicKey, [CKA.EC_PARAMS])).toEqual({
        [CKA.EC_PARAMS]: Uint8Array.from(oid),
      });
    }
  });
});

describe("C_GetMechanismInfo of a PIV card", () => {
  /** The sizes that the card has for each mechanism; null where it has no part in it. */
  async function sizes(made: Rig, types: readonly number[]): Promise<(number[] | null)[]> {
    const slot = await made.slot();
    const list = [];
    for (const type of types) {
      const { flags, ulMinKeySize, ulMaxKeySize } = await made.cryptoki.C_GetMechanismInfo(slot, type);
      list.push((flags & CKF.HW) === 0 ? null : [ulMinKeySize, ulMaxKeySize]);
    }
    return list;
  }
  const ASKED = [CKM.RSA_PKCS, CKM.RSA_PKCS_KEY_PAIR_GEN, CKM.ECDSA, CKM.ECDH1_DERIVE, CKM.EDDSA, CKM.SHA256];

  test("with EC keys only: no RSA, and a secret to agree on only where a key is for that", async () => {
    const keys = { ...NONE, "9a": { privateKey: testKey("p-256") }, "9c": { privateKey: testKey("p-384") } };
    await using made = await rig(await testCard({ keys }));
    expect(await sizes(made, ASKED)).toEqual([null, null, [256, 384], null, null, null]);
    await using second = await rig(await testCard({ keys: { ...NONE, "9d": { privateKey: testKey("p-384") } } }));
    expect(await sizes(second, ASKED)).toEqual([null, null, null, [384, 384], null, null]);
  });

  test("without keys: those of the standard", async () => {
    await using made = await rig(await testCard({ keys: NONE }));
    expect(await sizes(made, ASKED)).toEqual([[2048, 3072], [2048, 3072], [256, 384], [256, 384], null, null]);
  });

  test("a YubiKey: those of its firmware", async () => {
    await using made = await yubikey({ "9a": { privateKey: testKey("p-256") } });
    expect(await sizes(made, ASKED)).toEqual([[1024, 4096], [1024, 4096], [256, 384], [255, 384], [255, 255], null]);
    expect(await sizes(made, [CKM.EC_MONTGOMERY_KEY_PAIR_GEN, CKM.EC_KEY_PAIR_GEN])).toEqual([
      [255, 255],
      [256, 384],
    ]);
  });

  test("reads the keys once", async () => {
    await using made = await rig(await testCard());
    await sizes(made, ASKED);
    expect(await made.count(() => sizes(made, ASKED))).toBe(0);
  });
});

describe("C_GenerateKeyPair on a PIV card", () => {
  const make = (made: Rig, session: number, id: readonly number[]): Promise<unknown> =>
    made.cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.from(id), [CKA.EC_PARAMS]: P_256 },
      { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.from(id) },
    );

  test("as user: says that the officer must log in", async () => {
    await using made = await rig(await testCard());
    const error = await failure(make(made, await made.loggedIn(), [1]));
    expect(error.rv).toBe(CKR.USER_NOT_LOGGED_IN);
    expect(error.message).toContain("security officer");
  });

  test.each([
    ["a CKA_ID of two bytes", [0, 1], /CKA_ID 01 to 18 only.*free: CKA_ID 04 \(9E\)/u],
    ["a slot that the card does not have", [5], /CKA_ID 05.*free: CKA_ID 04 \(9E\)/u],
  ])("%s: CKR_ATTRIBUTE_VALUE_INVALID, and the places that are free", async (_what, id, message) => {
    await using made = await rig(await testCard({ keys: { "9e": null } }));
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    const error = await failure(make(made, session, id));
    expect(error.rv).toBe(CKR.ATTRIBUTE_VALUE_INVALID);
    expect(error.message).toMatch(message);
    await make(made, session, [4]);
  });
});

test("a private object that is written as a public one: the error names CKA_PRIVATE and the option", async () => {
  await using made = await rig(await testCard());
  const session = await made.session();
  await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
  const template = {
    [CKA.CLASS]: CKO.DATA,
    [CKA.TOKEN]: true,
    [CKA.PRIVATE]: false,
    [CKA.LABEL]: "Printed Information",
    [CKA.VALUE]: utf8("x"),
  };
  const error = await failure(made.cryptoki.C_CreateObject(session, template));
  expect(error.message).toMatch(/Printed Information is private.*CKA_PRIVATE.*--private/u);
});

describe("what PKCS #11 has no function or attribute for", () => {
  test("the public half tells policies, origin and attestation before a login", async () => {
    await using made = await yubikey({ "9a": { privateKey: testKey("p-256", "9a") } });
    const session = await made.session();
    const publicKey = await made.publicKey(session, 1);
    const types = [CKA_YUBICO.PIN_POLICY, CKA_YUBICO.TOUCH_POLICY, CKA_CRYPTOKI.ORIGIN];
    const shown = (await attributes(made, session, publicKey, types)) as Record<number, unknown>;
    expect(shown[CKA_CRYPTOKI.ORIGIN]).toBe(2);
    expect(shown[CKA_YUBICO.TOUCH_POLICY]).toEqual(expect.any(Number));
    // The card attests the keys that it made only.
    await expect(attributes(made, session, publicKey, [CKA_CRYPTOKI.ATTESTATION])).rejects.toMatchObject(
      refusal("ATTRIBUTE_TYPE_INVALID"),
    );
    await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    const pair = await made.cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(1), [CKA.EC_PARAMS]: P_256 },
      { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(1) },
    );
    const told = (await attributes(made, session, pair.publicKey, [
      CKA_CRYPTOKI.ORIGIN,
      CKA_CRYPTOKI.ATTESTATION,
    ])) as Record<number, unknown>;
    expect(told[CKA_CRYPTOKI.ORIGIN]).toBe(1);
    expect((told[CKA_CRYPTOKI.ATTESTATION] as Uint8Array)[0]).toBe(0x30);
  });

  test("the security officer deletes a private key by its public half, and by nothing else", async () => {
    await using made = await yubikey({ "9a": { privateKey: testKey("p-256", "9a") } });
    const { cryptoki } = made;
    const session = await made.session();
    const publicKey = await made.publicKey(session, 1);
    const certificate = await made.object(session, CKO.CERTIFICATE, 1);
    await expect(cryptoki.C_DestroyPrivateKey(session, publicKey)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    await expect(cryptoki.C_DestroyPrivateKey(session, certificate)).rejects.toMatchObject(
      refusal("KEY_HANDLE_INVALID"),
    );
    await cryptoki.C_DestroyPrivateKey(session, publicKey);
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) })).toEqual([]);
  });

  test("the PUK is changed, with its tries in the error", async () => {
    await using made = await yubikey({});
    const { cryptoki } = made;
    const session = await made.session();
    await expect(cryptoki.C_SetPUK(session, "00000000", "87654321")).rejects.toMatchObject({
      ...refusal("PIN_INCORRECT"),
      cause: { triesLeft: 2 },
    });
    await expect(cryptoki.C_SetPUK(session, "12345678", "1")).rejects.toMatchObject(refusal("PIN_LEN_RANGE"));
    await cryptoki.C_SetPUK(session, "12345678", "87654321");
    await cryptoki.C_UnlockPIN(session, "87654321", PIN);
  });
});
