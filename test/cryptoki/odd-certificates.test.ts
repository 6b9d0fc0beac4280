import { constants, createPrivateKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { deflateSync, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "@jest/globals";
import { encodeTlv } from "../../src/apdu/index.ts";
import { DerReader, derSequence } from "../../src/asn1/index.ts";
import { concat, fromHex, toHex } from "../../src/bytes/index.ts";
import { CKA, CKG, CKM, CKO, CKR } from "../../src/cryptoki/index.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { certificateOf } from "../card/certificates.ts";
import { spkiOf } from "../crypto/keys.ts";
import { READER, Rig } from "./rig.ts";

const AUTHENTICATION = 0x5fc105;
const SALT_32 = { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, sLen: 32 };

let rig: Rig;
afterEach(() => rig[Symbol.asyncDispose]());

/** A PIV card with a key in 9A, and `stored` as the certificate there: what tag 70 of its data object holds. */
async function insert(privateKey: KeyObject, stored: Uint8Array, info = 0): Promise<void> {
  const object = concat(encodeTlv(0x70, stored), encodeTlv(0x71, Uint8Array.of(info)), encodeTlv(0xfe));
  rig = new Rig();
  rig.readers.plug(READER);
  rig.insert(
    await VirtualPivCard.create({
      keys: { "9a": { privateKey, certificate: null }, "9c": null, "9d": null, "9e": null },
      objects: new Map([[AUTHENTICATION, object]]),
    }),
  );
  await rig.cryptoki.C_Initialize();
}

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const certificate = certificateOf({ publicKey: spkiOf(ec.publicKey) });

describe("a PIV certificate", () => {
  test.each([
    ["in zlib behind its length", concat(fromHex("0100"), fromHex("ffff"), deflateSync(certificate)), 1],
    ["in zlib", deflateSync(certificate), 0],
    ["in gzip, which CertInfo does not tell", gzipSync(certificate), 0],
    ["with zeros behind it", concat(certificate, new Uint8Array(10)), 0],
    ["with a long length", concat(fromHex("308300"), certificate.subarray(2)), 0],
  ])("%s is the certificate alone, and its key signs", async (_, stored, info) => {
    await insert(ec.privateKey, stored, info);
    const session = await rig.loggedIn();
    const { cryptoki } = rig;
    const object = await rig.object(session, CKO.CERTIFICATE, 1);
    const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]);
    expect(toHex(value)).toBe(toHex(certificate));
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, await rig.object(session, CKO.PRIVATE_KEY, 1));
    const message = fromHex("0102");
    const signature = await cryptoki.C_Sign(session, message);
    expect(verify("sha256", message, { key: ec.publicKey, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  });

  test("with explicit parameters of P-256: the key signs, and is written by the curve's name", async () => {
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" });
    await insert(pair.privateKey, certificateOf({ publicKey: spkiOf(pair.publicKey) }));
    const session = await rig.loggedIn();
    const key = await rig.object(session, CKO.PUBLIC_KEY, 1);
    const shown = await rig.cryptoki.C_GetAttributeValue(session, key, [CKA.EC_PARAMS, CKA.PUBLIC_KEY_INFO]);
    expect(toHex(shown[CKA.EC_PARAMS])).toBe("06082a8648ce3d030107");
    expect(shown[CKA.PUBLIC_KEY_INFO]).toHaveLength(91);
  });

  test("with dates that name no moment shows the rest of a template, and those that OpenSSL reads as dates", async () => {
    const publicKey = spkiOf(ec.publicKey);
    for (const [notBefore, expected] of [
      ["no date", null],
      ["2501020304Z", new Date("2025-01-02T03:04:00Z")],
      ["250102000000+0100", new Date("2025-01-01T23:00:00Z")],
    ] as const) {
      await insert(ec.privateKey, certificateOf({ publicKey, notBefore }));
      const session = await rig.session();
      const types = [CKA.START_DATE, CKA.END_DATE, CKA.SERIAL_NUMBER] as const;
      const object = await rig.object(session, CKO.CERTIFICATE, 1);
      const shown = await rig.cryptoki.C_GetAttributeValue(session, object, types);
      expect(shown[CKA.START_DATE]).toEqual(expected);
      expect(shown[CKA.END_DATE]).toEqual(new Date("2035-01-01T00:00:00Z"));
      if (notBefore !== "250102000000+0100") await rig[Symbol.asyncDispose]();
    }
  });

  test("with a negative serial number and empty names is found by them", async () => {
    const empty = derSequence();
    const serialNumber = fromHex("0201ff");
    const publicKey = spkiOf(ec.publicKey);
    await insert(ec.privateKey, certificateOf({ publicKey, serialNumber, subject: empty, issuer: empty }));
    const session = await rig.session();
    const template = { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ISSUER]: empty, [CKA.SERIAL_NUMBER]: serialNumber };
    expect(await rig.find(session, template)).toHaveLength(1);
  });

  test("with a key on a curve that is not known keeps its subject; the key does not sign", async () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "brainpoolP256r1" });
    await insert(ec.privateKey, certificateOf({ publicKey: spkiOf(publicKey) }));
    const session = await rig.loggedIn();
    const object = await rig.object(session, CKO.CERTIFICATE, 1);
    const shown = await rig.cryptoki.C_GetAttributeValue(session, object, [CKA.SUBJECT, CKA.PUBLIC_KEY_INFO]);
    expect(shown[CKA.PUBLIC_KEY_INFO]).toEqual(spkiOf(publicKey));
    const key = await rig.object(session, CKO.PRIVATE_KEY, 1);
    await expect(rig.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key)).rejects.toMatchObject({
      rv: CKR.KEY_FUNCTION_NOT_PERMITTED,
      message: expect.stringContaining("CKA_SIGN is false for this key"),
    });
  });
});

describe("a certificate for RSASSA-PSS alone", () => {
  const limits: object = { hashAlgorithm: "sha256", mgf1HashAlgorithm: "sha256", saltLength: 32 };
  const limited = generateKeyPairSync("rsa-pss", { modulusLength: 2048, ...limits });
  /** The same key, as a card has it: the RSAPrivateKey of its PrivateKeyInfo. */
  const bare = (key: KeyObject): KeyObject => {
    const info = new DerReader(key.export({ format: "der", type: "pkcs8" })).enter();
    info.integer();
    info.next();
    return createPrivateKey({ key: Buffer.from(info.octetString()), format: "der", type: "pkcs1" });
  };

  test("signs with PSS as its parameters allow, and with nothing else", async () => {
    await insert(bare(limited.privateKey), certificateOf({ publicKey: spkiOf(limited.publicKey) }));
    const session = await rig.loggedIn();
    const { cryptoki } = rig;
    const key = await rig.object(session, CKO.PRIVATE_KEY, 1);
    const shown = await cryptoki.C_GetAttributeValue(session, key, [
      CKA.ALLOWED_MECHANISMS,
      CKA.SIGN,
      CKA.DECRYPT,
      CKA.UNWRAP,
      CKA.SIGN_RECOVER,
    ]);
    expect(shown).toEqual({
      [CKA.ALLOWED_MECHANISMS]: [CKM.RSA_PKCS_PSS, CKM.SHA256_RSA_PKCS_PSS],
      [CKA.SIGN]: true,
      [CKA.DECRYPT]: false,
      [CKA.UNWRAP]: false,
      [CKA.SIGN_RECOVER]: false,
    });
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS_PSS, parameter: SALT_32 }, key);
    const message = fromHex("aabbcc");
    const signature = await cryptoki.C_Sign(session, message);
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    expect(verify("sha256", message, { key: limited.publicKey, padding, saltLength: 32 }, signature)).toBe(true);

    for (const [mechanism, rv] of [
      [{ mechanism: CKM.SHA256_RSA_PKCS }, CKR.MECHANISM_INVALID],
      [{ mechanism: CKM.RSA_X_509 }, CKR.MECHANISM_INVALID],
      [{ mechanism: CKM.SHA384_RSA_PKCS_PSS, parameter: { ...SALT_32, hashAlg: CKM.SHA384 } }, CKR.MECHANISM_INVALID],
      [{ mechanism: CKM.RSA_PKCS_PSS, parameter: { ...SALT_32, hashAlg: CKM.SHA384 } }, CKR.MECHANISM_PARAM_INVALID],
      [{ mechanism: CKM.RSA_PKCS_PSS, parameter: { ...SALT_32, mgf: CKG.MGF1_SHA1 } }, CKR.MECHANISM_PARAM_INVALID],
      [{ mechanism: CKM.RSA_PKCS_PSS, parameter: { ...SALT_32, sLen: 31 } }, CKR.MECHANISM_PARAM_INVALID],
    ] as const) {
      await expect(cryptoki.C_SignInit(session, mechanism, key)).rejects.toMatchObject({ rv });
    }
    await expect(cryptoki.C_DecryptInit(session, { mechanism: CKM.RSA_PKCS }, key)).rejects.toMatchObject({
      rv: CKR.KEY_FUNCTION_NOT_PERMITTED,
    });
    const longer = { mechanism: CKM.RSA_PKCS_PSS, parameter: { ...SALT_32, sLen: 40 } };
    await cryptoki.C_SignInit(session, longer, key);
    expect(await cryptoki.C_Sign(session, new Uint8Array(32))).toHaveLength(256);
  });
});
