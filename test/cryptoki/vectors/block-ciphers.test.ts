import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../../src/bytes/index.ts";
import { CKK, CKM, type CK_MECHANISM, mechanismOf } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

const AES_128 = hex("2b7e151628aed2a6abf7158809cf4f3c");
const AES_192 = hex("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b");
const AES_256 = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
const MESSAGE = hex(
  "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51",
  "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
);
const IV = hex("000102030405060708090a0b0c0d0e0f");
const COUNTER = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");

const ecb: CK_MECHANISM = { mechanism: CKM.AES_ECB };
const cbc: CK_MECHANISM = { mechanism: CKM.AES_CBC, parameter: IV };
const padded: CK_MECHANISM = { mechanism: CKM.AES_CBC_PAD, parameter: IV };
const ctr: CK_MECHANISM = { mechanism: CKM.AES_CTR, parameter: { ulCounterBits: 128, cb: COUNTER } };

// SP 800-38A, appendix F.
const AES = [
  {
    section: "F.1.1",
    mechanism: ecb,
    key: AES_128,
    ciphertext: hex(
      "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf 43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4",
    ),
  },
  {
    section: "F.1.3",
    mechanism: ecb,
    key: AES_192,
    ciphertext: hex(
      "bd334f1d6e45f25ff712a214571fa5cc 974104846d0ad3ad7734ecb3ecee4eef ef7afd2270e2e60adce0ba2face6444e 9a4b41ba738d6c72fb16691603c18e0e",
    ),
  },
  {
    section: "F.1.5",
    mechanism: ecb,
    key: AES_256,
    ciphertext: hex(
      "f3eed1bdb5d2a03c064b5a7e3db181f8 591ccb10d410ed26dc5ba74a31362870 b6ed21b99ca6f4f9f153e7b1beafed1d 23304b7a39f9f3ff067d8d8f9e24ecc7",
    ),
  },
  {
    section: "F.2.1",
    mechanism: cbc,
    key: AES_128,
    ciphertext: hex(
      "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2 73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
    ),
  },
  {
    section: "F.2.3",
    mechanism: cbc,
    key: AES_192,
    ciphertext: hex(
      "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a 571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
    ),
  },
  {
    section: "F.2.5",
    mechanism: cbc,
    key: AES_256,
    ciphertext: hex(
      "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d 39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
    ),
  },
  {
    section: "F.5.1",
    mechanism: ctr,
    key: AES_128,
    ciphertext: hex(
      "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff 5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
    ),
  },
  {
    section: "F.5.3",
    mechanism: ctr,
    key: AES_192,
    ciphertext: hex(
      "1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94 1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050",
    ),
  },
  {
    section: "F.5.5",
    mechanism: ctr,
    key: AES_256,
    ciphertext: hex(
      "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5 2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
    ),
  },
] as const;

describe("AES (SP 800-38A appendix F)", () => {
  test.each(AES)("$section", async ({ mechanism, key: value, ciphertext }) => {
    const key = await keys.secret(CKK.AES, value);
    expect(await keys.encrypt(mechanism, key, MESSAGE)).toEqual(ciphertext);
    expect(await keys.decrypt(mechanism, key, ciphertext)).toEqual(MESSAGE);
    expect(await keys.encryptParts(mechanism, key, MESSAGE, 9)).toEqual(ciphertext);
    expect(await keys.decryptParts(mechanism, key, ciphertext, 33)).toEqual(MESSAGE);
  });

  test.each([ecb, cbc])("whole blocks only, and none is no error", async (mechanism) => {
    const key = await keys.secret(CKK.AES, AES_128);
    expect(await keys.encrypt(mechanism, key, hex(""))).toEqual(hex(""));
    const part = MESSAGE.subarray(0, 31);
    await expect(keys.encrypt(mechanism, key, part)).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
    await expect(keys.decrypt(mechanism, key, part)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_LEN_RANGE"));
    await expect(keys.encryptParts(mechanism, key, part, 16)).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
  });
});

describe("CKM_AES_CBC_PAD", () => {
  test("a message of any length, in whole blocks and one more", async () => {
    const key = await keys.secret(CKK.AES, AES_128);
    for (let length = 0; length <= 33; length++) {
      const message = MESSAGE.subarray(0, length);
      const ciphertext = await keys.encrypt(padded, key, message);
      expect(ciphertext).toHaveLength(length - (length % 16) + 16);
      expect(await keys.decrypt(padded, key, ciphertext)).toEqual(message);
      expect(await keys.decryptParts(padded, key, ciphertext, 5)).toEqual(message);
    }
  });

  // What other padding methods leave at the end, and what no method does.
  test.each([
    ["zeros", "61000000000000000000000000000000"],
    ["ISO/IEC 7816-4", "61800000000000000000000000000000"],
    ["a block of zeros", "00".repeat(16)],
    ["one byte wrong of many", "610f0f0f0f0f0f0f0f0f0f0f0f0f0e0f"],
    ["more than a block", "11".repeat(16)],
    ["a count without its bytes", "6162636465666768696a6b6c6d6e6f03"],
    ["ff", "ff".repeat(16)],
  ])("padding of another kind: %s", async (_, block) => {
    const key = await keys.secret(CKK.AES, AES_256);
    const ciphertext = await keys.encrypt(cbc, key, concat(MESSAGE, hex(block)));
    await expect(keys.decrypt(padded, key, ciphertext)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    await expect(keys.decryptParts(padded, key, ciphertext, 16)).rejects.toMatchObject(
      refusal("ENCRYPTED_DATA_INVALID"),
    );
  });

  test.each([0, 1, 15, 17])("a ciphertext of %i bytes", async (length) => {
    const key = await keys.secret(CKK.AES, AES_128);
    const cut = MESSAGE.subarray(0, length);
    await expect(keys.decrypt(padded, key, cut)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_LEN_RANGE"));
  });
});

describe("CKM_AES_CTR", () => {
  test("two counter bits that begin with 1 last for three blocks (PKCS#11 3.1, AES with Counter)", async () => {
    const key = await keys.secret(CKK.AES, AES_128);
    const cb = hex("00000000000000000000000000000001");
    const short: CK_MECHANISM = { mechanism: CKM.AES_CTR, parameter: { ulCounterBits: 2, cb } };
    const long: CK_MECHANISM = { mechanism: CKM.AES_CTR, parameter: { ulCounterBits: 64, cb } };
    const three = MESSAGE.subarray(0, 48);
    const ciphertext = await keys.encrypt(short, key, three);
    expect(ciphertext).toEqual(await keys.encrypt(long, key, three));
    expect(await keys.decryptParts(short, key, ciphertext, 7)).toEqual(three);
    for (const refused of [MESSAGE.subarray(0, 49), MESSAGE]) {
      await expect(keys.encrypt(short, key, refused)).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
      await expect(keys.encryptParts(short, key, refused, 16)).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
      await expect(keys.decrypt(short, key, refused)).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
    }
  });
});

const SINGLE = hex("0123456789abcdef");
const TRIPLE = hex("0123456789abcdef 23456789abcdef01 456789abcdef0123");
const FOX = utf8("The qufck brown fox jump");
const desCbc = (mechanism: number): CK_MECHANISM => mechanismOf(mechanism, hex("1234567890abcdef"));

const DES = [
  {
    source: "FIPS 81 appendix B, ECB",
    mechanism: { mechanism: CKM.DES_ECB },
    type: CKK.DES,
    key: SINGLE,
    message: utf8("Now is the time for all "),
    ciphertext: hex("3fa40e8a984d4815 6a271787ab8883f9 893d51ec4b563b53"),
  },
  {
    source: "FIPS 81 appendix C, CBC",
    mechanism: desCbc(CKM.DES_CBC),
    type: CKK.DES,
    key: SINGLE,
    message: utf8("Now is the time for all "),
    ciphertext: hex("e5c7cdde872bf27c 43e934008c389c0f 683788499a7c05f6"),
  },
  {
    source: "SP 800-67 appendix B, three keys",
    mechanism: { mechanism: CKM.DES3_ECB },
    type: CKK.DES3,
    key: TRIPLE,
    message: FOX,
    ciphertext: hex("a826fd8ce53b855f cce21c8112256fe6 68d5c05dd9b6b900"),
  },
] as const;

describe("DES", () => {
  test.each(DES)("$source", async ({ mechanism, type, key: value, message, ciphertext }) => {
    const key = await keys.secret(type, value);
    expect(await keys.encrypt(mechanism, key, message)).toEqual(ciphertext);
    expect(await keys.decrypt(mechanism, key, ciphertext)).toEqual(message);
    expect(await keys.encryptParts(mechanism, key, message, 3)).toEqual(ciphertext);
    expect(await keys.decryptParts(mechanism, key, ciphertext, 11)).toEqual(message);
  });

  test("three times the same key is single DES; two keys are the first of three twice (SP 800-67 section 3.2)", async () => {
    const single = await keys.secret(CKK.DES, SINGLE);
    const thrice = await keys.secret(CKK.DES3, concat(SINGLE, SINGLE, SINGLE));
    const expected = await keys.encrypt(desCbc(CKM.DES_CBC), single, FOX);
    expect(await keys.encrypt(desCbc(CKM.DES3_CBC), thrice, FOX)).toEqual(expected);

    const two = await keys.secret(CKK.DES2, TRIPLE.subarray(0, 16));
    const three = await keys.secret(CKK.DES3, concat(TRIPLE.subarray(0, 16), TRIPLE.subarray(0, 8)));
    const mechanism = desCbc(CKM.DES3_CBC_PAD);
    const ciphertext = await keys.encrypt(mechanism, two, FOX.subarray(0, 21));
    expect(ciphertext).toEqual(await keys.encrypt(mechanism, three, FOX.subarray(0, 21)));
    expect(await keys.decrypt(mechanism, two, ciphertext)).toEqual(FOX.subarray(0, 21));
  });

  test("keys of one cipher are not taken by the other's mechanisms", async () => {
    const des = await keys.secret(CKK.DES, SINGLE);
    const aes = await keys.secret(CKK.AES, AES_128);
    await expect(keys.encrypt({ mechanism: CKM.DES3_ECB }, des, FOX)).rejects.toMatchObject(
      refusal("KEY_TYPE_INCONSISTENT"),
    );
    await expect(keys.encrypt({ mechanism: CKM.DES_ECB }, aes, FOX)).rejects.toMatchObject(
      refusal("KEY_TYPE_INCONSISTENT"),
    );
    await expect(keys.encrypt(ecb, des, MESSAGE)).rejects.toMatchObject(refusal("KEY_TYPE_INCONSISTENT"));
  });
});

describe("parameters", () => {
  test.each([
    ["ECB with an IV", mechanismOf(CKM.AES_ECB, IV)],
    ["CBC without one", mechanismOf(CKM.AES_CBC)],
    ["CBC with a short one", mechanismOf(CKM.AES_CBC, IV.subarray(1))],
    ["CBC with a long one", mechanismOf(CKM.AES_CBC_PAD, concat(IV, IV))],
    ["CTR without one", mechanismOf(CKM.AES_CTR)],
    ["CTR with an IV", mechanismOf(CKM.AES_CTR, IV)],
    ["CTR with no counter bits", mechanismOf(CKM.AES_CTR, { ulCounterBits: 0, cb: COUNTER })],
    ["CTR with too many", mechanismOf(CKM.AES_CTR, { ulCounterBits: 129, cb: COUNTER })],
    ["CTR with a short block", mechanismOf(CKM.AES_CTR, { ulCounterBits: 32, cb: IV.subarray(1) })],
  ] as const)("%s: CKR_MECHANISM_PARAM_INVALID", async (_, mechanism) => {
    const key = await keys.secret(CKK.AES, AES_128);
    await expect(keys.encrypt(mechanism, key, MESSAGE)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    await expect(keys.decrypt(mechanism, key, MESSAGE)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });
});
