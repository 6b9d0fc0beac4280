import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat } from "../../../src/bytes/index.ts";
import { CKK, CKM, type CK_MECHANISM, mechanismOf } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { changed, hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

const gcm = (iv: Uint8Array, aad: Uint8Array, ulTagBits = 128): CK_MECHANISM => ({
  mechanism: CKM.AES_GCM,
  parameter: { pIv: iv, pAAD: aad, ulTagBits },
});
const ccm = (ulDataLen: number, nonce: Uint8Array, aad: Uint8Array, ulMACLen: number): CK_MECHANISM => ({
  mechanism: CKM.AES_CCM,
  parameter: { ulDataLen, pNonce: nonce, pAAD: aad, ulMACLen },
});

const KEY = "feffe9928665731c6d6a8f9467308308";
const MESSAGE = `d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525
  b16aedf5aa0de657ba637b39`;
const AAD = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const IV = "cafebabefacedbaddecaf888";
const SHORT_IV = "cafebabefacedbad";
const LONG_IV = `9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b5254
  16aedbf5a0de6a57a637b39b`;

// D. McGrew, J. Viega: The Galois/Counter Mode of Operation (GCM), appendix B.
const GCM = [
  {
    number: 1,
    key: "00".repeat(16),
    iv: "00".repeat(12),
    aad: "",
    message: "",
    ciphertext: "",
    tag: "58e2fccefa7e3061367f1d57a4e7455a",
  },
  {
    number: 2,
    key: "00".repeat(16),
    iv: "00".repeat(12),
    aad: "",
    message: "00".repeat(16),
    ciphertext: "0388dace60b6a392f328c2b971b2fe78",
    tag: "ab6e47d42cec13bdf53a67b21257bddf",
  },
  {
    number: 3,
    key: KEY,
    iv: IV,
    aad: "",
    message: `${MESSAGE} 1aafd255`,
    ciphertext: `42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
    21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985`,
    tag: "4d5c2af327cd64a62cf35abd2ba6fab4",
  },
  {
    number: 4,
    key: KEY,
    iv: IV,
    aad: AAD,
    message: MESSAGE,
    ciphertext: `42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
    21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091`,
    tag: "5bc94fbc3221a5db94fae95ae7121a47",
  },
  {
    number: 5,
    key: KEY,
    iv: SHORT_IV,
    aad: AAD,
    message: MESSAGE,
    ciphertext: `61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423
    73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598`,
    tag: "3612d2e79e3b0785561be14aaca2fccb",
  },
  {
    number: 6,
    key: KEY,
    iv: LONG_IV,
    aad: AAD,
    message: MESSAGE,
    ciphertext: `8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca7
    01e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5`,
    tag: "619cc5aefffe0bfa462af43c1699d050",
  },
  {
    number: 10,
    key: KEY + KEY.slice(0, 16),
    iv: IV,
    aad: AAD,
    message: MESSAGE,
    ciphertext: `3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c
    7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710`,
    tag: "2519498e80f1478f37ba55bd6d27618c",
  },
  {
    number: 16,
    key: KEY + KEY,
    iv: IV,
    aad: AAD,
    message: MESSAGE,
    ciphertext: `522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
    8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662`,
    tag: "76fc6ece0f4e1768cddf8853bb2d551b",
  },
] as const;

describe("CKM_AES_GCM (McGrew, Viega, appendix B)", () => {
  test.each(GCM)("test case $number", async (vector) => {
    const [iv, aad, message, tag] = [hex(vector.iv), hex(vector.aad), hex(vector.message), hex(vector.tag)];
    const ciphertext = hex(vector.ciphertext);
    const key = await keys.secret(CKK.AES, hex(vector.key));
    const mechanism = gcm(iv, aad);
    const sealed = concat(ciphertext, tag);
    expect(await keys.encrypt(mechanism, key, message)).toEqual(sealed);
    expect(await keys.encryptParts(mechanism, key, message, 7)).toEqual(sealed);
    expect(await keys.decrypt(mechanism, key, sealed)).toEqual(message);
    expect(await keys.decryptParts(mechanism, key, sealed, 17)).toEqual(message);

    for (const bits of [120, 112, 104, 96, 64, 32]) {
      const short = concat(ciphertext, tag.subarray(0, bits / 8));
      expect(await keys.encrypt(gcm(iv, aad, bits), key, message)).toEqual(short);
      expect(await keys.decrypt(gcm(iv, aad, bits), key, short)).toEqual(message);
    }
    for (const other of changed(sealed)) {
      await expect(keys.decrypt(mechanism, key, other)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
      await expect(keys.decryptParts(mechanism, key, other, 16)).rejects.toMatchObject(
        refusal("ENCRYPTED_DATA_INVALID"),
      );
    }
    for (const other of changed(iv)) {
      await expect(keys.decrypt(gcm(other, aad), key, sealed)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    for (const other of [...changed(aad), concat(aad, hex("00"))]) {
      await expect(keys.decrypt(gcm(iv, other), key, sealed)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    const cut = sealed.subarray(0, -1);
    const name = cut.length < tag.length ? "ENCRYPTED_DATA_LEN_RANGE" : "ENCRYPTED_DATA_INVALID";
    await expect(keys.decrypt(mechanism, key, cut)).rejects.toMatchObject(refusal(name));
  });

  test("gives nothing of a message before its tag is right", async () => {
    const key = await keys.secret(CKK.AES, hex(KEY));
    const sealed = await keys.encrypt(gcm(hex(IV), hex("")), key, hex(MESSAGE));
    // What was in the message stays in it: the parts give nothing, and the end refuses.
    const forged = concat(sealed.subarray(0, -1), hex("00"));
    await expect(keys.decryptParts(gcm(hex(IV), hex("")), key, forged, 16)).rejects.toMatchObject(
      refusal("ENCRYPTED_DATA_INVALID"),
    );
  });
});

const CCM_KEY = hex("404142434445464748494a4b4c4d4e4f");
const counting = (length: number, from = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (from + index) & 0xff);

// SP 800-38C, appendix C.
const CCM = [
  {
    number: 1,
    nonce: counting(7, 0x10),
    aad: counting(8),
    message: counting(4, 0x20),
    sealed: "7162015b 4dac255d",
    tag: 4,
  },
  {
    number: 2,
    nonce: counting(8, 0x10),
    aad: counting(16),
    message: counting(16, 0x20),
    sealed: "d2a1f0e051ea5f62081a7792073d593d 1fc64fbfaccd",
    tag: 6,
  },
  {
    number: 3,
    nonce: counting(12, 0x10),
    aad: counting(20),
    message: counting(24, 0x20),
    sealed: "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5 484392fbc1b09951",
    tag: 8,
  },
  {
    number: 4,
    nonce: counting(13, 0x10),
    aad: counting(65_536),
    message: counting(32, 0x20),
    sealed: "69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72 b4ac6bec93e8598e7f0dadbcea5b",
    tag: 14,
  },
] as const;

describe("CKM_AES_CCM (SP 800-38C appendix C)", () => {
  test.each(CCM)("example $number", async ({ nonce, aad, message, tag, ...vector }) => {
    const sealed = hex(vector.sealed);
    const key = await keys.secret(CKK.AES, CCM_KEY);
    const mechanism = ccm(message.length, nonce, aad, tag);
    expect(await keys.encrypt(mechanism, key, message)).toEqual(sealed);
    expect(await keys.encryptParts(mechanism, key, message, 5)).toEqual(sealed);
    expect(await keys.decrypt(mechanism, key, sealed)).toEqual(message);
    expect(await keys.decryptParts(mechanism, key, sealed, 5)).toEqual(message);

    for (const other of changed(sealed)) {
      await expect(keys.decrypt(mechanism, key, other)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    for (const other of changed(nonce)) {
      const mistaken = ccm(message.length, other, aad, tag);
      await expect(keys.decrypt(mistaken, key, sealed)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    const withoutAad = ccm(message.length, nonce, hex(""), tag);
    await expect(keys.decrypt(withoutAad, key, sealed)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    await expect(keys.encrypt(mechanism, key, message.subarray(1))).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
    await expect(keys.decrypt(mechanism, key, sealed.subarray(1))).rejects.toMatchObject(
      refusal("ENCRYPTED_DATA_LEN_RANGE"),
    );
  });
});

describe("parameters", () => {
  const empty = hex("");
  test.each([
    ["no IV", gcm(empty, empty)],
    ["an IV of more than 16 MiB", gcm(new Uint8Array(2 ** 24 + 1), empty)],
    ["a tag of 0 bits", gcm(hex(IV), empty, 0)],
    ["a tag of 24 bits", gcm(hex(IV), empty, 24)],
    ["a tag of 100 bits", gcm(hex(IV), empty, 100)],
    ["a tag of 136 bits", gcm(hex(IV), empty, 136)],
    ["no parameter", mechanismOf(CKM.AES_GCM)],
    ["another mechanism's parameter", mechanismOf(CKM.AES_GCM, hex(IV))],
    ["CCM: a nonce of 6 bytes", ccm(0, new Uint8Array(6), empty, 8)],
    ["CCM: a nonce of 14 bytes", ccm(0, new Uint8Array(14), empty, 8)],
    ["CCM: a MAC of 2 bytes", ccm(0, new Uint8Array(12), empty, 2)],
    ["CCM: a MAC of 7 bytes", ccm(0, new Uint8Array(12), empty, 7)],
    ["CCM: a message longer than its length field counts", ccm(65_536, new Uint8Array(13), empty, 8)],
    ["CCM: a length below 0", ccm(-1, new Uint8Array(12), empty, 8)],
  ] as const)("%s: CKR_MECHANISM_PARAM_INVALID", async (_, mechanism) => {
    const key = await keys.secret(CKK.AES, hex(KEY));
    await expect(keys.encrypt(mechanism, key, empty)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    await expect(keys.decrypt(mechanism, key, new Uint8Array(16))).rejects.toMatchObject(
      refusal("MECHANISM_PARAM_INVALID"),
    );
  });
});
