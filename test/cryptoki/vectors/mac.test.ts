import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../../src/bytes/index.ts";
import { CKK, CKM, mechanismOf } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { changed, hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

/** What every MAC must do: known answers, in one part and in many, cut to any length, and nothing else verified. */
async function isMac(key: number, whole: number, general: number, message: Uint8Array, mac: Uint8Array): Promise<void> {
  expect(await keys.sign(mechanismOf(whole), key, message)).toEqual(mac);
  expect(await keys.signParts(mechanismOf(whole), key, message, 3)).toEqual(mac);
  await keys.verify(mechanismOf(whole), key, message, mac);
  for (const length of [1, 8, mac.length]) {
    const short = mac.subarray(0, length);
    expect(await keys.sign(mechanismOf(general, length), key, message)).toEqual(short);
    await keys.verify(mechanismOf(general, length), key, message, short);
  }
  for (const other of changed(mac)) {
    await expect(keys.verify(mechanismOf(whole), key, message, other)).rejects.toMatchObject(
      refusal("SIGNATURE_INVALID"),
    );
  }
  for (const other of [hex(""), mac.subarray(1), concat(mac, hex("00"))]) {
    await expect(keys.verify(mechanismOf(whole), key, message, other)).rejects.toMatchObject(
      refusal("SIGNATURE_LEN_RANGE"),
    );
  }
  for (const other of [...changed(message), concat(message, hex("00"))]) {
    await expect(keys.verify(mechanismOf(whole), key, other, mac)).rejects.toMatchObject(refusal("SIGNATURE_INVALID"));
  }
  for (const length of [0, mac.length + 1, 1.5, undefined]) {
    const mechanism = mechanismOf(general, length);
    await expect(keys.sign(mechanism, key, message)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  }
  await expect(keys.sign(mechanismOf(whole, 8), key, message)).rejects.toMatchObject(
    refusal("MECHANISM_PARAM_INVALID"),
  );
}

const MESSAGE = hex(
  "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51",
  "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
);
const AES_128 = "2b7e151628aed2a6abf7158809cf4f3c";
const AES_192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b";
const AES_256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const THREE = "8aa83bf8cbda1062 0bc1bf19fbb6cd58 bc313d4a371ca8b5";
const TWO = "4cf15134a2850dd5 8a3d10ba80570d38";

// SP 800-38B, appendix D: the first bytes of one message.
const CMAC = [
  { section: "D.1", type: CKK.AES, key: AES_128, length: 0, mac: "bb1d6929e95937287fa37d129b756746" },
  { section: "D.1", type: CKK.AES, key: AES_128, length: 16, mac: "070a16b46b4d4144f79bdd9dd04a287c" },
  { section: "D.1", type: CKK.AES, key: AES_128, length: 40, mac: "dfa66747de9ae63030ca32611497c827" },
  { section: "D.1", type: CKK.AES, key: AES_128, length: 64, mac: "51f0bebf7e3b9d92fc49741779363cfe" },
  { section: "D.2", type: CKK.AES, key: AES_192, length: 0, mac: "d17ddf46adaacde531cac483de7a9367" },
  { section: "D.2", type: CKK.AES, key: AES_192, length: 16, mac: "9e99a7bf31e710900662f65e617c5184" },
  { section: "D.2", type: CKK.AES, key: AES_192, length: 40, mac: "8a1de5be2eb31aad089a82e6ee908b0e" },
  { section: "D.2", type: CKK.AES, key: AES_192, length: 64, mac: "a1d5df0eed790f794d77589659f39a11" },
  { section: "D.3", type: CKK.AES, key: AES_256, length: 0, mac: "028962f61b7bf89efc6b551f4667d983" },
  { section: "D.3", type: CKK.AES, key: AES_256, length: 16, mac: "28a7023f452e8f82bd4bf28d8c37c35c" },
  { section: "D.3", type: CKK.AES, key: AES_256, length: 40, mac: "aaf3d8f1de5640c232f5b169b9c911e6" },
  { section: "D.3", type: CKK.AES, key: AES_256, length: 64, mac: "e1992190549f6ed5696a2c056c315410" },
  { section: "D.4", type: CKK.DES3, key: THREE, length: 0, mac: "b7a688e122ffaf95" },
  { section: "D.4", type: CKK.DES3, key: THREE, length: 8, mac: "8e8f293136283797" },
  { section: "D.4", type: CKK.DES3, key: THREE, length: 20, mac: "743ddbe0ce2dc2ed" },
  { section: "D.4", type: CKK.DES3, key: THREE, length: 32, mac: "33e6b1092400eae5" },
  { section: "D.5", type: CKK.DES2, key: TWO, length: 0, mac: "bd2ebf9a3ba00361" },
  { section: "D.5", type: CKK.DES2, key: TWO, length: 8, mac: "4ff2ab813c53ce83" },
  { section: "D.5", type: CKK.DES2, key: TWO, length: 20, mac: "62dd1b471902bd4e" },
  { section: "D.5", type: CKK.DES2, key: TWO, length: 32, mac: "31b1e431dabc4eb8" },
] as const;

describe("CMAC (SP 800-38B appendix D)", () => {
  test.each(CMAC)("$section, $length bytes", async ({ type, key: value, length, mac }) => {
    const key = await keys.secret(type, hex(value));
    const [whole, general] =
      type === CKK.AES ? [CKM.AES_CMAC, CKM.AES_CMAC_GENERAL] : [CKM.DES3_CMAC, CKM.DES3_CMAC_GENERAL];
    await isMac(key, whole, general, MESSAGE.subarray(0, length), hex(mac));
  });
});

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index);
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);

const JEFE = [utf8("Jefe"), utf8("what do ya want for nothing?")] as const;
const HI_THERE = utf8("Hi There");
const SAMPLE = utf8("Sample message for keylen<blocklen");
const LONG_KEY = [filled(131, 0xaa), utf8("Test Using Larger Than Block-Size Key - Hash Key First")] as const;

interface HmacVector {
  readonly source: string;
  readonly hash:
    "MD5" | "SHA_1" | "SHA224" | "SHA256" | "SHA384" | "SHA512" | "SHA3_224" | "SHA3_256" | "SHA3_384" | "SHA3_512";
  readonly input: readonly [key: Uint8Array, message: Uint8Array];
  readonly mac: string;
}

const HMAC: readonly HmacVector[] = [
  {
    source: "RFC 2202 section 2, 1",
    hash: "MD5",
    input: [filled(16, 0x0b), HI_THERE],
    mac: "9294727a3638bb1c13f48ef8158bfc9d",
  },
  { source: "RFC 2202 section 2, 2", hash: "MD5", input: JEFE, mac: "750c783e6ab0b503eaa86e310a5db738" },
  {
    source: "RFC 2202 section 3, 1",
    hash: "SHA_1",
    input: [filled(20, 0x0b), HI_THERE],
    mac: "b617318655057264e28bc0b6fb378c8ef146be00",
  },
  { source: "RFC 2202 section 3, 2", hash: "SHA_1", input: JEFE, mac: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
  {
    source: "RFC 4231 section 4.2",
    hash: "SHA224",
    input: [filled(20, 0x0b), HI_THERE],
    mac: "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22",
  },
  {
    source: "RFC 4231 section 4.2",
    hash: "SHA256",
    input: [filled(20, 0x0b), HI_THERE],
    mac: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  },
  {
    source: "RFC 4231 section 4.2",
    hash: "SHA384",
    input: [filled(20, 0x0b), HI_THERE],
    mac: "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
  },
  {
    source: "RFC 4231 section 4.2",
    hash: "SHA512",
    input: [filled(20, 0x0b), HI_THERE],
    mac: "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
  },
  {
    source: "RFC 4231 section 4.3",
    hash: "SHA256",
    input: JEFE,
    mac: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  },
  {
    source: "RFC 4231 section 4.7",
    hash: "SHA256",
    input: LONG_KEY,
    mac: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  },
  // NIST, Cryptographic Standards and Guidelines, example values: HMAC with SHA-3, sample #1.
  {
    source: "NIST HMAC_SHA3-224, sample 1",
    hash: "SHA3_224",
    input: [counting(28), SAMPLE],
    mac: "332cfd59347fdb8e576e77260be4aba2d6dc53117b3bfb52c6d18c04",
  },
  {
    source: "NIST HMAC_SHA3-256, sample 1",
    hash: "SHA3_256",
    input: [counting(32), SAMPLE],
    mac: "4fe8e202c4f058e8dddc23d8c34e467343e23555e24fc2f025d598f558f67205",
  },
  {
    source: "NIST HMAC_SHA3-384, sample 1",
    hash: "SHA3_384",
    input: [counting(48), SAMPLE],
    mac: "d588a3c51f3f2d906e8298c1199aa8ff6296218127f6b38a90b6afe2c5617725bc99987f79b22a557b6520db710b7f42",
  },
  {
    source: "NIST HMAC_SHA3-512, sample 1",
    hash: "SHA3_512",
    input: [counting(64), SAMPLE],
    mac: "4efd629d6c71bf86162658f29943b1c308ce27cdfa6db0d9c3ce81763f9cbce5f7ebe9868031db1a8f8eb7b6b95e5c5e3f657a8996c86a2f6527e307f0213196",
  },
];

describe("HMAC", () => {
  test.each(HMAC)("$hash ($source)", async ({ hash, input: [value, message], mac }) => {
    for (const type of [CKK.GENERIC_SECRET, hash === "SHA_1" ? CKK.SHA_1_HMAC : CKK[`${hash}_HMAC`]]) {
      const key = await keys.secret(type, value);
      await isMac(key, CKM[`${hash}_HMAC`], CKM[`${hash}_HMAC_GENERAL`], message, hex(mac));
    }
  });

  test("truncated to 128 bits (RFC 4231 section 4.6)", async () => {
    const key = await keys.secret(CKK.GENERIC_SECRET, filled(20, 0x0c));
    const message = utf8("Test With Truncation");
    const signed = (mechanism: number): Promise<Uint8Array> => keys.sign(mechanismOf(mechanism, 16), key, message);
    expect(await signed(CKM.SHA224_HMAC_GENERAL)).toEqual(hex("0e2aea68a90c8d37c988bcdb9fca6fa8"));
    expect(await signed(CKM.SHA256_HMAC_GENERAL)).toEqual(hex("a3b6167473100ee06e0c796c2955552b"));
    expect(await signed(CKM.SHA384_HMAC_GENERAL)).toEqual(hex("3abf34c3503b2a23a46efc619baef897"));
    expect(await signed(CKM.SHA512_HMAC_GENERAL)).toEqual(hex("415fad6271580a531d4179bc891d87a6"));
  });

  test("the key of one hash is not taken with another's", async () => {
    const key = await keys.secret(CKK.SHA256_HMAC, filled(20, 0x0b));
    await expect(keys.sign({ mechanism: CKM.SHA512_HMAC }, key, HI_THERE)).rejects.toMatchObject(
      refusal("KEY_TYPE_INCONSISTENT"),
    );
  });
});
