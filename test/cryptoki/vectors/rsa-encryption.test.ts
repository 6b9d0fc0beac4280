import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../../src/bytes/index.ts";
import { CKG, CKM, CKZ, type CK_MECHANISM, mechanismOf } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { DECRYPTING_1024, JWS_2048 } from "./rsa-keys.ts";
import { changed, hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

const raw: CK_MECHANISM = { mechanism: CKM.RSA_X_509 };
const BLOCK = 256;
const MESSAGE = utf8("message");

const oaep = (hashAlg: number, mgf: number, pSourceData = hex("")): CK_MECHANISM => ({
  mechanism: CKM.RSA_PKCS_OAEP,
  parameter: { hashAlg, mgf, source: CKZ.DATA_SPECIFIED, pSourceData },
});
const sha1 = oaep(CKM.SHA_1, CKG.MGF1_SHA1);
const sha256 = oaep(CKM.SHA256, CKG.MGF1_SHA256);

// RSA Laboratories, PKCS #1 v2.1 test vectors, oaep-vect.txt.
const OAEP = [
  {
    number: "1.1",
    message: hex("6628194e12073db03ba94cda9ef9532397d50dba79b987004afefe34"),
    ciphertext: hex(
      "354fe67b4a126d5d35fe36c777791a3f7ba13def484e2d3908aff722fad468fb21696de95d0be911c2d3174f8afcc201",
      "035f7b6d8e69402de5451618c21a535fa9d7bfc5b8dd9fc243f8cf927db31322d6e881eaa91a996170e657a05a266426",
      "d98c88003f8477c1227094a0d9fa1e8c4024309ce1ecccb5210035d47ac72e8a",
    ),
  },
  {
    number: "1.2",
    message: hex("750c4047f547e8e41411856523298ac9bae245efaf1397fbe56f9dd5"),
    ciphertext: hex(
      "640db1acc58e0568fe5407e5f9b701dff8c3c91e716c536fc7fcec6cb5b71c1165988d4a279e1577d730fc7a29932e3f",
      "00c81515236d8d8e31017a7a09df4352d904cdeb79aa583adcc31ea698a4c05283daba9089be5491f67c1a4ee48dc74b",
      "bbe6643aef846679b4cb395a352d5ed115912df696ffe0702932946d71492b44",
    ),
  },
] as const;

describe("CKM_RSA_PKCS_OAEP", () => {
  test.each(OAEP)("oaep-vect.txt, $number", async ({ message, ciphertext }) => {
    const key = await keys.rsaPrivate(DECRYPTING_1024);
    expect(await keys.decrypt(sha1, key, ciphertext)).toEqual(message);
    expect(await keys.decryptParts(sha1, key, ciphertext, 50)).toEqual(message);
    const others = [sha256, oaep(CKM.SHA_1, CKG.MGF1_SHA256), oaep(CKM.SHA_1, CKG.MGF1_SHA1, hex("00"))];
    for (const other of others) {
      await expect(keys.decrypt(other, key, ciphertext)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    for (const other of changed(ciphertext)) {
      await expect(keys.decrypt(sha1, key, other)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    for (const other of [hex(""), ciphertext.subarray(1), concat(hex("00"), ciphertext)]) {
      await expect(keys.decrypt(sha1, key, other)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_LEN_RANGE"));
    }
  });

  test("a message may be as long as the key leaves room for, 0 bytes as well", async () => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    const label = oaep(CKM.SHA256, CKG.MGF1_SHA1, utf8("label"));
    for (const length of [0, 1, BLOCK - 66]) {
      const message = new Uint8Array(length).fill(0x5a);
      const ciphertext = await keys.encryptParts(label, publicKey, message, 100);
      expect(await keys.decrypt(label, privateKey, ciphertext)).toEqual(message);
    }
    const long = keys.encrypt(label, publicKey, new Uint8Array(BLOCK - 65));
    await expect(long).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
  });

  test("blocks that are not those of the scheme all look alike (Manger 2001)", async () => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    const encoded = await keys.decrypt(raw, privateKey, await keys.encrypt(sha256, publicKey, MESSAGE));
    const again = await keys.encrypt(raw, publicKey, encoded);
    expect(await keys.decrypt(sha256, privateKey, again)).toEqual(MESSAGE);
    for (const place of [0, 1, 32, 33, 64, 65, BLOCK - 8]) {
      const wrong = encoded.map((byte, index) => (index === place ? byte ^ 0x01 : byte));
      const ciphertext = await keys.encrypt(raw, publicKey, wrong);
      const failed: unknown = await keys.decrypt(sha256, privateKey, ciphertext).catch((error: unknown) => error);
      expect(failed).toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
      expect(String(failed)).toBe(
        String(
          await keys
            .decrypt(sha256, privateKey, await keys.encrypt(raw, publicKey, hex("00")))
            .catch((error: unknown) => error),
        ),
      );
    }
  });

  test.each([
    ["no hash", oaep(CKM.RSA_PKCS, CKG.MGF1_SHA1)],
    ["no mask", oaep(CKM.SHA_1, 0x99)],
    [
      "another source",
      { mechanism: CKM.RSA_PKCS_OAEP, parameter: { hashAlg: CKM.SHA_1, mgf: CKG.MGF1_SHA1, source: 2 } },
    ],
    ["no parameter", mechanismOf(CKM.RSA_PKCS_OAEP)],
  ] as const)("%s: CKR_MECHANISM_PARAM_INVALID", async (_, mechanism) => {
    const key = await keys.rsaPublic(JWS_2048);
    await expect(keys.encrypt(mechanism, key, MESSAGE)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });
});

const filled = (length: number): Uint8Array => new Uint8Array(length).fill(0xa5);
const pkcs1: CK_MECHANISM = { mechanism: CKM.RSA_PKCS };

const WRONG: readonly (readonly [string, Uint8Array])[] = [
  ["block type 1", concat(hex("0001"), filled(BLOCK - 10), hex("00"), MESSAGE)],
  ["block type 0", concat(hex("0000"), filled(BLOCK - 10), hex("00"), MESSAGE)],
  ["a first byte that is not 0", concat(hex("0102"), filled(BLOCK - 10), hex("00"), MESSAGE)],
  ["no 00 at all", concat(hex("0002"), filled(BLOCK - 2))],
  ["7 bytes of padding", concat(hex("0002"), filled(7), hex("00"), filled(BLOCK - 10))],
  ["no padding", concat(hex("000200"), filled(BLOCK - 3))],
  ["zeros", new Uint8Array(BLOCK)],
];

describe("CKM_RSA_PKCS", () => {
  test.each([0, 1, 7, BLOCK - 11])("a message of %i bytes, and no longer one than fits", async (length) => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    const message = filled(length);
    const byHand = concat(hex("0002"), filled(BLOCK - 3 - length), hex("00"), message);
    expect(await keys.decrypt(pkcs1, privateKey, await keys.encrypt(raw, publicKey, byHand))).toEqual(message);
    expect(await keys.decrypt(pkcs1, privateKey, await keys.encrypt(pkcs1, publicKey, message))).toEqual(message);
    await expect(keys.encrypt(pkcs1, publicKey, filled(BLOCK - 10))).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
  });

  test.each(WRONG)("what is wrong is no error, but another message (Bleichenbacher 1998): %s", async (_, block) => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    expect(block).toHaveLength(BLOCK);
    const ciphertext = await keys.encrypt(raw, publicKey, block);
    const message = await keys.decrypt(pkcs1, privateKey, ciphertext);
    expect(message.length).toBeLessThanOrEqual(BLOCK - 11);
    expect(block.subarray(-message.length)).not.toEqual(message.length === 0 ? undefined : message);
    expect(await keys.decrypt(pkcs1, privateKey, ciphertext)).toEqual(message);
  });
});

describe("CKM_RSA_X_509", () => {
  test("numbers below the modulus and no others", async () => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    const { modulus } = JWS_2048;
    const below = modulus.map((byte, index) => (index === BLOCK - 1 ? byte - 1 : byte));
    const ciphertext = await keys.encrypt(raw, publicKey, below);
    expect(await keys.decrypt(raw, privateKey, ciphertext)).toEqual(below);
    expect(await keys.encrypt(raw, publicKey, hex("01"))).toEqual(concat(new Uint8Array(BLOCK - 1), hex("01")));
    for (const other of [modulus, new Uint8Array(BLOCK).fill(0xff)]) {
      await expect(keys.encrypt(raw, publicKey, other)).rejects.toMatchObject(refusal("DATA_INVALID"));
      await expect(keys.sign(raw, privateKey, other)).rejects.toMatchObject(refusal("DATA_INVALID"));
      await expect(keys.decrypt(raw, privateKey, other)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
    await expect(keys.encrypt(raw, publicKey, new Uint8Array(BLOCK + 1))).rejects.toMatchObject(
      refusal("DATA_LEN_RANGE"),
    );
  });
});

describe("RSA private keys", () => {
  test("numbers that do not belong together are no key", async () => {
    const { modulus, privateExponent } = JWS_2048;
    for (const wrong of [
      { ...JWS_2048, publicExponent: hex("03") },
      { ...JWS_2048, privateExponent: changed(privateExponent)[2] ?? hex("") },
      { ...JWS_2048, privateExponent: hex("01") },
      { ...JWS_2048, modulus: modulus.map((byte, index) => (index === BLOCK - 1 ? byte ^ 0x02 : byte)) },
      { ...JWS_2048, modulus: DECRYPTING_1024.modulus },
      { ...JWS_2048, modulus: concat(modulus, modulus, modulus) },
    ]) {
      await expect(keys.rsaPrivate(wrong)).rejects.toMatchObject(refusal("ATTRIBUTE_VALUE_INVALID"));
    }
  });
});
