import { createCipheriv, createPublicKey, hkdfSync, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import {
  CKA,
  CKF,
  CKK,
  CKM,
  CKO,
  type CK_MECHANISM,
  type Cryptoki,
  type Template,
  mechanismOf,
} from "../../src/cryptoki/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { copiesIn } from "./copies.ts";
import { refusal, rig, type Rig } from "./rig.ts";

const own = (buffer: Uint8Array): Uint8Array => new Uint8Array(buffer);
const P_256 = Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7);
const IV = new Uint8Array(16).fill(9);
const OPEN = { [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true } as const;
const WRAPS = { [CKA.WRAP]: true, [CKA.UNWRAP]: true } as const;
const AES = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES } as const;

const values = (made: Rig, session: number, object: number, types: readonly number[]): Promise<Template> =>
  made.cryptoki.C_GetAttributeValue(session, object, types);

describe("C_GenerateKey", () => {
  test.each<[number, number, number, Template]>([
    [CKM.AES_KEY_GEN, CKK.AES, 32, { [CKA.VALUE_LEN]: 32 }],
    [CKM.DES3_KEY_GEN, CKK.DES3, 24, {}],
    [CKM.DES2_KEY_GEN, CKK.DES2, 16, {}],
    [CKM.GENERIC_SECRET_KEY_GEN, CKK.GENERIC_SECRET, 77, { [CKA.VALUE_LEN]: 77 }],
    [CKM.HKDF_KEY_GEN, CKK.HKDF, 32, { [CKA.VALUE_LEN]: 32 }],
    [CKM.SHA256_KEY_GEN, CKK.SHA256_HMAC, 32, { [CKA.VALUE_LEN]: 32 }],
  ])("%i makes a key that was never anywhere else", async (mechanism, keyType, length, template) => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const closed = { ...template, [CKA.SENSITIVE]: true, [CKA.EXTRACTABLE]: false, [CKA.LABEL]: "key" };
    const key = await made.cryptoki.C_GenerateKey(session, mechanismOf(mechanism), closed);
    expect(
      await values(made, session, key, [
        CKA.CLASS,
        CKA.KEY_TYPE,
        CKA.VALUE_LEN,
        CKA.LOCAL,
        CKA.KEY_GEN_MECHANISM,
        CKA.ALWAYS_SENSITIVE,
        CKA.NEVER_EXTRACTABLE,
        CKA.PRIVATE,
        CKA.LABEL,
      ]),
    ).toEqual({
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: keyType,
      [CKA.VALUE_LEN]: length,
      [CKA.LOCAL]: true,
      [CKA.KEY_GEN_MECHANISM]: mechanism,
      [CKA.ALWAYS_SENSITIVE]: true,
      [CKA.NEVER_EXTRACTABLE]: true,
      [CKA.PRIVATE]: true,
      [CKA.LABEL]: "key",
    });
    const open = await made.cryptoki.C_GenerateKey(session, mechanismOf(mechanism), template);
    const shown = await values(made, session, open, [CKA.VALUE, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE]);
    expect(shown[CKA.VALUE]).toHaveLength(length);
    expect([shown[CKA.ALWAYS_SENSITIVE], shown[CKA.NEVER_EXTRACTABLE]]).toEqual([false, false]);
  });

  test.each<[string, CK_MECHANISM, Template]>([
    ["TEMPLATE_INCOMPLETE", { mechanism: CKM.AES_KEY_GEN }, {}],
    ["ATTRIBUTE_VALUE_INVALID", { mechanism: CKM.AES_KEY_GEN }, { [CKA.VALUE_LEN]: 17 }],
    ["ATTRIBUTE_VALUE_INVALID", { mechanism: CKM.DES3_KEY_GEN }, { [CKA.VALUE_LEN]: 16 }],
    ["TEMPLATE_INCONSISTENT", { mechanism: CKM.AES_KEY_GEN }, { [CKA.VALUE_LEN]: 16, [CKA.KEY_TYPE]: CKK.DES3 }],
    ["TEMPLATE_INCONSISTENT", { mechanism: CKM.AES_KEY_GEN }, { [CKA.VALUE_LEN]: 16, [CKA.CLASS]: CKO.DATA }],
    ["TEMPLATE_INCONSISTENT", { mechanism: CKM.AES_KEY_GEN }, { [CKA.VALUE_LEN]: 16, [CKA.TOKEN]: true }],
    ["ATTRIBUTE_READ_ONLY", { mechanism: CKM.AES_KEY_GEN }, { [CKA.VALUE_LEN]: 16, [CKA.VALUE]: IV }],
    ["ATTRIBUTE_READ_ONLY", { mechanism: CKM.AES_KEY_GEN }, { [CKA.VALUE_LEN]: 16, [CKA.LOCAL]: true }],
    ["MECHANISM_INVALID", { mechanism: CKM.AES_ECB }, {}],
  ])("%s, and nothing is made", async (name, mechanism, template) => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    await expect(made.cryptoki.C_GenerateKey(session, mechanism, template)).rejects.toMatchObject(refusal(name));
    expect(await made.find(session, { [CKA.TOKEN]: false })).toEqual([]);
  });

  test("makes no token object in a read-only session, and no private one without login", async () => {
    await using made = await rig(await testCard());
    const session = await made.session(0);
    const mechanism = { mechanism: CKM.AES_KEY_GEN };
    for (const [template, name] of [
      [{ [CKA.TOKEN]: true }, "SESSION_READ_ONLY"],
      [{ [CKA.PRIVATE]: true }, "USER_NOT_LOGGED_IN"],
    ] as const) {
      await expect(
        made.cryptoki.C_GenerateKey(session, mechanism, { [CKA.VALUE_LEN]: 16, ...template }),
      ).rejects.toMatchObject(refusal(name));
    }
    await made.cryptoki.C_GenerateKey(session, mechanism, { [CKA.VALUE_LEN]: 16 });
  });
});

const WRAPPING: readonly (readonly [string, CK_MECHANISM])[] = [
  ["AES key wrap, padded", { mechanism: CKM.AES_KEY_WRAP_PAD }],
  ["AES key wrap KWP", { mechanism: CKM.AES_KEY_WRAP_KWP }],
  ["AES CBC, padded", { mechanism: CKM.AES_CBC_PAD, parameter: IV }],
  ["AES CBC", { mechanism: CKM.AES_CBC, parameter: IV }],
  ["AES ECB", { mechanism: CKM.AES_ECB }],
];

describe.each(WRAPPING)("wrapping with %s", (_name, mechanism) => {
  async function open(made: Rig): Promise<{ session: number; wrapping: number }> {
    const session = await made.loggedIn();
    const wrapping = await made.cryptoki.C_GenerateKey(
      session,
      { mechanism: CKM.AES_KEY_GEN },
      { [CKA.VALUE_LEN]: 32, ...WRAPS },
    );
    return { session, wrapping };
  }

  test("a private key goes out as PKCS #8, and comes in again", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const { session, wrapping } = await open(made);
    for (const [generation, ofPublic, sign, keyType] of [
      [CKM.RSA_PKCS_KEY_PAIR_GEN, { [CKA.MODULUS_BITS]: 1024 }, CKM.SHA256_RSA_PKCS, CKK.RSA],
      [CKM.EC_KEY_PAIR_GEN, { [CKA.EC_PARAMS]: P_256 }, CKM.ECDSA_SHA256, CKK.EC],
    ] as const) {
      const pair = await cryptoki.C_GenerateKeyPair(session, { mechanism: generation }, ofPublic, {
        [CKA.EXTRACTABLE]: true,
      });
      const wrapped = await cryptoki.C_WrapKey(session, mechanism, wrapping, pair.privateKey);
      const template = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.KEY_TYPE]: keyType };
      const back = await cryptoki.C_UnwrapKey(session, mechanism, wrapping, wrapped, template);
      expect(await values(made, session, back, [CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.LOCAL])).toEqual({
        [CKA.SENSITIVE]: true,
        [CKA.EXTRACTABLE]: true,
        [CKA.LOCAL]: false,
      });
      await cryptoki.C_SignInit(session, { mechanism: sign }, back);
      const signature = await cryptoki.C_Sign(session, utf8("message"));
      await cryptoki.C_VerifyInit(session, { mechanism: sign }, pair.publicKey);
      await cryptoki.C_Verify(session, utf8("message"), signature);
      const other = { ...template, [CKA.KEY_TYPE]: keyType === CKK.RSA ? CKK.EC : CKK.RSA };
      await expect(cryptoki.C_UnwrapKey(session, mechanism, wrapping, wrapped, other)).rejects.toMatchObject(
        refusal("TEMPLATE_INCONSISTENT"),
      );
    }
  });

  test("a secret key of any length goes out and comes in again", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const { session, wrapping } = await open(made);
    for (const length of [16, 21]) {
      const value = new Uint8Array(length).fill(5);
      const template = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.GENERIC_SECRET };
      const key = await cryptoki.C_CreateObject(session, { ...template, [CKA.VALUE]: value });
      const wrapped = await cryptoki.C_WrapKey(session, mechanism, wrapping, key);
      const back = await cryptoki.C_UnwrapKey(session, mechanism, wrapping, wrapped, {
        ...template,
        [CKA.VALUE_LEN]: length,
      });
      expect(await values(made, session, back, [CKA.VALUE])).toEqual({ [CKA.VALUE]: value });
    }
  });
});

test("what is wrapped by another program comes in, and what is broken does not", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const value = new Uint8Array(32).fill(3);
  const wrapping = await cryptoki.C_CreateObject(session, { ...AES, ...WRAPS, [CKA.VALUE]: value });
  const pkcs8 = testKey("p-256", "wrapped").export({ format: "der", type: "pkcs8" });
  const cipher = createCipheriv("aes-256-cbc", value, IV);
  const wrapped = own(Buffer.concat([cipher.update(pkcs8), cipher.final()]));
  const mechanism = { mechanism: CKM.AES_CBC_PAD, parameter: IV };
  const template = { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.KEY_TYPE]: CKK.EC };
  const key = await cryptoki.C_UnwrapKey(session, mechanism, wrapping, wrapped, template);
  await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
  const signature = await cryptoki.C_Sign(session, utf8("message"));
  const publicKey = { key: createPublicKey(testKey("p-256", "wrapped")), dsaEncoding: "ieee-p1363" } as const;
  expect(verify("sha256", utf8("message"), publicKey, signature)).toBe(true);
  const before = await made.find(session, { [CKA.TOKEN]: false });
  for (const [broken, name] of [
    [wrapped.subarray(1), "WRAPPED_KEY_LEN_RANGE"],
    [wrapped.subarray(16), "WRAPPED_KEY_INVALID"],
    [wrapped.subarray(0, 16), "WRAPPED_KEY_INVALID"],
    [new Uint8Array(), "WRAPPED_KEY_LEN_RANGE"],
  ] as const) {
    await expect(cryptoki.C_UnwrapKey(session, mechanism, wrapping, broken, template)).rejects.toMatchObject(
      refusal(name),
    );
  }
  expect(await made.find(session, { [CKA.TOKEN]: false })).toEqual(before);
});

test("a card's key is never wrapped", async () => {
  await using made = await rig(await testCard());
  const session = await made.loggedIn();
  const wrapping = await made.cryptoki.C_CreateObject(session, { ...AES, ...WRAPS, [CKA.VALUE]: IV });
  await expect(
    made.cryptoki.C_WrapKey(session, { mechanism: CKM.AES_KEY_WRAP_PAD }, wrapping, await made.privateKey(session, 1)),
  ).rejects.toMatchObject(refusal("KEY_UNEXTRACTABLE"));
});

test("HKDF makes keys and data of a secret key", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const value = new Uint8Array(32).fill(3);
  const [salt, info] = [utf8("salt"), utf8("info")];
  const base = await cryptoki.C_CreateObject(session, {
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: CKK.HKDF,
    [CKA.VALUE]: value,
    [CKA.DERIVE]: true,
    ...OPEN,
  });
  const parameter = {
    bExtract: true,
    bExpand: true,
    prfHashMechanism: CKM.SHA256,
    ulSaltType: CKF.HKDF_SALT_DATA,
    pSalt: salt,
    pInfo: info,
  };
  const expected = own(new Uint8Array(hkdfSync("sha256", value, salt, info, 16)));
  const template = { [CKA.KEY_TYPE]: CKK.AES, [CKA.VALUE_LEN]: 16 };
  const key = await cryptoki.C_DeriveKey(session, { mechanism: CKM.HKDF_DERIVE, parameter }, base, template);
  expect(await values(made, session, key, [CKA.VALUE, CKA.KEY_TYPE])).toEqual({
    [CKA.VALUE]: expected,
    [CKA.KEY_TYPE]: CKK.AES,
  });
  const data = await cryptoki.C_DeriveKey(session, { mechanism: CKM.HKDF_DATA, parameter }, base, {
    [CKA.CLASS]: CKO.DATA,
    [CKA.VALUE_LEN]: 16,
    [CKA.LABEL]: "iv",
  });
  expect(await values(made, session, data, [CKA.CLASS, CKA.VALUE, CKA.LABEL])).toEqual({
    [CKA.CLASS]: CKO.DATA,
    [CKA.VALUE]: expected,
    [CKA.LABEL]: "iv",
  });
});

test("of a key that is unwrapped nothing stays behind but its object's own value", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  const value = new Uint8Array(32).fill(0x5a);
  const wrapping = await cryptoki.C_CreateObject(session, { ...AES, ...WRAPS, [CKA.VALUE]: new Uint8Array(16) });
  const key = await cryptoki.C_CreateObject(session, { ...AES, [CKA.VALUE]: value });
  const mechanism = { mechanism: CKM.AES_CBC_PAD, parameter: IV };
  const wrapped = await cryptoki.C_WrapKey(session, mechanism, wrapping, key);
  const copies = await copiesIn(() => cryptoki.C_UnwrapKey(session, mechanism, wrapping, wrapped, AES));
  expect(copies.filter((copy) => Buffer.from(copy).equals(value))).toHaveLength(1);
});

describe("an operation ends with its secret key", () => {
  const HMAC = { mechanism: CKM.SHA256_HMAC };
  const CBC = { mechanism: CKM.AES_CBC, parameter: IV };
  const ONE = new Uint8Array(16);
  type Step = (cryptoki: Cryptoki, session: number) => Promise<unknown>;
  const steps: readonly [string, (cryptoki: Cryptoki, session: number, key: number) => Promise<unknown>, Step][] = [
    ["C_Sign", (c, s, k) => c.C_SignInit(s, HMAC, k), (c, s) => c.C_Sign(s, ONE)],
    ["C_SignUpdate", (c, s, k) => c.C_SignInit(s, HMAC, k), (c, s) => c.C_SignUpdate(s, ONE)],
    ["C_SignFinal", (c, s, k) => c.C_SignInit(s, HMAC, k), (c, s) => c.C_SignFinal(s)],
    ["C_VerifyFinal", (c, s, k) => c.C_VerifyInit(s, HMAC, k), (c, s) => c.C_VerifyFinal(s, new Uint8Array(32))],
    ["C_Encrypt", (c, s, k) => c.C_EncryptInit(s, CBC, k), (c, s) => c.C_Encrypt(s, ONE)],
    ["C_EncryptUpdate", (c, s, k) => c.C_EncryptInit(s, CBC, k), (c, s) => c.C_EncryptUpdate(s, ONE)],
    ["C_DecryptUpdate", (c, s, k) => c.C_DecryptInit(s, CBC, k), (c, s) => c.C_DecryptUpdate(s, ONE)],
    [
      "C_SignMessageNext",
      async (c, s, k) => {
        await c.C_MessageSignInit(s, HMAC, k);
        await c.C_SignMessageBegin(s, null);
      },
      (c, s) => c.C_SignMessageNext(s, null, ONE, true),
    ],
  ];
  test.each(steps)("%s", async (name, begin, step) => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const type = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.VALUE]: ONE } as const;
    const uses = { [CKA.SIGN]: true, [CKA.VERIFY]: true };
    const mac = await cryptoki.C_CreateObject(session, { ...type, ...uses, [CKA.KEY_TYPE]: CKK.GENERIC_SECRET });
    const cipher = await cryptoki.C_CreateObject(session, { ...type, [CKA.KEY_TYPE]: CKK.AES });
    const key = name.includes("crypt") ? cipher : mac;
    await begin(cryptoki, session, key);
    await cryptoki.C_DestroyObject(session, key);
    await expect(step(cryptoki, session)).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
  });
});

test("a key with CKA_ALLOWED_MECHANISMS is for those, and one without for all of its type", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const aes = { mechanism: CKM.AES_KEY_GEN };
  const narrow = await cryptoki.C_GenerateKey(session, aes, {
    [CKA.VALUE_LEN]: 16,
    [CKA.ALLOWED_MECHANISMS]: [CKM.AES_ECB],
  });
  const wide = await cryptoki.C_GenerateKey(session, aes, { [CKA.VALUE_LEN]: 16 });
  const cbc = { mechanism: CKM.AES_CBC, parameter: IV };
  await cryptoki.C_EncryptInit(session, { mechanism: CKM.AES_ECB }, narrow);
  expect(await cryptoki.C_Encrypt(session, IV)).toHaveLength(16);
  await expect(cryptoki.C_EncryptInit(session, cbc, narrow)).rejects.toMatchObject({
    ...refusal("MECHANISM_INVALID"),
    message: expect.stringContaining("CKA_ALLOWED_MECHANISMS"),
  });
  await cryptoki.C_EncryptInit(session, cbc, wide);
  expect(await cryptoki.C_Encrypt(session, IV)).toHaveLength(16);
});

describe("CKA_EXTRACTABLE that a template leaves out", () => {
  const AES_KEY = { [CKA.TOKEN]: false, [CKA.VALUE_LEN]: 16 } as const;

  test.each([
    ["is false for a key that is sensitive", { [CKA.SENSITIVE]: true }, false],
    ["is true for a key that is not", { [CKA.SENSITIVE]: false }, true],
    ["is true for a key of which nothing is said", {}, true],
    ["is what the template says", { [CKA.SENSITIVE]: true, [CKA.EXTRACTABLE]: true }, true],
  ])("%s", async (_, template, extractable) => {
    await using made = await rig(await testCard());
    const session = await made.session();
    const generate = { mechanism: CKM.AES_KEY_GEN };
    const key = await made.cryptoki.C_GenerateKey(session, generate, { ...AES_KEY, ...template });
    const shown = await made.cryptoki.C_GetAttributeValue(session, key, [CKA.EXTRACTABLE, CKA.NEVER_EXTRACTABLE]);
    expect(shown).toEqual({ [CKA.EXTRACTABLE]: extractable, [CKA.NEVER_EXTRACTABLE]: !extractable });
  });
});
