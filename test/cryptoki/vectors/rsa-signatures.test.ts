import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat, fromHex, toHex, utf8 } from "../../../src/bytes/index.ts";
import { digest } from "../../../src/crypto/index.ts";
import { CKG, CKM, type CK_MECHANISM, mechanismOf, type OtherMechanism } from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { JWS_2048, SIGNING_1024 } from "./rsa-keys.ts";
import { changed, hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

const raw: CK_MECHANISM = { mechanism: CKM.RSA_X_509 };

// pss-vect.txt and pkcs1v15sign-vectors.txt, messages 1.1 and 1.2.
const FIRST = hex(
  "cdc87da223d786df3b45e0bbbc721326d1ee2af806cc315475cc6f0d9c66e1b62371d45ce2392e1ac92844c310102f15",
  "6a0d8d52c1f4c40ba3aa65095786cb769757a6563ba958fed0bcc984e8b517a3d5f515b23b8a41e74aa867693f90dfb0",
  "61a6e86dfaaee64472c00e5f20945729cbebe77f06ce78e08f4098fba41f9d6193c0317e8b60d4b6084acb42d29e3808",
  "a3bc372d85e331170fcbf7cc72d0b71c296648b3a4d10f416295d0807aa625cab2744fd9ea8fd223c42537029828bd16",
  "be02546f130fd2e33b936d2676e08aed1b73318b750a0167d0",
);
const SECOND = hex(
  "851384cdfe819c22ed6c4ccb30daeb5cf059bc8e1166b7e3530c4c233e2b5f8f71a1cca582d43ecc72b1bca16dfc7013226b9e",
);
/** RFC 7515 appendix A.2.1: header and payload. */
const JWS = utf8(
  "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
);

const PKCS1 = [
  {
    source: "pkcs1v15sign-vectors.txt, 1.1",
    key: SIGNING_1024,
    mechanism: CKM.SHA1_RSA_PKCS,
    message: FIRST,
    signature: hex(
      "6bc3a06656842930a247e30d5864b4d819236ba7c68965862ad7dbc4e24af28e86bb531f03358be5fb74777c6086f850",
      "caef893f0d6fcc2d0c91ec013693b4ea00b80cd49aac4ecb5f8911afe539ada4a8f3823d1d13e472d1490547c659c761",
      "7f3d24087ddb6f2b72096167fc097cab18e9a458fcb634cdce8ee35894c484d7",
    ),
  },
  {
    source: "RFC 7515 appendix A.2.1",
    key: JWS_2048,
    mechanism: CKM.SHA256_RSA_PKCS,
    message: JWS,
    signature: fromHex(
      Buffer.from(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9" +
          "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB" +
          "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq" +
          "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        "base64url",
      ).toString("hex"),
    ),
  },
] as const;

describe("CKM_SHA*_RSA_PKCS", () => {
  test.each(PKCS1)("$source", async ({ key, mechanism: type, message, signature }) => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(key), await keys.rsaPublic(key)];
    const mechanism = { mechanism: type };
    expect(await keys.sign(mechanism, privateKey, message)).toEqual(signature);
    expect(await keys.signParts(mechanism, privateKey, message, 10)).toEqual(signature);
    await keys.verify(mechanism, publicKey, message, signature);
    for (const other of [
      ...changed(signature),
      new Uint8Array(signature.length),
      new Uint8Array(signature.length).fill(0xff),
    ]) {
      await expect(keys.verify(mechanism, publicKey, message, other)).rejects.toMatchObject(
        refusal("SIGNATURE_INVALID"),
      );
    }
    for (const other of [hex(""), signature.subarray(1), concat(hex("00"), signature)]) {
      await expect(keys.verify(mechanism, publicKey, message, other)).rejects.toMatchObject(
        refusal("SIGNATURE_LEN_RANGE"),
      );
    }
    for (const other of changed(message)) {
      await expect(keys.verify(mechanism, publicKey, other, signature)).rejects.toMatchObject(
        refusal("SIGNATURE_INVALID"),
      );
    }
    const withParameter = mechanismOf(mechanism.mechanism, hex("00"));
    await expect(keys.sign(withParameter, privateKey, message)).rejects.toMatchObject(
      refusal("MECHANISM_PARAM_INVALID"),
    );
  });

  test("MD5 (RFC 8017 section 9.2 note 1)", async () => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    const signature = await keys.sign({ mechanism: CKM.MD5_RSA_PKCS }, privateKey, JWS);
    const info = concat(hex("3020300c06082a864886f70d020505000410"), digest("md5", JWS));
    await keys.verify({ mechanism: CKM.RSA_PKCS }, publicKey, info, signature);
  });
});

const HASHED = toHex(digest("sha256", JWS));
const INFO = `3031300d060960864801650304020105000420${HASHED}`;
const BLOCK = 256;
/** 00 01, as much FF as there is room for, 00, and what comes after. */
const block = (end: string): Uint8Array =>
  concat(hex("0001"), new Uint8Array(BLOCK - 3 - end.length / 2).fill(0xff), hex("00", end));

/** What Bleichenbacher (2006) and those after him got past verifiers that take a block apart. */
const BLOCKS: readonly (readonly [string, Uint8Array])[] = [
  ["no DigestInfo", block(HASHED)],
  ["another hash's identifier", block(`3031300d060960864801650304020305000420${HASHED}`)],
  ["no NULL in the algorithm", block(`302f300b0609608648016503040201 0420${HASHED}`.replaceAll(" ", ""))],
  ["an empty OCTET STRING for NULL", block(`3031300d060960864801650304020104000420${HASHED}`)],
  ["a long length where a short one does", block(`308131300d060960864801650304020105000420${HASHED}`)],
  ["an indefinite length", block(`3080300d060960864801650304020105000420${HASHED}0000`)],
  ["bytes after the hash", block(`${INFO}00`)],
  ["bytes after the hash, counted", block(`3033300d060960864801650304020105000420${HASHED}0500`)],
  ["bytes in the algorithm's parameters", block(`3035301106096086480165030402010504deadbeef0420${HASHED}`)],
  [
    "short padding, and rubbish at the end",
    concat(hex("0001", "ff".repeat(8), "00", INFO), new Uint8Array(BLOCK - 11 - INFO.length / 2)),
  ],
  ["no padding", concat(hex("000100", INFO), new Uint8Array(BLOCK - 3 - INFO.length / 2))],
  ["padding with another byte in it", block(INFO).map((byte, index) => (index === 20 ? 0xfe : byte))],
  [
    "padding of zeros",
    block(INFO).map((byte, index) => (index >= 2 && byte === 0xff && index < BLOCK - 52 ? 0x00 : byte)),
  ],
  ["block type 2", block(INFO).map((byte, index) => (index === 1 ? 0x02 : byte))],
  ["block type 0", block(INFO).map((byte, index) => (index === 1 ? 0x00 : byte))],
  ["no 00 before the DigestInfo", block(`ff${INFO}`).map((byte, index) => (index === BLOCK - 53 ? 0xff : byte))],
  ["a hash of another message", block(INFO.slice(0, -2) + "00")],
];

describe("blocks that are not those of a PKCS #1 v1.5 signature", () => {
  test("the right one, made by hand", async () => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    const signature = await keys.sign(raw, privateKey, block(INFO));
    await keys.verify({ mechanism: CKM.SHA256_RSA_PKCS }, publicKey, JWS, signature);
  });

  test.each(BLOCKS)("%s", async (_, wrong) => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    expect(wrong).toHaveLength(BLOCK);
    const signature = await keys.sign(raw, privateKey, wrong);
    const verified = keys.verify({ mechanism: CKM.SHA256_RSA_PKCS }, publicKey, JWS, signature);
    await expect(verified).rejects.toMatchObject(refusal("SIGNATURE_INVALID"));
  });
});

const pss = (mechanism: number, hashAlg: number, mgf: number, sLen: number): OtherMechanism =>
  mechanismOf(mechanism, { hashAlg, mgf, sLen });

const PSS = [
  {
    number: "1.1",
    message: FIRST,
    signature: hex(
      "9074308fb598e9701b2294388e52f971faac2b60a5145af185df5287b5ed2887e57ce7fd44dc8634e407c8e0e4360bc2",
      "26f3ec227f9d9e54638e8d31f5051215df6ebb9c2f9579aa77598a38f914b5b9c1bd83c4e2f9f382a0d0aa3542ffee65",
      "984a601bc69eb28deb27dca12c82c2d4c3f66cd500f1ff2b994d8a4e30cbb33c",
    ),
  },
  {
    number: "1.2",
    message: SECOND,
    signature: hex(
      "3ef7f46e831bf92b32274142a585ffcefbdca7b32ae90d10fb0f0c729984f04ef29a9df0780775ce43739b97838390db",
      "0a5505e63de927028d9d29b219ca2c4517832558a55d694a6d25b9dab66003c4cccd907802193be5170d26147d37b935",
      "90241be51c25055f47ef62752cfbe21418fafe98c22c4d4d47724fdb5669e843",
    ),
  },
] as const;

describe("CKM_RSA_PKCS_PSS", () => {
  const sha1 = pss(CKM.SHA1_RSA_PKCS_PSS, CKM.SHA_1, CKG.MGF1_SHA1, 20);

  test.each(PSS)("pss-vect.txt, $number", async ({ message, signature }) => {
    const publicKey = await keys.rsaPublic(SIGNING_1024);
    await keys.verify(sha1, publicKey, message, signature);
    await keys.verify(mechanismOf(CKM.RSA_PKCS_PSS, sha1.parameter), publicKey, digest("sha1", message), signature);
    for (const other of changed(signature)) {
      await expect(keys.verify(sha1, publicKey, message, other)).rejects.toMatchObject(refusal("SIGNATURE_INVALID"));
    }
    for (const sLen of [0, 19, 21]) {
      const other = pss(CKM.SHA1_RSA_PKCS_PSS, CKM.SHA_1, CKG.MGF1_SHA1, sLen);
      await expect(keys.verify(other, publicKey, message, signature)).rejects.toMatchObject(
        refusal("SIGNATURE_INVALID"),
      );
    }
    const masked = pss(CKM.SHA1_RSA_PKCS_PSS, CKM.SHA_1, CKG.MGF1_SHA256, 20);
    await expect(keys.verify(masked, publicKey, message, signature)).rejects.toMatchObject(
      refusal("SIGNATURE_INVALID"),
    );
  });

  const sha256 = pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256, CKG.MGF1_SHA256, 32);

  test("blocks that are changed where a verifier may not look", async () => {
    const [privateKey, publicKey] = [await keys.rsaPrivate(JWS_2048), await keys.rsaPublic(JWS_2048)];
    const signature = await keys.sign(sha256, privateKey, JWS);
    await keys.verify(sha256, publicKey, JWS, signature);
    const encoded = await keys.encrypt(raw, publicKey, signature);
    expect(encoded.at(-1)).toBe(0xbc);
    const places = [
      [BLOCK - 1, 0xcc],
      [BLOCK - 1, 0x00],
      [0, 0x80 | (encoded[0] ?? 0)],
      [BLOCK - 2, 0x01 ^ (encoded[BLOCK - 2] ?? 0)],
      [1, 0x01 ^ (encoded[1] ?? 0)],
    ] as const;
    for (const [place, byte] of places) {
      const wrong = encoded.map((old, index) => (index === place ? byte : old));
      // With its highest bit set, a block may be no less than the modulus, and nothing signs it.
      const forged = await keys.sign(raw, privateKey, wrong).catch(() => undefined);
      if (!forged) continue;
      await expect(keys.verify(sha256, publicKey, JWS, forged)).rejects.toMatchObject(refusal("SIGNATURE_INVALID"));
    }
  });

  test.each([
    ["another hash than the mechanism's", pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA384, CKG.MGF1_SHA256, 32)],
    ["no mask", pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256, 0x99, 32)],
    ["a salt below 0", pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256, CKG.MGF1_SHA256, -1)],
    ["no parameter", mechanismOf(CKM.SHA256_RSA_PKCS_PSS)],
  ] as const)("%s: CKR_MECHANISM_PARAM_INVALID", async (_, mechanism) => {
    const key = await keys.rsaPrivate(JWS_2048);
    await expect(keys.sign(mechanism, key, JWS)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });

  test("a digest of another length: CKR_DATA_LEN_RANGE", async () => {
    const key = await keys.rsaPrivate(JWS_2048);
    for (const length of [0, 20, 31, 33]) {
      const signed = keys.sign(mechanismOf(CKM.RSA_PKCS_PSS, sha256.parameter), key, new Uint8Array(length));
      await expect(signed).rejects.toMatchObject(refusal("DATA_LEN_RANGE"));
    }
  });
});
