/**
 * Every function in every bad state that concerns it: the CKR_ of PKCS#11 3.1, chapter 5, and nothing else happens. What is under
 * way in the session, one operation of each kind, still comes out as it should.
 */
import { describe, expect, test } from "@jest/globals";
import { concat, fromHex, utf8 } from "../../src/bytes/index.ts";
import {
  CKA,
  CKD,
  CKF,
  CKK,
  CKM,
  CKO,
  CKS,
  CKU,
  type CK_MECHANISM,
  Cryptoki,
  CryptokiError,
  type Template,
} from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { type Arguments, EVERY_FUNCTION, functionsWith, named, theFunction } from "./every-function.ts";
import { first, READER, refusal, rig, type Rig, settled } from "./rig.ts";
import { argumentsOf, beginAll, EVERY_KIND, finishAll, KINDS, type Keys, makeKeys } from "./twelve-operations.ts";

const SECOND = "Second Reader";

/** A session whose user is logged in, with keys, and with whatever is begun in it. */
interface Scene extends AsyncDisposable {
  readonly made: Rig;
  readonly session: number;
  readonly keys: Keys;
}

async function scene(): Promise<Scene> {
  const made = await rig(await testCard());
  const session = await made.loggedIn();
  const keys = await makeKeys(made, session);
  return { made, session, keys, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
}

/** All that a caller can see of sessions and objects. */
async function visible({ made: { cryptoki }, made, session }: Scene): Promise<unknown> {
  const { slotID } = await cryptoki.C_GetSessionInfo(session);
  const { ulSessionCount, ulRwSessionCount } = await cryptoki.C_GetTokenInfo(slotID);
  // Another session, since there may be a search in this one.
  const looking = await cryptoki.C_OpenSession(slotID, CKF.SERIAL_SESSION);
  const objects = await made.find(looking, {});
  await cryptoki.C_CloseSession(looking);
  return { info: await cryptoki.C_GetSessionInfo(session), ulSessionCount, ulRwSessionCount, objects };
}

/** What an application may call at any time (PKCS#11 3.1 section 5.4). */
const ANY_TIME: readonly string[] = [
  "C_Initialize",
  "C_GetFunctionList",
  "C_GetInterfaceList",
  "C_GetInterface",
  "C_GetVariable",
  "C_SetTraceCallback",
];

describe("before C_Initialize and after C_Finalize", () => {
  const others = EVERY_FUNCTION.filter(({ name }) => !ANY_TIME.includes(name));
  test.each(named(others))("%s", async (_name, { call }) => {
    const readers = new MemoryReaders();
    const cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [piv] });
    await expect(call(cryptoki)).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
    await cryptoki.C_Initialize();
    await cryptoki.C_Finalize();
    await expect(call(cryptoki)).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
  });
});

/** What may be asked of a slot without a token. */
const EMPTY_SLOT: Readonly<Record<string, unknown>> = {
  C_GetSlotInfo: { flags: CKF.REMOVABLE_DEVICE | CKF.HW_SLOT },
  C_RemoveSlot: refusal("ACTION_PROHIBITED"),
};

describe("a slot that is none, or empty", () => {
  test.each(named(functionsWith("slot")))("%s", async (name, { call }) => {
    await using its = await scene();
    const { made, session, keys } = its;
    made.readers.plug(SECOND);
    await settled();
    const slots = await made.cryptoki.C_GetSlotList(false);
    await beginAll(made, session, keys);
    for (const slot of [99, -1, 1.5, NaN, 2 ** 32]) {
      await expect(call(made.cryptoki, { slot })).rejects.toMatchObject(refusal("SLOT_ID_INVALID"));
    }
    const outcome = await call(made.cryptoki, { slot: slots[1] }).catch((error: unknown) => error);
    expect(outcome).toMatchObject(EMPTY_SLOT[name] ?? refusal("TOKEN_NOT_PRESENT"));
    expect(await made.cryptoki.C_GetSlotList(false)).toEqual(slots);
    await finishAll(made, session);
  });
});

describe("a session that is none, closed, or of another application", () => {
  test.each(named(functionsWith("session")))("%s", async (_name, { call }) => {
    await using its = await scene();
    const { made, session, keys } = its;
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const closed = await made.session();
    await made.cryptoki.C_CloseSession(closed);
    await beginAll(made, session, keys);
    for (const handle of [0, -1, 1.5, NaN, 2 ** 32, closed]) {
      await expect(call(made.cryptoki, { session: handle })).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    }
    await expect(call(other, { session })).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    await finishAll(made, session);
  });
});

const POINT = (() => {
  const { x = "", y = "" } = testKey("p-256", "other").export({ format: "jwk" });
  return concat(Uint8Array.of(4), ...[x, y].map((number) => new Uint8Array(Buffer.from(number, "base64url"))));
})();
const AES_KEY_GEN = { mechanism: CKM.AES_KEY_GEN };
const ECB = { mechanism: CKM.AES_ECB };
const DERIVE = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: POINT } };
const SECRET: Template = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES };
const P_256 = Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7);

/** Arguments with which the functions that make objects do so, but for what a test makes wrong. */
const MAKERS: Readonly<Record<string, (keys: Keys, said: Template) => Arguments>> = {
  C_CreateObject: (_keys, said) => ({ template: { [CKA.CLASS]: CKO.DATA, [CKA.VALUE]: utf8("data"), ...said } }),
  C_CopyObject: ({ aes }, said) => ({ object: aes, template: said }),
  C_GenerateKey: (_keys, said) => ({ mechanism: AES_KEY_GEN, template: { [CKA.VALUE_LEN]: 16, ...said } }),
  C_GenerateKeyPair: (_keys, said) => ({
    mechanism: { mechanism: CKM.EC_KEY_PAIR_GEN },
    pPublicKeyTemplate: { [CKA.EC_PARAMS]: P_256, [CKA.TOKEN]: said[CKA.TOKEN] ?? false },
    pPrivateKeyTemplate: { [CKA.ID]: Uint8Array.of(5), ...said },
  }),
  C_UnwrapKey: ({ aes }, said) => ({
    mechanism: ECB,
    key: aes,
    bytes: new Uint8Array(16),
    template: { ...SECRET, ...said },
  }),
  C_DeriveKey: ({ ec }, said) => ({
    mechanism: DERIVE,
    key: ec,
    template: { ...SECRET, [CKA.VALUE_LEN]: 16, ...said },
  }),
};

/** A function with each of its parameters that names an object. */
const OBJECT_PARAMETERS = EVERY_FUNCTION.flatMap(({ name, entry, call }) =>
  entry.parameters
    .filter(([, kind]) => kind === "object" || kind === "key")
    .map(([parameter, kind]) => ({ name, call, parameter, kind })),
);

/** Where it has a name of its own. */
const OF_KEY: Readonly<Record<string, string>> = {
  hWrappingKey: "WRAPPING_KEY_HANDLE_INVALID",
  hUnwrappingKey: "UNWRAPPING_KEY_HANDLE_INVALID",
};

const kindOfInit = (name: string) => EVERY_KIND.find(([, { init }]) => init === name)?.[0];

/** Right arguments for a function with objects, in which one is to be made wrong. */
function rightArguments(name: string, session: number, keys: Keys): Arguments {
  const kind = kindOfInit(name);
  if (kind) return argumentsOf(KINDS[kind], session, keys);
  const given = MAKERS[name]?.(keys, {}) ?? { mechanism: ECB, key: keys.aes };
  return { session, ...given };
}

describe("an object that is none, destroyed, or another's", () => {
  test.each(OBJECT_PARAMETERS)("$name, $parameter", async ({ name, call, parameter, kind }) => {
    await using its = await scene();
    const { made, session, keys } = its;
    const { cryptoki } = made;
    const expected = kind === "object" ? "OBJECT_HANDLE_INVALID" : (OF_KEY[parameter] ?? "KEY_HANDLE_INVALID");
    const template = { ...SECRET, [CKA.VALUE]: new Uint8Array(16), [CKA.ENCRYPT]: true, [CKA.WRAP]: true };

    const destroyed = await cryptoki.C_CreateObject(session, template);
    await cryptoki.C_DestroyObject(session, destroyed);
    const short = await made.session();
    const ended = await cryptoki.C_CreateObject(short, template);
    await cryptoki.C_CloseSession(short);
    made.readers.plug(SECOND);
    made.insert(await testCard(), SECOND);
    await settled();
    const [, second = 0] = await cryptoki.C_GetSlotList(true);
    const elsewhere = await cryptoki.C_OpenSession(second, CKF.SERIAL_SESSION);
    const foreign = await cryptoki.C_CreateObject(elsewhere, template);
    const foreignOnCard = await made.privateKey(elsewhere, 4);
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const others = await other.C_OpenSession(first(await other.C_GetSlotList(true)), CKF.SERIAL_SESSION);
    // Handles are counted by each application: this one is beyond those of the first.
    let unknown = 0;
    while (unknown <= foreignOnCard) unknown = await other.C_CreateObject(others, template);

    // An error of C_DigestKey ends its digest, as one of C_DigestUpdate does.
    const own = kindOfInit(name) ?? (name === "C_DigestKey" ? "digest" : undefined);
    const without = own === undefined ? [] : [own];
    await beginAll(made, session, keys, ...without);
    const before = await visible(its);
    const right = rightArguments(name, session, keys);
    for (const handle of [0, -1, 1.5, NaN, 2 ** 32, destroyed, ended, foreign, foreignOnCard, unknown]) {
      if (name === "C_DigestKey") await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
      await expect(call(cryptoki, { ...right, [parameter]: handle })).rejects.toMatchObject(refusal(expected));
    }
    expect(await visible(its)).toEqual(before);
    await finishAll(made, session, ...without);
  });

  test.each(OBJECT_PARAMETERS)("$name, $parameter, after another session's logout", async (one) => {
    await using its = await scene();
    const { made, session, keys } = its;
    const { cryptoki } = made;
    const secret = await cryptoki.C_CreateObject(session, {
      ...SECRET,
      [CKA.VALUE]: new Uint8Array(16),
      [CKA.PRIVATE]: true,
    });
    const right = rightArguments(one.name, session, keys);
    await cryptoki.C_Logout(await made.session());
    if (one.name === "C_DigestKey") await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
    const expected = one.kind === "object" ? "OBJECT_HANDLE_INVALID" : (OF_KEY[one.parameter] ?? "KEY_HANDLE_INVALID");
    for (const handle of [secret, keys.rsa]) {
      if (one.name === "C_DigestKey") await cryptoki.C_SessionCancel(session, CKF.DIGEST);
      if (one.name === "C_DigestKey") await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
      await expect(one.call(cryptoki, { ...right, [one.parameter]: handle })).rejects.toMatchObject(refusal(expected));
    }
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
  });
});

/** Functions that a read-only session has no right to, with what they are asked. */
const WRITERS: Readonly<Record<string, { readonly expected: string; readonly given: (keys: Keys) => Arguments }>> = {
  ...Object.fromEntries(
    Object.entries(MAKERS).map(([name, given]) => [
      name,
      { expected: "SESSION_READ_ONLY", given: (keys: Keys) => given(keys, { [CKA.TOKEN]: true }) },
    ]),
  ),
  C_DestroyObject: { expected: "SESSION_READ_ONLY", given: ({ rsaPublic }) => ({ object: rsaPublic }) },
  C_SetAttributeValue: {
    expected: "SESSION_READ_ONLY",
    given: ({ rsaPublic }) => ({ object: rsaPublic, template: { [CKA.LABEL]: "new" } }),
  },
  C_SetPIN: { expected: "SESSION_READ_ONLY", given: () => ({}) },
  // "... from a session in any other state [than R/W SO] fails with error CKR_USER_NOT_LOGGED_IN."
  C_InitPIN: { expected: "USER_NOT_LOGGED_IN", given: () => ({}) },
  C_UnlockPIN: { expected: "SESSION_READ_ONLY", given: () => ({}) },
  C_SetPUK: { expected: "SESSION_READ_ONLY", given: () => ({}) },
  C_DestroyPrivateKey: { expected: "SESSION_READ_ONLY", given: ({ rsaPublic }) => ({ object: rsaPublic }) },
  C_UnlockWithResponse: { expected: "SESSION_READ_ONLY", given: () => ({}) },
};

describe("a read-only session", () => {
  test.each(Object.entries(WRITERS))("%s", async (name, { expected, given }) => {
    await using its = await scene();
    const { made, keys } = its;
    const session = await made.session(0);
    await beginAll(made, session, keys);
    const before = await visible({ ...its, session });
    const called = made.commands.length;
    await expect(theFunction(name).call(made.cryptoki, { session, ...given(keys) })).rejects.toMatchObject(
      refusal(expected),
    );
    expect(made.commands).toHaveLength(called);
    expect(await visible({ ...its, session })).toEqual(before);
    await finishAll(made, session);
  });

  test.each(["C_Login", "C_LoginUser"])("%s as security officer", async (name) => {
    await using its = await scene();
    const { made } = its;
    await made.cryptoki.C_Logout(its.session);
    const session = await made.session(0);
    for (const one of [session, its.session]) {
      await expect(
        theFunction(name).call(made.cryptoki, { session: one, "user type": CKU.SO, text: "" }),
      ).rejects.toMatchObject(refusal("SESSION_READ_ONLY_EXISTS"));
    }
    expect((await made.cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RO_PUBLIC_SESSION);
  });

  const others = functionsWith("session").filter(({ name }) => !(name in WRITERS));
  test.each(named(others))("%s asks for nothing that needs another", async (_name, { call }) => {
    await using its = await scene();
    const session = await its.made.session(0);
    const outcome = await call(its.made.cryptoki, { session, text: "" }).catch((error: unknown) => error);
    expect(outcome instanceof CryptokiError && outcome.code === "CKR_SESSION_READ_ONLY").toBe(false);
  });
});

/** What asks for a login, and with what arguments. */
const LOGIN_WANTED: Readonly<Record<string, (keys: Keys) => Arguments>> = {
  ...Object.fromEntries(
    Object.entries(MAKERS).map(([name, given]) => [name, (keys: Keys) => given(keys, { [CKA.PRIVATE]: true })]),
  ),
  C_InitPIN: () => ({}),
  C_Logout: () => ({}),
};

describe("without a login", () => {
  test.each(Object.entries(LOGIN_WANTED))("%s", async (name, given) => {
    await using made = await rig(await testCard());
    const session = await made.session();
    const member = await made.loggedIn();
    const keys = await makeKeys(made, session);
    await made.cryptoki.C_Logout(member);
    const objects = await made.find(session, {});
    await expect(theFunction(name).call(made.cryptoki, { session, ...given(keys) })).rejects.toMatchObject(
      refusal("USER_NOT_LOGGED_IN"),
    );
    expect(await made.find(session, {})).toEqual(objects);
    expect((await made.cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
  });

  const withPrivateKey = (["sign", "decrypt", "sign-recover", "message-sign"] as const).map((kind) => KINDS[kind].init);
  test.each([...withPrivateKey, "C_UnwrapKey"])("%s with a key whose login the card lost", async (name) => {
    await using its = await scene();
    const { made, session, keys } = its;
    const { cryptoki } = made;
    const mechanism: CK_MECHANISM = { mechanism: CKM.RSA_PKCS };
    const other = await made.readers.client().connect(READER);
    // VERIFY with P1 = FF (SP 800-73-4 part 2 section 3.2.1), and the first to use the key finds out.
    await other.transmit(fromHex("0020ff80"));
    await other.disconnect();
    await cryptoki.C_SignInit(session, mechanism, keys.rsa);
    await expect(cryptoki.C_Sign(session, utf8("data"))).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await expect(
      theFunction(name).call(cryptoki, { session, mechanism, key: keys.rsa, template: SECRET }),
    ).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  });
});

describe("an operation of its kind is active", () => {
  test.each(EVERY_KIND)("%s", async (_name, kind) => {
    await using its = await scene();
    const { made, session, keys } = its;
    await beginAll(made, session, keys);
    const before = await made.cryptoki.C_GetSessionInfo(session);
    await expect(theFunction(kind.init).call(made.cryptoki, argumentsOf(kind, session, keys))).rejects.toMatchObject(
      refusal("OPERATION_ACTIVE"),
    );
    expect(await made.cryptoki.C_GetSessionInfo(session)).toEqual(before);
    await finishAll(made, session);
  });
});

/** What takes a message whole, or a new one, is not for a message that has begun in parts. */
const NOT_IN_PARTS = [
  "C_Encrypt",
  "C_Decrypt",
  "C_Digest",
  "C_Sign",
  "C_Verify",
  "C_EncryptMessage",
  "C_EncryptMessageBegin",
  "C_MessageEncryptFinal",
  "C_DecryptMessage",
  "C_DecryptMessageBegin",
  "C_MessageDecryptFinal",
  "C_SignMessage",
  "C_SignMessageBegin",
  "C_MessageSignFinal",
  "C_VerifyMessage",
  "C_VerifyMessageBegin",
  "C_MessageVerifyFinal",
] as const;

test.each(NOT_IN_PARTS)("%s while a message comes in parts", async (name) => {
  await using its = await scene();
  const { made, session, keys } = its;
  await beginAll(made, session, keys);
  await expect(theFunction(name).call(made.cryptoki, { session, "message parameter": null })).rejects.toMatchObject(
    refusal("OPERATION_ACTIVE"),
  );
  await finishAll(made, session);
});

/** Functions and the kinds of operation each of which must be under way. */
const STEPS = EVERY_KIND.flatMap(([kind, { steps }]) => steps.map((name) => ({ name, kind })));

describe("an operation that is not initialised", () => {
  test.each(STEPS)("$name without $kind", async ({ name, kind }) => {
    await using its = await scene();
    const { made, session, keys } = its;
    await beginAll(made, session, keys, kind);
    await expect(theFunction(name).call(made.cryptoki, { session })).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
    await finishAll(made, session, kind);
  });

  test.each(["C_EncryptMessageNext", "C_DecryptMessageNext", "C_SignMessageNext", "C_VerifyMessageNext"])(
    "%s without a message",
    async (name) => {
      await using its = await scene();
      const { made, session, keys } = its;
      const [, kind] = EVERY_KIND.find(([, { steps }]) => steps.includes(name)) ?? [];
      if (!kind) throw new Error(`${name} is a step of nothing`);
      await theFunction(kind.init).call(made.cryptoki, argumentsOf(kind, session, keys));
      await expect(theFunction(name).call(made.cryptoki, { session })).rejects.toMatchObject(
        refusal("OPERATION_NOT_INITIALIZED"),
      );
      await kind.part(made.cryptoki, session);
      await kind.finish(made.cryptoki, session);
    },
  );

  test.each<[string, Arguments]>([
    ["C_GetOperationState", {}],
    ["C_Login", { "user type": CKU.CONTEXT_SPECIFIC }],
    ["C_LoginUser", { "user type": CKU.CONTEXT_SPECIFIC, text: "" }],
    ["C_UnlockGetChallenge", {}],
    ["C_UnlockWithResponse", {}],
  ])("%s", async (name, given) => {
    await using its = await scene();
    const { made, session } = its;
    const before = await made.cryptoki.C_GetSessionInfo(session);
    await expect(theFunction(name).call(made.cryptoki, { session, ...given })).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
    expect(await made.cryptoki.C_GetSessionInfo(session)).toEqual(before);
  });
});

const WITH_MECHANISM = EVERY_KIND.filter(([, { mechanism }]) => mechanism !== null);

describe("a null mechanism", () => {
  test.each(WITH_MECHANISM)("ends %s, and nothing else, and another begins", async (_name, kind) => {
    await using its = await scene();
    const { made, session, keys } = its;
    const { cryptoki } = made;
    const cancel = (): Promise<unknown> => theFunction(kind.init).call(cryptoki, { session, mechanism: null, key: 0 });
    await beginAll(made, session, keys);
    for (let turn = 0; turn < 2; turn++) {
      await cancel();
      for (const step of kind.steps) {
        await expect(theFunction(step).call(cryptoki, { session })).rejects.toMatchObject(
          refusal("OPERATION_NOT_INITIALIZED"),
        );
      }
    }
    await theFunction(kind.init).call(cryptoki, argumentsOf(kind, session, keys));
    await kind.part(cryptoki, session);
    await finishAll(made, session);
    await expect(theFunction(first(kind.steps)).call(cryptoki, { session })).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
  });

  const others = functionsWith("mechanism").filter(({ name }) => kindOfInit(name) === undefined);
  test.each(named(others))("is none for %s", async (name, { call }) => {
    await using its = await scene();
    const { made, session, keys } = its;
    await beginAll(made, session, keys);
    await expect(
      call(made.cryptoki, { ...rightArguments(name, session, keys), mechanism: null }),
    ).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await finishAll(made, session);
  });
});

describe("C_SessionCancel", () => {
  test.each(EVERY_KIND)("ends %s by its flag, and nothing else", async (name, { flag, steps }) => {
    await using its = await scene();
    const { made, session, keys } = its;
    await beginAll(made, session, keys);
    await made.cryptoki.C_SessionCancel(session, 0);
    await made.cryptoki.C_SessionCancel(session, flag);
    await made.cryptoki.C_SessionCancel(session, flag);
    await expect(theFunction(first(steps)).call(made.cryptoki, { session })).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
    await finishAll(made, session, name);
  });
});
