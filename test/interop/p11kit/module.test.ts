import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../../src/bytes/index.ts";
import { CKA, CKF, CKG, CKK, CKM, CKO, CKR, CKU } from "../../../src/cryptoki/index.ts";
import { P11KitModule } from "../../../src/p11kit/index.ts";
import { cryptoki } from "../../cli/program.ts";
import { SoftHsm } from "./softhsm.ts";

const PIN = "123456";
let hsm: SoftHsm;

beforeAll(async () => {
  hsm = await SoftHsm.start("token of SoftHSM", PIN);
}, 60_000);
afterAll(() => hsm[Symbol.asyncDispose]());

/** Debian's p11-kit answers with version 0 of the protocol. */
describe.each([
  ["p11-kit server", (): string => hsm.address],
  ["p11-kit remote", (): string => hsm.command],
])("SoftHSM behind %s", (_, address) => {
  let module: P11KitModule;
  let slot: number;
  let session: number;

  beforeAll(async () => {
    module = new P11KitModule({ address: address() });
    await module.C_Initialize();
    for (const slotID of await module.C_GetSlotList(true)) {
      if ((await module.C_GetTokenInfo(slotID)).label === "token of SoftHSM") slot = slotID;
    }
    session = await module.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await module.C_Login(session, CKU.USER, PIN);
  }, 60_000);
  afterAll(() => module[Symbol.asyncDispose]());

  const pair = (bits: number): Promise<{ readonly publicKey: number; readonly privateKey: number }> =>
    module.C_GenerateKeyPair(
      session,
      { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
      {
        [CKA.MODULUS_BITS]: bits,
        [CKA.PUBLIC_EXPONENT]: Uint8Array.of(1, 0, 1),
        [CKA.VERIFY]: true,
        [CKA.ENCRYPT]: true,
        [CKA.WRAP]: true,
        [CKA.TOKEN]: false,
      },
      { [CKA.SIGN]: true, [CKA.DECRYPT]: true, [CKA.UNWRAP]: true, [CKA.TOKEN]: false, [CKA.LABEL]: "a key" },
    );

  test("says what it is", async () => {
    expect(await module.C_GetInfo()).toMatchObject({ cryptokiVersion: { major: 2 } });
    expect(await module.C_GetTokenInfo(slot)).toMatchObject({ model: "SoftHSM v2", ulMinPinLen: 4 });
    expect(await module.C_GetSessionInfo(session)).toMatchObject({ slotID: slot, ulDeviceError: 0 });
    expect(await module.C_GetMechanismList(slot)).toContain(CKM.RSA_PKCS);
    expect(await module.C_GetMechanismInfo(slot, CKM.RSA_PKCS)).toMatchObject({ ulMaxKeySize: 16384 });
    await expect(module.C_Login(session, CKU.USER, PIN)).rejects.toMatchObject({ rv: CKR.USER_ALREADY_LOGGED_IN });
    await expect(module.C_GetSlotInfo(12_345)).rejects.toMatchObject({ rv: CKR.SLOT_ID_INVALID });
  });

  test("generates, signs, verifies, encrypts and decrypts with RSA", async () => {
    const { publicKey, privateKey } = await pair(2048);
    const data = utf8("a letter");
    await module.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, privateKey);
    const signature = await module.C_Sign(session, data);
    await module.C_VerifyInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, publicKey);
    await module.C_Verify(session, data, signature);
    await module.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, privateKey);
    for (const byte of data) await module.C_SignUpdate(session, Uint8Array.of(byte));
    expect(await module.C_SignFinal(session)).toEqual(signature);
    await module.C_VerifyInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, publicKey);
    await expect(module.C_Verify(session, utf8("another"), signature)).rejects.toMatchObject({
      rv: CKR.SIGNATURE_INVALID,
    });

    const pss = { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, sLen: 32 };
    const hash = fromHex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    await module.C_SignInit(session, { mechanism: CKM.RSA_PKCS_PSS, parameter: pss }, privateKey);
    const salted = await module.C_Sign(session, hash);
    await module.C_VerifyInit(session, { mechanism: CKM.RSA_PKCS_PSS, parameter: pss }, publicKey);
    await module.C_Verify(session, hash, salted);

    const oaep = { hashAlg: CKM.SHA_1, mgf: CKG.MGF1_SHA1, source: 1 };
    await module.C_EncryptInit(session, { mechanism: CKM.RSA_PKCS_OAEP, parameter: oaep }, publicKey);
    const encrypted = await module.C_Encrypt(session, data);
    await module.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS_OAEP, parameter: oaep }, privateKey);
    expect(await module.C_Decrypt(session, encrypted)).toEqual(data);
  }, 60_000);

  test("tells attributes of every form, and what keeps others back", async () => {
    const { publicKey, privateKey } = await pair(1024);
    const shown = await module.C_GetAttributeValue(session, publicKey, [
      CKA.CLASS,
      CKA.KEY_TYPE,
      CKA.MODULUS,
      CKA.MODULUS_BITS,
      CKA.VERIFY,
      CKA.START_DATE,
      CKA.LABEL,
    ]);
    expect(shown).toMatchObject({
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.KEY_TYPE]: CKK.RSA,
      [CKA.MODULUS_BITS]: 1024,
      [CKA.VERIFY]: true,
      [CKA.START_DATE]: null,
      [CKA.LABEL]: "",
    });
    expect(shown[CKA.MODULUS]).toHaveLength(128);
    const types = [CKA.LABEL, CKA.PRIVATE_EXPONENT];
    await expect(module.C_GetAttributeValue(session, privateKey, types)).rejects.toMatchObject({
      rv: CKR.ATTRIBUTE_SENSITIVE,
      values: { [CKA.LABEL]: "a key" },
    });
  }, 60_000);

  test("keeps objects: created, found, changed, copied, destroyed", async () => {
    const value = new Uint8Array(20_000).fill(7);
    const data = {
      [CKA.CLASS]: CKO.DATA,
      [CKA.TOKEN]: false,
      [CKA.LABEL]: "größer",
      [CKA.APPLICATION]: "test",
      [CKA.VALUE]: value,
    };
    const object = await module.C_CreateObject(session, data);
    // More than there is room for at first.
    expect(await module.C_GetAttributeValue(session, object, [CKA.VALUE, CKA.LABEL])).toEqual({
      [CKA.VALUE]: value,
      [CKA.LABEL]: "größer",
    });
    await module.C_SetAttributeValue(session, object, { [CKA.LABEL]: "smaller" });
    const copy = await module.C_CopyObject(session, object, { [CKA.LABEL]: "copy" });
    const find = async (label: string): Promise<number[]> => {
      await module.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: label });
      const found = await module.C_FindObjects(session);
      await module.C_FindObjectsFinal(session);
      return found;
    };
    expect(await find("smaller")).toEqual([object]);
    expect(await find("copy")).toEqual([copy]);
    await module.C_DestroyObject(session, object);
    await module.C_DestroyObject(session, copy);
    expect(await find("copy")).toEqual([]);
    await expect(module.C_DestroyObject(session, object)).rejects.toMatchObject({ rv: CKR.OBJECT_HANDLE_INVALID });
  });

  test("encrypts in parts, wraps and unwraps keys", async () => {
    const key = await module.C_GenerateKey(
      session,
      { mechanism: CKM.AES_KEY_GEN },
      { [CKA.VALUE_LEN]: 32, [CKA.ENCRYPT]: true, [CKA.DECRYPT]: true, [CKA.EXTRACTABLE]: true, [CKA.TOKEN]: false },
    );
    const ecb = { mechanism: CKM.AES_ECB };
    await module.C_EncryptInit(session, ecb, key);
    const parts = [await module.C_EncryptUpdate(session, new Uint8Array(32)), await module.C_EncryptFinal(session)];
    expect(parts.map(({ length }) => length)).toEqual([32, 0]);
    const { publicKey, privateKey } = await pair(2048);
    const wrapped = await module.C_WrapKey(session, { mechanism: CKM.RSA_PKCS }, publicKey, key);
    const again = await module.C_UnwrapKey(session, { mechanism: CKM.RSA_PKCS }, privateKey, wrapped, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.AES,
      [CKA.DECRYPT]: true,
      [CKA.TOKEN]: false,
    });
    await module.C_DecryptInit(session, ecb, again);
    expect(await module.C_Decrypt(session, parts[0] ?? new Uint8Array())).toEqual(new Uint8Array(32));
  }, 60_000);

  test("digests, and makes random bytes", async () => {
    await module.C_DigestInit(session, { mechanism: CKM.SHA256 });
    const hash = await module.C_Digest(session, utf8("abc"));
    expect(hash).toEqual(fromHex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    expect(await module.C_GenerateRandom(session, 17)).toHaveLength(17);
    await module.C_SeedRandom(session, Uint8Array.of(1, 2, 3));
  });

  test("changes a PIN", async () => {
    await module.C_SetPIN(session, PIN, "654321");
    await module.C_SetPIN(session, "654321", PIN);
    await expect(module.C_SetPIN(session, "000000", PIN)).rejects.toMatchObject({ rv: CKR.PIN_INCORRECT });
  });

  test("refuses what its protocol does not carry", async () => {
    await expect(module.C_DigestInit(session, { mechanism: CKM.SHA3_256 })).rejects.toMatchObject({
      rv: CKR.MECHANISM_INVALID,
    });
    await expect(module.C_SessionCancel(session, 0)).rejects.toMatchObject({ rv: CKR.FUNCTION_NOT_SUPPORTED });
  });
});

test("the command lists the tokens, by either way", async () => {
  for (const server of [hsm.address, hsm.command]) {
    const { code, stdout } = await cryptoki(["--server", server, "tokens"]);
    expect([code, stdout]).toEqual([0, expect.stringContaining("token of SoftHSM")]);
  }
}, 60_000);
