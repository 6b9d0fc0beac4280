import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { createCipheriv, createHash, createHmac } from "node:crypto";
import { CKA, CKK, CKM, CKO, type Cryptoki } from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { refusal, rig, type Rig } from "./rig.ts";

/** Bytes between two turns of the event loop. */
const TURN = 256 * 1024;
const TURNS = 8;
const LONG = Uint8Array.from({ length: TURNS * TURN + 5 }, (_, index) => index * 7);
const VALUE = new Uint8Array(16).fill(9);
const IV = new Uint8Array(16).fill(3);
const GCM = { mechanism: CKM.AES_GCM, parameter: { pIv: IV.subarray(4), pAAD: new Uint8Array(), ulTagBits: 128 } };
const CBC = { mechanism: CKM.AES_CBC_PAD, parameter: IV };

let local: Rig;
let cryptoki: Cryptoki;
let session: number;
let aes: number;
let secret: number;

beforeAll(async () => {
  local = await rig(await testCard());
  ({ cryptoki } = local);
});
afterAll(() => local[Symbol.asyncDispose]());
beforeEach(async () => {
  session = await local.session();
  aes = await keyOf(CKK.AES, { [CKA.ENCRYPT]: true, [CKA.DECRYPT]: true });
  secret = await keyOf(CKK.GENERIC_SECRET, { [CKA.SIGN]: true, [CKA.VERIFY]: true });
});

function keyOf(type: number, uses: Readonly<Record<number, boolean>>): Promise<number> {
  const template = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: type, [CKA.TOKEN]: false, [CKA.PRIVATE]: false };
  return cryptoki.C_CreateObject(session, { ...template, ...uses, [CKA.VALUE]: VALUE });
}

/** The result of `work`, and how often the event loop turned meanwhile. */
async function counted<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly turned: number }> {
  let turned = 0;
  let over = false;
  const turn = (): void => {
    turned++;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    return { result: await work(), turned };
  } finally {
    over = true;
  }
}

const sealed = (): Uint8Array => {
  const cipher = createCipheriv("aes-128-gcm", VALUE, IV.subarray(4));
  return Buffer.concat([cipher.update(LONG), cipher.final(), cipher.getAuthTag()]);
};
const chained = (): Uint8Array => {
  const cipher = createCipheriv("aes-128-cbc", VALUE, IV);
  return Buffer.concat([cipher.update(LONG), cipher.final()]);
};
const same = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0;

describe("the event loop turns while a call works on long data:", () => {
  test("C_Digest", async () => {
    await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
    const { result, turned } = await counted(() => cryptoki.C_Digest(session, LONG));
    expect(same(result, createHash("sha256").update(LONG).digest())).toBe(true);
    expect(turned).toBeGreaterThanOrEqual(TURNS);
  });

  test("C_DigestUpdate", async () => {
    await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
    const { turned } = await counted(() => cryptoki.C_DigestUpdate(session, LONG));
    expect(turned).toBeGreaterThanOrEqual(TURNS);
    expect(same(await cryptoki.C_DigestFinal(session), createHash("sha256").update(LONG).digest())).toBe(true);
  });

  test("C_Sign and C_Verify", async () => {
    const mac = createHmac("sha256", VALUE).update(LONG).digest();
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_HMAC }, secret);
    const signing = await counted(() => cryptoki.C_Sign(session, LONG));
    expect(same(signing.result, mac)).toBe(true);
    expect(signing.turned).toBeGreaterThanOrEqual(TURNS);
    await cryptoki.C_VerifyInit(session, { mechanism: CKM.SHA256_HMAC }, secret);
    const verifying = await counted(() => cryptoki.C_Verify(session, LONG, mac));
    expect(verifying.turned).toBeGreaterThanOrEqual(TURNS);
    await cryptoki.C_VerifyInit(session, { mechanism: CKM.SHA256_HMAC }, secret);
    await expect(cryptoki.C_Verify(session, LONG.subarray(1), mac)).rejects.toMatchObject(refusal("SIGNATURE_INVALID"));
  });

  test.each([
    ["GCM", GCM, sealed],
    ["CBC with padding", CBC, chained],
  ])("C_Encrypt and C_Decrypt, %s", async (_, mechanism, encrypted) => {
    await cryptoki.C_EncryptInit(session, mechanism, aes);
    const encrypting = await counted(() => cryptoki.C_Encrypt(session, LONG));
    expect(same(encrypting.result, encrypted())).toBe(true);
    expect(encrypting.turned).toBeGreaterThanOrEqual(TURNS);
    await cryptoki.C_DecryptInit(session, mechanism, aes);
    const decrypting = await counted(() => cryptoki.C_Decrypt(session, encrypted()));
    expect(same(decrypting.result, LONG)).toBe(true);
    expect(decrypting.turned).toBeGreaterThanOrEqual(TURNS);
  });

  test("C_DigestEncryptUpdate and C_EncryptUpdate", async () => {
    await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
    await cryptoki.C_EncryptInit(session, CBC, aes);
    const both = await counted(() => cryptoki.C_DigestEncryptUpdate(session, LONG));
    expect(both.turned).toBeGreaterThanOrEqual(2 * TURNS);
    expect(same(Buffer.concat([both.result, await cryptoki.C_EncryptFinal(session)]), chained())).toBe(true);
    await cryptoki.C_DigestFinal(session);
    await cryptoki.C_EncryptInit(session, CBC, aes);
    const one = await counted(() => cryptoki.C_EncryptUpdate(session, LONG));
    expect(one.turned).toBeGreaterThanOrEqual(TURNS);
  });

  test("short data is processed at once", async () => {
    await cryptoki.C_DigestInit(session, { mechanism: CKM.SHA256 });
    const { turned } = await counted(() => cryptoki.C_Digest(session, LONG.subarray(0, TURN)));
    expect(turned).toBe(0);
  });
});

test("a long message whose tag is wrong is refused, and nothing of it is returned", async () => {
  const message = sealed();
  message[5] = (message[5] ?? 0) ^ 1;
  await cryptoki.C_DecryptInit(session, GCM, aes);
  await expect(cryptoki.C_Decrypt(session, message)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
});

test("another call gets its turn, and the key may go meanwhile", async () => {
  const other = await local.session();
  const key = await keyOf(CKK.GENERIC_SECRET, { [CKA.SIGN]: true });
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_HMAC }, key);
  const order: string[] = [];
  const signing = cryptoki.C_Sign(session, LONG).finally(() => order.push("C_Sign"));
  await cryptoki.C_DestroyObject(other, key);
  order.push("C_DestroyObject");
  await expect(signing).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
  expect(order).toEqual(["C_DestroyObject", "C_Sign"]);
});

test("a card that is removed meanwhile ends the call", async () => {
  await using fresh = await rig(await testCard());
  const own = await fresh.session();
  await fresh.cryptoki.C_DigestInit(own, { mechanism: CKM.SHA256 });
  const digesting = fresh.cryptoki.C_Digest(own, LONG);
  fresh.readers.eject("Memory Reader");
  await expect(digesting).rejects.toMatchObject(refusal("DEVICE_REMOVED"));
});
