import { randomBytes } from "node:crypto";
import { describe, expect, jest, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKS, CKU, Cryptoki, type Template, mechanismOf } from "../../src/cryptoki/index.ts";
import { MemoryReaders, type Pcsc } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { fake } from "./fake-rig.ts";
import { READER, refusal, rig, settled } from "./rig.ts";
import { AGREEABLE, FAKE } from "./two-pin-card.ts";

const NEW = "654321";
const RESPONSE = utf8("egnellahc");

describe("variables", () => {
  test("of the driver are there before C_Initialize, and stay as they are", async () => {
    const cryptoki = new Cryptoki({ pcsc: new MemoryReaders().client(), profiles: [] });
    expect(await cryptoki.C_GetVariable("netid-system-info")).toMatch(/^cryptoki; /u);
    expect(await cryptoki.C_GetVariable("netid-soft-token-type")).toBe("none");
    await expect(cryptoki.C_GetVariable("mine")).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await cryptoki.C_Initialize();
    await expect(cryptoki.C_SetVariable("netid-system-info", "x")).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await cryptoki.C_Finalize();
  });

  test("of the application are what it set, until C_Finalize, and reach the card", async () => {
    await using made = await fake();
    const { cryptoki, session, tokens } = made;
    await cryptoki.C_SetVariable("profile", "office");
    expect(await cryptoki.C_GetVariable("profile")).toBe("office");
    await cryptoki.C_CloseSession(session);
    await cryptoki.C_InitToken(0, FAKE.SO_PIN, "New");
    expect(tokens[0]?.asked).toEqual(['init token [["profile","office"]]']);
    await cryptoki.C_SetVariable("profile", null);
    await expect(cryptoki.C_GetVariable("profile")).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    for (const [name, value] of [
      ["", "x"],
      ["x".repeat(257), "x"],
      ["x", "x".repeat(65_537)],
    ] as const) {
      await expect(cryptoki.C_SetVariable(name, value)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    }
    for (let count = 0; count < 256; count++) await cryptoki.C_SetVariable(`name ${count}`, "");
    await expect(cryptoki.C_SetVariable("one more", "")).rejects.toMatchObject(refusal("HOST_MEMORY"));
  });
});

describe("C_Reinitialize", () => {
  test("ends what every application has with the card, and its logins on the card", async () => {
    await using made = await fake();
    const { cryptoki, session, tokens } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(0, CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, "PIN1");
    const [before] = tokens;
    await cryptoki.C_Reinitialize(0);
    expect(before?.asked).toEqual(["login user", "logout"]);
    await expect(cryptoki.C_GetSessionInfo(session)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    await expect(other.C_GetSessionInfo(theirs)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    expect(await other.C_WaitForSlotEvent(CKF.DONT_BLOCK)).toBe(0);
    const again = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION);
    expect((await cryptoki.C_GetSessionInfo(again)).state).toBe(CKS.RO_PUBLIC_SESSION);
    expect(tokens[0]).not.toBe(before);
  });
});

test("C_HasNewEvent tells every event to every caller, whatever C_WaitForSlotEvent took", async () => {
  await using made = await rig();
  const { cryptoki, readers } = made;
  await expect(cryptoki.C_HasNewEvent(0)).rejects.toMatchObject(refusal("NO_EVENT"));
  readers.insert(READER, AGREEABLE);
  expect(await cryptoki.C_WaitForSlotEvent(0)).toBe(0);
  const [first, second] = [await cryptoki.C_HasNewEvent(0), await cryptoki.C_HasNewEvent(0)];
  expect(first).toBe(second);
  await expect(cryptoki.C_HasNewEvent(first)).rejects.toMatchObject(refusal("NO_EVENT"));
  readers.eject(READER);
  await settled();
  expect(await cryptoki.C_HasNewEvent(first)).toBeGreaterThan(first);
  await expect(cryptoki.C_HasNewEvent(-1)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
});

describe("unblocking by challenge and response", () => {
  test("sets the PIN if the response is right", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await cryptoki.C_UnlockBegin(0, 60_000);
    const challenge = await cryptoki.C_UnlockGetChallenge(session);
    await cryptoki.C_UnlockWithResponse(session, challenge.toReversed(), NEW);
    await cryptoki.C_Login(session, CKU.USER, NEW);
  });

  test("is over after one response, right or wrong, and before it has begun", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    const notBegun = refusal("OPERATION_NOT_INITIALIZED");
    await expect(cryptoki.C_UnlockGetChallenge(session)).rejects.toMatchObject(notBegun);
    await cryptoki.C_UnlockBegin(0, 60_000);
    await cryptoki.C_UnlockGetChallenge(session);
    await expect(cryptoki.C_UnlockWithResponse(session, utf8("?"), NEW)).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    await expect(cryptoki.C_UnlockWithResponse(session, RESPONSE, NEW)).rejects.toMatchObject(notBegun);
    await cryptoki.C_UnlockBegin(0, 60_000);
    await cryptoki.C_UnlockBegin(0, 0);
    await expect(cryptoki.C_UnlockGetChallenge(session)).rejects.toMatchObject(notBegun);
  });

  test("keeps the card from other callers and other programs meanwhile", async () => {
    await using made = await fake();
    const { cryptoki, session, tokens } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(0, CKF.SERIAL_SESSION);
    await using program = await made.readers.client({ patience: 20 }).connect(READER);
    await cryptoki.C_UnlockBegin(0, 60_000);
    const challenge = await cryptoki.C_UnlockGetChallenge(session);
    const login = other.C_Login(theirs, CKU.USER, NEW);
    await expect(program.transmit(Uint8Array.of(0, 0x20, 0, 0))).rejects.toThrow("SCARD_E_SHARING_VIOLATION");
    await settled();
    expect(tokens[0]?.asked).toEqual(["challenge"]);
    await cryptoki.C_UnlockWithResponse(session, challenge.toReversed(), NEW);
    await login;
    expect(tokens[0]?.asked).toEqual(["challenge", "response", "login user"]);
    await program.transmit(Uint8Array.of(0, 0x20, 0, 0));
  });

  test.each([
    [
      "its time runs out",
      (): void => {
        jest.advanceTimersByTime(50);
      },
    ],
    ["the session is closed", (cryptoki: Cryptoki, session: number): unknown => cryptoki.C_CloseSession(session)],
    ["C_Finalize is called", (cryptoki: Cryptoki): unknown => cryptoki.C_Finalize()],
  ])("lets go of the card when %s", async (what, end) => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(0, CKF.SERIAL_SESSION);
    if (what.startsWith("its time")) jest.useFakeTimers();
    try {
      await cryptoki.C_UnlockBegin(0, 50);
      const login = other.C_Login(theirs, CKU.USER, "PIN1");
      await end(cryptoki, session);
      await login;
    } finally {
      jest.useRealTimers();
    }
  });

  test("ends with its application, which need not have a session", async () => {
    await using made = await fake();
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    await other.C_UnlockBegin(0, 60_000);
    await other.C_Finalize();
    await made.cryptoki.C_Login(made.session, CKU.USER, "PIN1");
  });

  test("has the card for one of several who want it at a time", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(0, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    const unlock = async (one: Cryptoki, handle: number): Promise<void> => {
      await one.C_UnlockBegin(0, 60_000);
      const challenge = await one.C_UnlockGetChallenge(handle);
      await settled();
      await one.C_UnlockWithResponse(handle, challenge.toReversed(), NEW);
    };
    await Promise.all([unlock(cryptoki, session), unlock(other, theirs)]);
    expect(made.tokens[0]?.asked).toEqual(["challenge", "response", "challenge", "response"]);
  });

  test("is not disturbed by another's logout", async () => {
    await using made = await fake();
    const { cryptoki, session, tokens } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(0, CKF.SERIAL_SESSION);
    await other.C_Login(theirs, CKU.USER, "PIN1");
    await cryptoki.C_UnlockBegin(0, 60_000);
    const challenge = await cryptoki.C_UnlockGetChallenge(session);
    const closing = other.C_CloseSession(theirs);
    await settled();
    await cryptoki.C_UnlockWithResponse(session, challenge.toReversed(), NEW);
    await closing;
    expect(tokens[0]?.asked).toEqual(["login user", "challenge", "response", "logout"]);
  });

  test("lets others wait for a bounded time", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    await cryptoki.C_UnlockBegin(0, 60_000);
    const stop = AbortSignal.timeout(20);
    await expect(cryptoki.C_Login(session, CKU.USER, "PIN1", { signal: stop })).rejects.toMatchObject(
      refusal("FUNCTION_CANCELED"),
    );
    await expect(other.C_GetTokenInfo(0)).rejects.toMatchObject({
      ...refusal("DEVICE_ERROR"),
      message: expect.stringContaining("unblocking"),
    });
  }, 10_000);

  test("is nothing that a PIV card does", async () => {
    await using made = await rig(await testCard());
    await expect(made.cryptoki.C_UnlockBegin(0, 1000)).rejects.toMatchObject(refusal("FUNCTION_NOT_SUPPORTED"));
    await expect(made.cryptoki.C_UnlockBegin(0, 600_001)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
  });
});

describe("readers that a program brings along", () => {
  test("have slots beside the others, in every application, until they are taken away", async () => {
    await using made = await fake();
    const { cryptoki } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const mine = new MemoryReaders();
    // A name may be there twice.
    mine.plug(READER);
    mine.insert(READER, AGREEABLE);
    const added = await cryptoki.C_AddSlot(mine.client());
    expect(added).toEqual([1]);
    expect(await other.C_GetSlotList(true)).toEqual([0, 1]);
    const session = await other.C_OpenSession(1, CKF.SERIAL_SESSION);
    await other.C_Login(session, CKU.USER, "PIN1");
    await expect(other.C_RemoveSlot(1)).rejects.toMatchObject(refusal("ACTION_PROHIBITED"));
    await expect(cryptoki.C_RemoveSlot(0)).rejects.toMatchObject(refusal("ACTION_PROHIBITED"));
    await cryptoki.C_RemoveSlot(1);
    expect(await other.C_GetSlotList(false)).toEqual([0]);
    await expect(other.C_GetSessionInfo(session)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    await expect(cryptoki.C_RemoveSlot(1)).rejects.toMatchObject(refusal("SLOT_ID_INVALID"));
  });

  test("come and go with events of their own, and go with their application", async () => {
    await using made = await fake();
    const mine = new MemoryReaders();
    {
      await using other = new Cryptoki({ slots: made.cryptoki.slots });
      await other.C_Initialize();
      expect(await other.C_AddSlot(mine.client())).toEqual([]);
      mine.plug("Telephone");
      expect(await made.cryptoki.C_WaitForSlotEvent(0)).toBe(1);
      expect(await made.cryptoki.C_GetSlotList(false)).toEqual([0, 1]);
    }
    expect(await made.cryptoki.C_GetSlotList(false)).toEqual([0]);
  });

  test("are readers", async () => {
    await using made = await fake();
    for (const none of [null, {}, "reader"]) {
      await expect(made.cryptoki.C_AddSlot(none as unknown as Pcsc)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    }
  });
});

describe("an engine", () => {
  test("makes the random numbers, if there is one for them", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await cryptoki.C_AddEngine(null, { name: "sevens", random: (length) => new Uint8Array(length).fill(7) });
    expect(await cryptoki.C_GenerateRandom(session, 3)).toEqual(Uint8Array.of(7, 7, 7));
    await cryptoki.C_AddEngine(null, { name: "short", random: () => new Uint8Array(1) });
    await expect(cryptoki.C_GenerateRandom(session, 3)).rejects.toMatchObject(refusal("FUNCTION_FAILED"));
    await cryptoki.C_AddEngine(null, { name: "broken", random: () => Promise.reject(new Error("no")) });
    await expect(cryptoki.C_GenerateRandom(session, 3)).rejects.toMatchObject(refusal("FUNCTION_FAILED"));
    await cryptoki.C_AddEngine(null, null);
    expect(await cryptoki.C_GenerateRandom(session, 64)).not.toEqual(new Uint8Array(64).fill(7));
  });

  test("makes the random numbers of secret keys, and the host's again without it", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    const value = async (mechanism: number, template: Template): Promise<Uint8Array> => {
      const readable = { [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true };
      const key = await cryptoki.C_GenerateKey(session, mechanismOf(mechanism), { ...template, ...readable });
      return (await cryptoki.C_GetAttributeValue(session, key, [CKA.VALUE]))[CKA.VALUE];
    };
    await cryptoki.C_AddEngine(null, { name: "sevens", random: (length) => new Uint8Array(length).fill(7) });
    expect(await value(CKM.AES_KEY_GEN, { [CKA.VALUE_LEN]: 32 })).toEqual(new Uint8Array(32).fill(7));
    expect(await value(CKM.GENERIC_SECRET_KEY_GEN, { [CKA.VALUE_LEN]: 5 })).toEqual(new Uint8Array(5).fill(7));
    expect(await value(CKM.DES3_KEY_GEN, {})).toEqual(new Uint8Array(24).fill(7));
    await cryptoki.C_AddEngine(null, { name: "short", random: () => new Uint8Array(1) });
    await expect(value(CKM.AES_KEY_GEN, { [CKA.VALUE_LEN]: 32 })).rejects.toMatchObject(refusal("FUNCTION_FAILED"));
    await cryptoki.C_AddEngine(null, null);
    expect(await value(CKM.AES_KEY_GEN, { [CKA.VALUE_LEN]: 32 })).not.toEqual(new Uint8Array(32).fill(7));
  });

  test("makes the random numbers of key pairs", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    const pair = async (mechanism: number, template: Template): Promise<number[]> => {
      const keys = await cryptoki.C_GenerateKeyPair(session, mechanismOf(mechanism), template, {
        [CKA.SENSITIVE]: false,
        [CKA.EXTRACTABLE]: true,
      });
      return [keys.publicKey, keys.privateKey];
    };
    const value = async (mechanism: number, template: Template): Promise<Uint8Array> => {
      const [, key = 0] = await pair(mechanism, template);
      return (await cryptoki.C_GetAttributeValue(session, key, [CKA.VALUE]))[CKA.VALUE];
    };
    await cryptoki.C_AddEngine(null, { name: "sevens", random: (length) => new Uint8Array(length).fill(7) });
    const p256 = { [CKA.EC_PARAMS]: fromHex("06082a8648ce3d030107") };
    const ed25519 = { [CKA.EC_PARAMS]: fromHex("06032b6570") };
    expect(await value(CKM.EC_KEY_PAIR_GEN, p256)).toEqual(new Uint8Array(32).fill(7));
    expect(await value(CKM.EC_EDWARDS_KEY_PAIR_GEN, ed25519)).toEqual(new Uint8Array(32).fill(7));
    const rsa = { [CKA.MODULUS_BITS]: 1024 };
    await expect(pair(CKM.RSA_PKCS_KEY_PAIR_GEN, rsa)).rejects.toMatchObject({
      ...refusal("FUNCTION_FAILED"),
      message: expect.stringContaining("make no primes"),
    });

    // More than the order: the next number is asked for.
    let asked = 0;
    const high = (length: number): Uint8Array => new Uint8Array(length).fill(asked++ === 0 ? 0xff : 3);
    await cryptoki.C_AddEngine(null, { name: "high at first", random: high });
    expect(await value(CKM.EC_KEY_PAIR_GEN, p256)).toEqual(new Uint8Array(32).fill(3));
    expect(asked).toBe(2);

    asked = 0;
    const counted = (length: number): Uint8Array => {
      asked++;
      return new Uint8Array(randomBytes(length));
    };
    await cryptoki.C_AddEngine(null, { name: "counted", random: counted });
    const [publicKey = 0, privateKey = 0] = await pair(CKM.RSA_PKCS_KEY_PAIR_GEN, rsa);
    expect(asked).toBeGreaterThan(1);
    const mechanism = { mechanism: CKM.SHA256_RSA_PKCS };
    await cryptoki.C_SignInit(session, mechanism, privateKey);
    const signature = await cryptoki.C_Sign(session, utf8("data"));
    await cryptoki.C_VerifyInit(session, mechanism, publicKey);
    await cryptoki.C_Verify(session, utf8("data"), signature);
    const { [CKA.MODULUS]: modulus } = await cryptoki.C_GetAttributeValue(session, publicKey, [CKA.MODULUS]);
    expect([modulus.length, (modulus[0] ?? 0) >= 0x80]).toEqual([128, true]);
  });

  test("that would not be called is refused, and says for what it would be", async () => {
    await using made = await fake();
    const { cryptoki } = made;
    const all = {
      name: "all",
      random: (length: number) => new Uint8Array(length),
      verify: () => true,
      encrypt: () => new Uint8Array(),
    };
    for (const mechanism of [
      CKM.AES_CBC,
      CKM.SHA256,
      CKM.SHA256_HMAC,
      CKM.AES_KEY_GEN,
      CKM.RSA_PKCS_KEY_PAIR_GEN,
      CKM.ECDH1_DERIVE,
      CKM.DSA,
      0x80001234,
    ]) {
      await expect(cryptoki.C_AddEngine(mechanism, all)).rejects.toMatchObject({
        ...refusal("MECHANISM_INVALID"),
        message: expect.stringMatching(/no engine is called for .*: engines verify and encrypt with public RSA/u),
      });
      await cryptoki.C_AddEngine(mechanism, null);
    }
    for (const [mechanism, functions, wanted] of [
      [null, { verify: all.verify }, "an engine for random numbers needs the function random"],
      [CKM.ECDSA, { encrypt: all.encrypt, random: all.random }, "CKM_ECDSA needs the function verify"],
      [CKM.RSA_PKCS_OAEP, { verify: all.verify }, "CKM_RSA_PKCS_OAEP needs the function encrypt"],
      [CKM.RSA_PKCS, {}, "CKM_RSA_PKCS needs the function verify or encrypt"],
    ] as const) {
      await expect(cryptoki.C_AddEngine(mechanism, { name: "some", ...functions })).rejects.toMatchObject({
        ...refusal("MECHANISM_INVALID"),
        message: expect.stringContaining(wanted),
      });
    }
    await cryptoki.C_AddEngine(CKM.EDDSA, { name: "some", verify: all.verify });
  });

  test("verifies and encrypts with public keys in place of the host", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const key = await made.publicKey(session, 1);
    const asked: unknown[] = [];
    const signature = new Uint8Array(256).fill(1);
    await cryptoki.C_AddEngine(CKM.SHA256_RSA_PKCS, {
      name: "credulous",
      verify: (publicKey, message, given) => {
        asked.push([publicKey[0], message, given.length]);
        return given[0] === 1;
      },
    });
    await cryptoki.C_VerifyInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await cryptoki.C_VerifyUpdate(session, utf8("da"));
    await cryptoki.C_VerifyUpdate(session, utf8("ta"));
    await cryptoki.C_VerifyFinal(session, signature);
    expect(asked).toEqual([[0x30, utf8("data"), 256]]);
    for (const [wrong, name] of [
      [signature.subarray(1), "SIGNATURE_LEN_RANGE"],
      [new Uint8Array(256), "SIGNATURE_INVALID"],
    ] as const) {
      await cryptoki.C_VerifyInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      await expect(cryptoki.C_Verify(session, utf8("data"), wrong)).rejects.toMatchObject(refusal(name));
    }
    // Another mechanism is the host's still.
    await cryptoki.C_VerifyInit(session, { mechanism: CKM.SHA512_RSA_PKCS }, key);
    await expect(cryptoki.C_Verify(session, utf8("data"), signature)).rejects.toMatchObject(
      refusal("SIGNATURE_INVALID"),
    );

    await cryptoki.C_AddEngine(CKM.RSA_PKCS, { name: "twos", encrypt: () => new Uint8Array(256).fill(2) });
    await cryptoki.C_EncryptInit(session, { mechanism: CKM.RSA_PKCS }, key);
    expect(await cryptoki.C_Encrypt(session, utf8("data"))).toEqual(new Uint8Array(256).fill(2));
    await cryptoki.C_AddEngine(CKM.RSA_PKCS, { name: "short", encrypt: () => new Uint8Array(2) });
    await cryptoki.C_EncryptInit(session, { mechanism: CKM.RSA_PKCS }, key);
    await expect(cryptoki.C_Encrypt(session, utf8("data"))).rejects.toMatchObject(refusal("FUNCTION_FAILED"));
  });
});
