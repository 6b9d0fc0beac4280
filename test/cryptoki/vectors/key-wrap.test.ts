import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat } from "../../../src/bytes/index.ts";
import { CKK, CKM, type CK_MECHANISM } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { changed, hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

const KEK = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
const DATA = hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
const plain: CK_MECHANISM = { mechanism: CKM.AES_KEY_WRAP };
const kwp: CK_MECHANISM = { mechanism: CKM.AES_KEY_WRAP_KWP };

const WRAPPED = [
  {
    source: "RFC 3394 section 4.1",
    mechanism: plain,
    kek: KEK.subarray(0, 16),
    data: DATA.subarray(0, 16),
    wrapped: "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
  },
  {
    source: "RFC 3394 section 4.2",
    mechanism: plain,
    kek: KEK.subarray(0, 24),
    data: DATA.subarray(0, 16),
    wrapped: "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d",
  },
  {
    source: "RFC 3394 section 4.3",
    mechanism: plain,
    kek: KEK,
    data: DATA.subarray(0, 16),
    wrapped: "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7",
  },
  {
    source: "RFC 3394 section 4.4",
    mechanism: plain,
    kek: KEK.subarray(0, 24),
    data: DATA.subarray(0, 24),
    wrapped: "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2",
  },
  {
    source: "RFC 3394 section 4.5",
    mechanism: plain,
    kek: KEK,
    data: DATA.subarray(0, 24),
    wrapped: "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1",
  },
  {
    source: "RFC 3394 section 4.6",
    mechanism: plain,
    kek: KEK,
    data: DATA,
    wrapped: "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
  },
  {
    source: "RFC 5649 section 6",
    mechanism: kwp,
    kek: hex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"),
    data: hex("c37b7e6492584340bed12207808941155068f738"),
    wrapped: "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
  },
  {
    source: "RFC 5649 section 6",
    mechanism: kwp,
    kek: hex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"),
    data: hex("466f7250617369"),
    wrapped: "afbeb0f07dfbf5419200f2ccb50bb24f",
  },
] as const;

describe("AES Key Wrap", () => {
  test.each(WRAPPED)("$source", async ({ mechanism, kek, data, ...vector }) => {
    const wrapped = hex(vector.wrapped);
    const key = await keys.secret(CKK.AES, kek);
    expect(await keys.encrypt(mechanism, key, data)).toEqual(wrapped);
    expect(await keys.decrypt(mechanism, key, wrapped)).toEqual(data);
    expect(await keys.wrap(mechanism, key, await keys.secret(CKK.GENERIC_SECRET, data))).toEqual(wrapped);
    expect(await keys.unwrap(mechanism, key, wrapped)).toEqual(data);
    for (const other of changed(wrapped)) {
      await expect(keys.decrypt(mechanism, key, other)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
      await expect(keys.unwrap(mechanism, key, other)).rejects.toMatchObject(refusal("WRAPPED_KEY_INVALID"));
    }
    for (const other of [wrapped.subarray(8), wrapped.subarray(1), concat(wrapped, new Uint8Array(8))]) {
      await expect(keys.decrypt(mechanism, key, other)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
  });

  test.each([0, 1, 8, 15, 17])("CKM_AES_KEY_WRAP takes no %i bytes", async (length) => {
    const key = await keys.secret(CKK.AES, KEK);
    await expect(keys.encrypt(plain, key, DATA.subarray(0, length))).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
  });

  test("CKM_AES_KEY_WRAP wraps a key of any length with zeros behind it (PKCS#11 3.1, AES Key Wrap)", async () => {
    const key = await keys.secret(CKK.AES, KEK);
    for (const [length, zeros] of [
      [9, 7],
      [15, 1],
      [20, 4],
      [24, 0],
    ] as const) {
      const value = DATA.subarray(0, length);
      const wrapped = await keys.wrap(plain, key, await keys.secret(CKK.GENERIC_SECRET, value));
      expect(wrapped).toEqual(await keys.encrypt(plain, key, concat(value, new Uint8Array(zeros))));
      expect(await keys.unwrap(plain, key, wrapped, length)).toEqual(value);
      const short = keys.unwrap(plain, key, wrapped, length + zeros - 8);
      await expect(short).rejects.toMatchObject(refusal("WRAPPED_KEY_LEN_RANGE"));
    }
    const tooShort = await keys.secret(CKK.GENERIC_SECRET, DATA.subarray(0, 8));
    await expect(keys.wrap(plain, key, tooShort)).rejects.toMatchObject(refusal("KEY_SIZE_RANGE"));
  });

  test("CKM_AES_KEY_WRAP_KWP wraps any length, and notices zeros that are none of its own", async () => {
    const key = await keys.secret(CKK.AES, KEK);
    for (let length = 1; length <= 32; length++) {
      const wrapped = await keys.encrypt(kwp, key, DATA.subarray(0, length));
      expect(wrapped).toHaveLength(8 * Math.ceil(length / 8) + 8);
      expect(await keys.decrypt(kwp, key, wrapped)).toEqual(DATA.subarray(0, length));
    }
    // RFC 5649 section 3: the alternative IV, a length, the data and zeros, made here with other ends.
    const ecb: CK_MECHANISM = { mechanism: CKM.AES_ECB };
    const made = (block: Uint8Array): Promise<Uint8Array> => keys.encrypt(ecb, key, block);
    const message = (...groups: string[]): Uint8Array => hex("a65959a6", ...groups);
    expect(await keys.decrypt(kwp, key, await made(message("00000007", "46466f72506173 00")))).toEqual(
      hex("46466f72506173"),
    );
    for (const other of [
      message("00000007", "46466f72506173 01"),
      message("00000000", "0000000000000000"),
      message("00000009", "46466f7250617369"),
      message("ffffffff", "46466f7250617369"),
      hex("a65959a7 00000007 46466f72506173 00"),
    ]) {
      await expect(keys.decrypt(kwp, key, await made(other))).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
  });

  test("CKM_AES_KEY_WRAP_PKCS7 is AES Key Wrap of what was padded", async () => {
    const key = await keys.secret(CKK.AES, KEK);
    const pkcs7: CK_MECHANISM = { mechanism: CKM.AES_KEY_WRAP_PKCS7 };
    for (const [length, padding] of [
      [8, "08".repeat(8)],
      [9, "07".repeat(7)],
      [15, "01"],
      [16, "08".repeat(8)],
    ] as const) {
      const data = DATA.subarray(0, length);
      const wrapped = await keys.encrypt(plain, key, concat(data, hex(padding)));
      expect(await keys.encrypt(pkcs7, key, data)).toEqual(wrapped);
      expect(await keys.decrypt(pkcs7, key, wrapped)).toEqual(data);
    }
    for (const end of ["0000000000000000", "0909090909090909", "0102030405060203", "0202020202020102"]) {
      const wrapped = await keys.encrypt(plain, key, concat(DATA.subarray(0, 8), hex(end)));
      await expect(keys.decrypt(pkcs7, key, wrapped)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    await expect(keys.encrypt(pkcs7, key, DATA.subarray(0, 7))).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
  });

  test("an IV of one's own: the other IV unwraps nothing", async () => {
    const key = await keys.secret(CKK.AES, KEK);
    const own: CK_MECHANISM = { mechanism: CKM.AES_KEY_WRAP, parameter: hex("0123456789abcdef") };
    const wrapped = await keys.encrypt(own, key, DATA);
    expect(await keys.decrypt(own, key, wrapped)).toEqual(DATA);
    await expect(keys.decrypt(plain, key, wrapped)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    for (const [mechanism, length] of [
      [CKM.AES_KEY_WRAP, 4],
      [CKM.AES_KEY_WRAP, 16],
      [CKM.AES_KEY_WRAP_KWP, 8],
      [CKM.AES_KEY_WRAP_PKCS7, 4],
    ] as const) {
      const wrong = { mechanism, parameter: new Uint8Array(length) };
      await expect(keys.encrypt(wrong, key, DATA)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    }
  });
});
