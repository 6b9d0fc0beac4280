import { createECDH, generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Cryptoki, Template } from "../../src/cryptoki/index.ts";
import {
  type CallOptions,
  CK,
  CKA,
  CKD,
  CKF,
  CKG,
  CKK,
  CKM,
  CKO,
  CKU,
  type CryptokiFunctions,
} from "../../src/cryptoki/index.ts";
import { P11KitModule } from "../../src/p11kit/index.ts";
import { concat, utf8 } from "../../src/bytes/index.ts";
import { testCard } from "../virtual/keys.ts";
import { first, PIN, refusal } from "../cryptoki/rig.ts";
import { ServerRig } from "./rig.ts";

let rig: ServerRig;

beforeAll(async () => {
  rig = await ServerRig.start(await testCard());
});
afterAll(() => rig[Symbol.asyncDispose]());

async function find(module: CryptokiFunctions, session: number, template: Template): Promise<number[]> {
  await module.C_FindObjectsInit(session, template);
  const found = await module.C_FindObjects(session);
  await module.C_FindObjectsFinal(session);
  return found;
}

describe.each([0, 1, 2])("a module over version %d of the protocol", (version) => {
  let remote: P11KitModule;
  let local: Cryptoki;
  let slot: number;

  beforeAll(async () => {
    remote = await rig.module({ version });
    local = rig.local.cryptoki;
    slot = await rig.local.slot();
  });
  afterAll(() => remote[Symbol.asyncDispose]());

  /** What `work` gives must be the same here and there. */
  async function same(work: (module: CryptokiFunctions) => Promise<unknown>): Promise<void> {
    const [here, there] = [await work(local), await work(remote)];
    expect(there).toEqual(here);
  }

  async function loggedIn(): Promise<number> {
    const session = await remote.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await remote.C_Login(session, CKU.USER, PIN).catch((error: unknown) => {
      expect(error).toMatchObject(refusal("USER_ALREADY_LOGGED_IN"));
    });
    return session;
  }

  test("has the same slots, tokens and objects", async () => {
    await same((module) => module.C_GetSlotList(true));
    await same((module) => module.C_GetSlotInfo(slot));
    const info = await remote.C_GetTokenInfo(slot);
    const { ulSessionCount, ulRwSessionCount } = info;
    expect({ ...(await local.C_GetTokenInfo(slot)), ulSessionCount, ulRwSessionCount }).toEqual(info);
    expect(info.ulTotalPublicMemory).toBe(CK.UNAVAILABLE_INFORMATION);
    await same((module) => module.C_GetMechanismInfo(slot, CKM.ECDSA));
    await same(async (module) => {
      const session = await module.C_OpenSession(slot, CKF.SERIAL_SESSION);
      const objects = await find(module, session, {});
      const labels = [];
      for (const object of objects) {
        labels.push(await module.C_GetAttributeValue(session, object, [CKA.CLASS, CKA.TOKEN, CKA.PRIVATE]));
      }
      await module.C_CloseSession(session);
      return labels;
    });
  });

  test("lists what the protocol carries, and nothing else", async () => {
    const list = await remote.C_GetMechanismList(slot);
    expect(list).toContain(CKM.RSA_PKCS_PSS);
    expect(list.includes(CKM.ECDSA_SHA256)).toBe(version >= 1);
    expect(await local.C_GetMechanismList(slot)).toEqual(expect.arrayContaining(list));
  });

  test("tells values, and what keeps others back", async () => {
    const session = await loggedIn();
    const key = first(await find(remote, session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) }));
    const types = [CKA.KEY_TYPE, CKA.SIGN, CKA.ALLOWED_MECHANISMS, CKA.START_DATE, CKA.PRIVATE_EXPONENT];
    await expect(remote.C_GetAttributeValue(session, key, types)).rejects.toMatchObject({
      ...refusal("ATTRIBUTE_SENSITIVE"),
      values: { [CKA.KEY_TYPE]: CKK.RSA, [CKA.SIGN]: true, [CKA.ALLOWED_MECHANISMS]: expect.any(Array) },
    });
    await expect(remote.C_GetAttributeValue(session, key, [CKA.WRAP_TEMPLATE])).rejects.toMatchObject(
      refusal("ATTRIBUTE_TYPE_INVALID"),
    );
    await remote.C_CloseSession(session);
  });

  test("signs, verifies, decrypts, digests and derives", async () => {
    const session = await loggedIn();
    const data = utf8("a letter");
    const rsa = { [CKA.ID]: Uint8Array.of(1) };
    const key = first(await find(remote, session, { ...rsa, [CKA.CLASS]: CKO.PRIVATE_KEY }));
    const publicKey = first(await find(remote, session, { ...rsa, [CKA.CLASS]: CKO.PUBLIC_KEY }));
    const pss = { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, sLen: 32 };
    const { digest } = { digest: await local.C_GenerateRandom(await rig.local.session(), 32) };
    for (const [mechanism, message] of [
      [{ mechanism: CKM.SHA256_RSA_PKCS }, data],
      [{ mechanism: CKM.RSA_PKCS_PSS, parameter: pss }, digest],
    ] as const) {
      await remote.C_SignInit(session, mechanism, key);
      const signature = await remote.C_Sign(session, message);
      await remote.C_VerifyInit(session, mechanism, publicKey);
      await remote.C_Verify(session, message, signature);
      await remote.C_VerifyInit(session, mechanism, publicKey);
      await expect(remote.C_Verify(session, utf8("another"), signature)).rejects.toMatchObject(
        expect.objectContaining({ code: expect.stringMatching(/CKR_(SIGNATURE_INVALID|DATA_LEN_RANGE)/u) }),
      );
    }
    const oaep = { hashAlg: CKM.SHA_1, mgf: CKG.MGF1_SHA1, source: 0, pSourceData: utf8("label") };
    await remote.C_EncryptInit(session, { mechanism: CKM.RSA_PKCS_OAEP, parameter: oaep }, publicKey);
    const encrypted = await remote.C_Encrypt(session, data);
    await remote.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS_OAEP, parameter: oaep }, key);
    expect(await remote.C_Decrypt(session, encrypted)).toEqual(data);
    await remote.C_DigestInit(session, { mechanism: CKM.SHA256 });
    await remote.C_DigestUpdate(session, data);
    const hash = await remote.C_DigestFinal(session);
    await remote.C_DigestInit(session, { mechanism: CKM.SHA256 });
    expect(await remote.C_Digest(session, data)).toEqual(hash);
    expect(await remote.C_GenerateRandom(session, 33)).toHaveLength(33);
    expect(await remote.C_GenerateRandom(session, 0)).toHaveLength(0);
    await remote.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await remote.C_SignInit(session, null, key);
    await expect(remote.C_Sign(session, data)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
    await remote.C_CloseSession(session);
  });

  test("throws the errors that the functions throw", async () => {
    const session = await remote.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await expect(remote.C_GetSlotInfo(999)).rejects.toMatchObject(refusal("SLOT_ID_INVALID"));
    await expect(remote.C_GetSessionInfo(2 ** 40)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    await expect(remote.C_WaitForSlotEvent(CKF.DONT_BLOCK)).rejects.toMatchObject(refusal("NO_EVENT"));
    await expect(remote.C_DigestInit(session, { mechanism: CKM.SHA3_256 })).rejects.toMatchObject(
      refusal("MECHANISM_INVALID"),
    );
    await expect(remote.C_DigestInit(session, 5 as never)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await expect(remote.C_FindObjectsInit(session, undefined as never)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await remote.C_CloseSession(session);
  });

  test("leaves a wait when it is told to, and works on", async () => {
    const waiting = new AbortController();
    const event = remote.C_WaitForSlotEvent(0, { signal: waiting.signal });
    await remote.C_GetSlotList(true);
    waiting.abort();
    await expect(event).rejects.toMatchObject(refusal("FUNCTION_CANCELED"));
    await remote.C_GetSlotList(true);
  });
});

describe.each([1, 2])("what the older protocol does not carry, version %d does", (version) => {
  test("derives a secret with ECDH", async () => {
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const card = await testCard({ keys: { "9d": { privateKey: pair.privateKey } } });
    await using own = await ServerRig.start(card);
    await using module = await own.module({ version });
    const session = await module.C_OpenSession(await own.local.slot(), CKF.SERIAL_SESSION);
    await module.C_Login(session, CKU.USER, PIN);
    const key = first(await find(module, session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(3) }));
    const peer = createECDH("prime256v1");
    const parameter = { kdf: CKD.NULL, pPublicData: new Uint8Array(peer.generateKeys()) };
    const secret = await module.C_DeriveKey(session, { mechanism: CKM.ECDH1_DERIVE, parameter }, key, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.SENSITIVE]: false,
      [CKA.EXTRACTABLE]: true,
    });
    const { x = "", y = "" } = pair.publicKey.export({ format: "jwk" });
    const point = Buffer.concat([Uint8Array.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
    const { [CKA.VALUE]: value } = await module.C_GetAttributeValue(session, secret, [CKA.VALUE]);
    expect(value).toEqual(new Uint8Array(peer.computeSecret(point)));
  });

  test("works with keys of the session: AES in parts and whole, MACs, wrapping, messages", async () => {
    await using module = await rig.module({ version });
    const session = await module.C_OpenSession(await rig.local.slot(), CKF.SERIAL_SESSION | CKF.RW_SESSION);
    const key = await module.C_GenerateKey(
      session,
      { mechanism: CKM.AES_KEY_GEN },
      { ...uses(CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY), [CKA.VALUE_LEN]: 16, [CKA.EXTRACTABLE]: true },
    );
    const data = utf8("a letter that is longer than a block");
    for (const mechanism of [
      { mechanism: CKM.AES_CBC_PAD, parameter: new Uint8Array(16) },
      { mechanism: CKM.AES_CTR, parameter: { ulCounterBits: 128, cb: new Uint8Array(16) } },
      { mechanism: CKM.AES_GCM, parameter: { pIv: new Uint8Array(12), pAAD: utf8("head"), ulTagBits: 128 } },
    ]) {
      await module.C_EncryptInit(session, mechanism, key);
      const encrypted = await module.C_Encrypt(session, data);
      await module.C_DecryptInit(session, mechanism, key);
      const parts: Uint8Array[] = [];
      for (const byte of encrypted) parts.push(await module.C_DecryptUpdate(session, Uint8Array.of(byte)));
      parts.push(await module.C_DecryptFinal(session));
      expect(concat(...parts)).toEqual(data);
    }
    const cmac = { mechanism: CKM.AES_CMAC };
    await module.C_SignInit(session, cmac, key);
    const mac = await module.C_Sign(session, data);
    await module.C_VerifyInit(session, cmac, key);
    await module.C_Verify(session, data, mac);
    const copy = await module.C_CopyObject(session, key, { [CKA.LABEL]: "copy" });
    expect(await module.C_GetAttributeValue(session, copy, [CKA.LABEL])).toEqual({ [CKA.LABEL]: "copy" });
    await expect(
      module.C_EncryptMessage(session, { pIv: new Uint8Array(12) } as never, data, data),
    ).rejects.toMatchObject(refusal("FUNCTION_NOT_SUPPORTED"));
    await module.C_DestroyObject(session, copy);
  });
});

/** Attributes that are true, of an object of the session. */
const uses = (...types: readonly number[]): object => ({
  [CKA.TOKEN]: false,
  ...Object.fromEntries(types.map((type) => [type, true])),
});

describe("a module", () => {
  test("is not there before C_Initialize, and after C_Finalize", async () => {
    const module = new P11KitModule({ address: rig.address });
    await expect(module.C_GetSlotList(true)).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
    await module.C_Initialize();
    await expect(module.C_Initialize()).rejects.toMatchObject(refusal("CRYPTOKI_ALREADY_INITIALIZED"));
    await module.C_Finalize();
    await expect(module.C_Finalize()).rejects.toMatchObject(refusal("CRYPTOKI_NOT_INITIALIZED"));
    await module.C_Initialize();
    await module.C_Finalize();
  });

  test("without a server says so", async () => {
    const module = new P11KitModule({ address: "unix:path=/nowhere/at/all" });
    await expect(module.C_Initialize()).rejects.toThrow(
      /CKR_GENERAL_ERROR: no connection to the server: no server at/u,
    );
    const command = new P11KitModule({ address: "|/no/such/program" });
    await expect(command.C_Initialize()).rejects.toThrow(/\/no\/such\/program does not start/u);
    const ends = new P11KitModule({ address: "true" });
    await expect(ends.C_Initialize()).rejects.toThrow(
      /closed the connection before its first answer: check its command/u,
    );
  });

  test("is told once that its server is gone", async () => {
    await using own = await ServerRig.start(await testCard());
    const module = await own.module();
    const event = module.C_WaitForSlotEvent(0);
    await own.server[Symbol.asyncDispose]();
    await expect(event).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    await expect(module.C_GetSlotList(true)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    await module.C_Finalize();
  });
});

test("a signal stands in { signal }, and nothing else comes last, also of what never reaches the server", async () => {
  await using module = await rig.module();
  const habits = [
    ...[6, null, "now", []].map((habit) => [habit, /lengths are not given$/u] as const),
    [new AbortController().signal, /not the AbortSignal itself$/u],
    [{ signal: new AbortController() }, /is an AbortSignal$/u],
  ] as const;
  for (const [habit, message] of habits) {
    const told = { ...refusal("ARGUMENTS_BAD"), message: expect.stringMatching(message) };
    const given = habit as unknown as CallOptions;
    await expect(module.C_GetInfo(given)).rejects.toMatchObject(told);
    await expect(module.C_Login(1, CKU.USER, PIN, given)).rejects.toMatchObject(told);
    await expect(module.C_GetAttributeValue(1, 1, [CKA.ID], given)).rejects.toMatchObject(told);
    await expect(module.C_FindObjects(1, 1, given)).rejects.toMatchObject(told);
    await expect(module.C_Finalize(given)).rejects.toMatchObject(told);
    await expect(new P11KitModule({ address: rig.address }).C_Initialize(given)).rejects.toMatchObject(told);
  }
  expect(await module.C_GetSlotList(true, { signal: new AbortController().signal })).toHaveLength(1);
});
