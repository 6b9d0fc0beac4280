import {
  constants,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  verify,
} from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKD, CKG, CKK, CKM, CKO, CKU, CKZ, type CK_MECHANISM, type Template } from "../../src/cryptoki/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { PIN, refusal, rig, type Rig } from "./rig.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.of(...values);
const own = (buffer: Uint8Array): Uint8Array => new Uint8Array(buffer);
const jwkPart = (key: KeyObject, name: string): Uint8Array =>
  own(Buffer.from(String(key.export({ format: "jwk" })[name as "n"]), "base64url"));

const P_256 = bytes(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7);
const RSA_PAIR = { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN };
const EC_PAIR = { mechanism: CKM.EC_KEY_PAIR_GEN };

const rsaKey = testKey("rsa-1024", "software");
const ecKey = testKey("p-256", "software");

const rsaTemplate = (key: KeyObject): Template => ({
  [CKA.CLASS]: CKO.PRIVATE_KEY,
  [CKA.KEY_TYPE]: CKK.RSA,
  [CKA.MODULUS]: jwkPart(key, "n"),
  [CKA.PUBLIC_EXPONENT]: jwkPart(key, "e"),
  [CKA.PRIVATE_EXPONENT]: jwkPart(key, "d"),
});
const RSA = {
  ...rsaTemplate(rsaKey),
  [CKA.PRIME_1]: jwkPart(rsaKey, "p"),
  [CKA.PRIME_2]: jwkPart(rsaKey, "q"),
  [CKA.EXPONENT_1]: jwkPart(rsaKey, "dp"),
  [CKA.EXPONENT_2]: jwkPart(rsaKey, "dq"),
  [CKA.COEFFICIENT]: jwkPart(rsaKey, "qi"),
} as const;
const EC = {
  [CKA.CLASS]: CKO.PRIVATE_KEY,
  [CKA.KEY_TYPE]: CKK.EC,
  [CKA.EC_PARAMS]: P_256,
  [CKA.VALUE]: jwkPart(ecKey, "d"),
} as const;
const OPEN = { [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true } as const;
const AES = {
  [CKA.CLASS]: CKO.SECRET_KEY,
  [CKA.KEY_TYPE]: CKK.AES,
  [CKA.VALUE]: own(Buffer.from("000102030405060708090a0b0c0d0e0f", "hex")),
} as const;

const values = (made: Rig, session: number, object: number, types: readonly number[]): Promise<Template> =>
  made.cryptoki.C_GetAttributeValue(session, object, types);

async function spki(made: Rig, session: number, object: number): Promise<KeyObject> {
  const { [CKA.PUBLIC_KEY_INFO]: der } = await made.cryptoki.C_GetAttributeValue(session, object, [
    CKA.PUBLIC_KEY_INFO,
  ]);
  return createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
}

describe("private keys of a session", () => {
  test("sign like the key that was brought", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const message = utf8("message");
    for (const [template, mechanism, key] of [
      [RSA, CKM.SHA256_RSA_PKCS, createPublicKey(rsaKey)],
      [rsaTemplate(rsaKey), CKM.SHA256_RSA_PKCS, createPublicKey(rsaKey)],
      [EC, CKM.ECDSA_SHA256, { key: createPublicKey(ecKey), dsaEncoding: "ieee-p1363" }],
    ] as const) {
      const object = await cryptoki.C_CreateObject(session, template);
      await cryptoki.C_SignInit(session, { mechanism }, object);
      expect(verify("sha256", message, key, await cryptoki.C_Sign(session, message))).toBe(true);
    }
  });

  test("show no number that is secret, whatever is asked, unless both attributes allow it", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const secret = [
      CKA.PRIVATE_EXPONENT,
      CKA.PRIME_1,
      CKA.PRIME_2,
      CKA.EXPONENT_1,
      CKA.EXPONENT_2,
      CKA.COEFFICIENT,
    ] as const;
    for (const closed of [{}, { [CKA.SENSITIVE]: false }, { [CKA.EXTRACTABLE]: true }]) {
      const object = await cryptoki.C_CreateObject(session, { ...RSA, ...closed });
      for (const type of secret) {
        await expect(values(made, session, object, [type])).rejects.toMatchObject(refusal("ATTRIBUTE_SENSITIVE"));
        const value = RSA[type] ?? new Uint8Array();
        expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [type]: value })).toEqual([]);
      }
    }
    // What was left out is worked out.
    const open = await cryptoki.C_CreateObject(session, { ...rsaTemplate(rsaKey), ...OPEN });
    const shown = await values(made, session, open, secret);
    const primes = [shown[CKA.PRIME_1], shown[CKA.PRIME_2]].map((prime) => Buffer.from(prime ?? []).toString("hex"));
    expect(primes.sort()).toEqual(
      [RSA[CKA.PRIME_1], RSA[CKA.PRIME_2]].map((p) => Buffer.from(p).toString("hex")).sort(),
    );
    const ec = await cryptoki.C_CreateObject(session, { ...EC, ...OPEN });
    expect(await values(made, session, ec, [CKA.VALUE])).toEqual({ [CKA.VALUE]: EC[CKA.VALUE] });
    await cryptoki.C_SetAttributeValue(session, ec, { [CKA.SENSITIVE]: true });
    await expect(values(made, session, ec, [CKA.VALUE])).rejects.toMatchObject(refusal("ATTRIBUTE_SENSITIVE"));
  });

  test("are private and closed by default, and end with the login", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const object = await cryptoki.C_CreateObject(session, EC);
    expect(
      await values(made, session, object, [
        CKA.PRIVATE,
        CKA.SENSITIVE,
        CKA.EXTRACTABLE,
        CKA.LOCAL,
        CKA.ALWAYS_SENSITIVE,
      ]),
    ).toEqual({
      [CKA.PRIVATE]: true,
      [CKA.SENSITIVE]: true,
      [CKA.EXTRACTABLE]: false,
      [CKA.LOCAL]: false,
      [CKA.ALWAYS_SENSITIVE]: false,
    });
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, object);
    await cryptoki.C_Logout(session);
    await expect(cryptoki.C_Sign(session, new Uint8Array(32))).rejects.toMatchObject({ name: /CKR_/ });
    await expect(values(made, session, object, [CKA.CLASS])).rejects.toMatchObject(refusal("OBJECT_HANDLE_INVALID"));
  });

  test("may want the PIN of the card before each use", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const object = await cryptoki.C_CreateObject(session, { ...EC, [CKA.ALWAYS_AUTHENTICATE]: true });
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, object);
    await expect(cryptoki.C_Sign(session, new Uint8Array(32))).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, object);
    await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    expect(await cryptoki.C_Sign(session, new Uint8Array(32))).toHaveLength(64);
  });

  test.each<[string, Template]>([
    ["TEMPLATE_INCOMPLETE", { ...EC, [CKA.VALUE]: undefined } as unknown as Template],
    ["TEMPLATE_INCOMPLETE", { ...rsaTemplate(rsaKey), [CKA.PRIME_1]: RSA[CKA.PRIME_1] }],
    ["TEMPLATE_INCOMPLETE", { ...rsaTemplate(rsaKey), [CKA.COEFFICIENT]: RSA[CKA.COEFFICIENT] }],
    ["ATTRIBUTE_VALUE_INVALID", { ...RSA, [CKA.PRIVATE_EXPONENT]: bytes(3) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...RSA, [CKA.PRIME_1]: bytes(3) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...RSA, [CKA.EXPONENT_1]: bytes(3) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...EC, [CKA.VALUE]: new Uint8Array(32) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...EC, [CKA.VALUE]: new Uint8Array(33) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...EC, [CKA.PUBLIC_KEY_INFO]: bytes(1) }],
    ["CURVE_NOT_SUPPORTED", { ...EC, [CKA.EC_PARAMS]: bytes(6, 1, 42) }],
    ["TEMPLATE_INCONSISTENT", { ...EC, [CKA.PRIVATE]: false, [CKA.ALWAYS_AUTHENTICATE]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...EC, [CKA.NEVER_EXTRACTABLE]: true }],
  ])("are not made where the answer is %s", async (name, template) => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const given = Object.fromEntries(Object.entries(template).filter(([, value]) => (value as unknown) !== undefined));
    await expect(made.cryptoki.C_CreateObject(session, given)).rejects.toMatchObject(refusal(name));
  });

  test.each([
    [CKK.EC_EDWARDS, "ed25519", "edwards25519", "06032b6570"],
    [CKK.EC_MONTGOMERY, "x25519", "curve25519", "06032b656e"],
  ] as const)("of type %i on %s: the curve by its name and by its identifier", async (keyType, kind, name, oid) => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const pair = kind === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
    for (const parameters of [concat(bytes(0x13, name.length), utf8(name)), own(Buffer.from(oid, "hex"))]) {
      const object = await made.cryptoki.C_CreateObject(session, {
        ...EC,
        [CKA.KEY_TYPE]: keyType,
        [CKA.EC_PARAMS]: parameters,
        [CKA.VALUE]: jwkPart(pair.privateKey, "d"),
      });
      expect(await values(made, session, object, [CKA.PUBLIC_KEY_INFO, CKA.EC_PARAMS])).toEqual({
        [CKA.PUBLIC_KEY_INFO]: own(pair.publicKey.export({ format: "der", type: "spki" })),
        [CKA.EC_PARAMS]: parameters,
      });
      const point = jwkPart(pair.publicKey, "x");
      for (const given of [point, concat(bytes(4, 32), point)]) {
        const publicKey = await made.cryptoki.C_CreateObject(session, {
          [CKA.CLASS]: CKO.PUBLIC_KEY,
          [CKA.KEY_TYPE]: keyType,
          [CKA.EC_PARAMS]: parameters,
          [CKA.EC_POINT]: given,
        });
        expect(await values(made, session, publicKey, [CKA.EC_POINT])).toEqual({ [CKA.EC_POINT]: point });
      }
    }
    await expect(made.cryptoki.C_CreateObject(session, { ...EC, [CKA.KEY_TYPE]: keyType })).rejects.toMatchObject(
      refusal("CURVE_NOT_SUPPORTED"),
    );
  });
});

describe("C_GenerateKeyPair for the session", () => {
  test("makes a pair that belongs together and was never anywhere else", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    for (const [mechanism, template, sign] of [
      [RSA_PAIR, { [CKA.MODULUS_BITS]: 1024 }, CKM.SHA256_RSA_PKCS],
      [RSA_PAIR, { [CKA.MODULUS_BITS]: 1024, [CKA.PUBLIC_EXPONENT]: bytes(3) }, CKM.SHA256_RSA_PKCS],
      [EC_PAIR, { [CKA.EC_PARAMS]: P_256 }, CKM.ECDSA_SHA256],
    ] as const) {
      const pair = await cryptoki.C_GenerateKeyPair(session, mechanism, { ...template, [CKA.LABEL]: "pair" }, {});
      expect(
        await values(made, session, pair.privateKey, [
          CKA.LOCAL,
          CKA.KEY_GEN_MECHANISM,
          CKA.ALWAYS_SENSITIVE,
          CKA.NEVER_EXTRACTABLE,
          CKA.TOKEN,
        ]),
      ).toEqual({
        [CKA.LOCAL]: true,
        [CKA.KEY_GEN_MECHANISM]: mechanism.mechanism,
        [CKA.ALWAYS_SENSITIVE]: true,
        [CKA.NEVER_EXTRACTABLE]: true,
        [CKA.TOKEN]: false,
      });
      expect(
        await values(made, session, pair.publicKey, [CKA.LOCAL, CKA.LABEL, ...Object.keys(template).map(Number)]),
      ).toEqual({
        ...template,
        [CKA.LOCAL]: true,
        [CKA.LABEL]: "pair",
      });
      const message = utf8("message");
      await cryptoki.C_SignInit(session, { mechanism: sign }, pair.privateKey);
      const signature = await cryptoki.C_Sign(session, message);
      await cryptoki.C_VerifyInit(session, { mechanism: sign }, pair.publicKey);
      await cryptoki.C_Verify(session, message, signature);
      expect(await spki(made, session, pair.privateKey)).toEqual(await spki(made, session, pair.publicKey));
    }
  });

  test("tells of a key that it could have been seen", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const pair = await made.cryptoki.C_GenerateKeyPair(session, EC_PAIR, { [CKA.EC_PARAMS]: P_256 }, OPEN);
    expect(await values(made, session, pair.privateKey, [CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE])).toEqual({
      [CKA.ALWAYS_SENSITIVE]: false,
      [CKA.NEVER_EXTRACTABLE]: false,
    });
  });

  test.each<[string, CK_MECHANISM, Template, Template]>([
    ["TEMPLATE_INCOMPLETE", RSA_PAIR, {}, {}],
    ["TEMPLATE_INCOMPLETE", EC_PAIR, {}, {}],
    ["ATTRIBUTE_VALUE_INVALID", RSA_PAIR, { [CKA.MODULUS_BITS]: 7 }, {}],
    ["ATTRIBUTE_VALUE_INVALID", RSA_PAIR, { [CKA.MODULUS_BITS]: 100_000 }, {}],
    ["ATTRIBUTE_VALUE_INVALID", RSA_PAIR, { [CKA.MODULUS_BITS]: 1024, [CKA.PUBLIC_EXPONENT]: bytes(4) }, {}],
    ["CURVE_NOT_SUPPORTED", EC_PAIR, { [CKA.EC_PARAMS]: bytes(6, 1, 42) }, {}],
    ["ATTRIBUTE_READ_ONLY", RSA_PAIR, { [CKA.MODULUS_BITS]: 1024, [CKA.MODULUS]: bytes(1) }, {}],
    ["ATTRIBUTE_READ_ONLY", EC_PAIR, { [CKA.EC_PARAMS]: P_256 }, { [CKA.VALUE]: bytes(1) }],
    ["TEMPLATE_INCONSISTENT", EC_PAIR, { [CKA.EC_PARAMS]: P_256, [CKA.CLASS]: CKO.PRIVATE_KEY }, {}],
    ["TEMPLATE_INCONSISTENT", EC_PAIR, { [CKA.EC_PARAMS]: P_256 }, { [CKA.KEY_TYPE]: CKK.RSA }],
    ["TEMPLATE_INCONSISTENT", EC_PAIR, { [CKA.EC_PARAMS]: P_256, [CKA.TOKEN]: true }, {}],
    ["MECHANISM_INVALID", { mechanism: CKM.SHA256 }, {}, {}],
  ])("%s, and nothing is made", async (name, mechanism, ofPublic, ofPrivate) => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    await expect(made.cryptoki.C_GenerateKeyPair(session, mechanism, ofPublic, ofPrivate)).rejects.toMatchObject(
      refusal(name),
    );
    expect(await made.find(session, { [CKA.TOKEN]: false })).toEqual([]);
  });
});

const OAEP = {
  mechanism: CKM.RSA_PKCS_OAEP,
  parameter: { hashAlg: CKM.SHA_1, mgf: CKG.MGF1_SHA1, source: CKZ.DATA_SPECIFIED },
};

describe("wrapping with a card's RSA key", () => {
  test.each([
    ["PKCS #1", { mechanism: CKM.RSA_PKCS }],
    ["OAEP", OAEP],
    ["the bare operation", { mechanism: CKM.RSA_X_509 }],
  ])("%s: a secret key goes out and comes in again", async (_name, mechanism) => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await cryptoki.C_CreateObject(session, AES);
    const wrapped = await cryptoki.C_WrapKey(session, mechanism, await made.publicKey(session, 3), key);
    expect(wrapped).toHaveLength(256);
    const template = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES, [CKA.VALUE_LEN]: 16 };
    const back = await cryptoki.C_UnwrapKey(session, mechanism, await made.privateKey(session, 3), wrapped, template);
    expect(
      await values(made, session, back, [CKA.VALUE, CKA.LOCAL, CKA.EXTRACTABLE, CKA.ALWAYS_SENSITIVE, CKA.PRIVATE]),
    ).toEqual({
      [CKA.VALUE]: AES[CKA.VALUE],
      [CKA.LOCAL]: false,
      [CKA.EXTRACTABLE]: true,
      [CKA.ALWAYS_SENSITIVE]: false,
      [CKA.PRIVATE]: true,
    });
  });

  test("what another wrapped for the card comes in", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const publicKey = createPublicKey(testKey("rsa-2048", "9d"));
    const wrapped = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, AES[CKA.VALUE]);
    const back = await made.cryptoki.C_UnwrapKey(
      session,
      { mechanism: CKM.RSA_PKCS },
      await made.privateKey(session, 3),
      wrapped,
      { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES },
    );
    expect(await values(made, session, back, [CKA.VALUE])).toEqual({ [CKA.VALUE]: AES[CKA.VALUE] });
  });

  test.each<[string, Template, Template]>([
    ["KEY_UNEXTRACTABLE", { ...AES, [CKA.EXTRACTABLE]: false }, {}],
    ["KEY_NOT_WRAPPABLE", { ...AES, [CKA.WRAP_WITH_TRUSTED]: true }, {}],
    ["KEY_NOT_WRAPPABLE", { ...EC, ...OPEN }, {}],
    ["KEY_SIZE_RANGE", { ...AES, [CKA.KEY_TYPE]: CKK.GENERIC_SECRET, [CKA.VALUE]: new Uint8Array(250) }, {}],
    ["KEY_HANDLE_INVALID", { [CKA.CLASS]: CKO.DATA }, {}],
    ["KEY_HANDLE_INVALID", AES, { [CKA.WRAP_TEMPLATE]: { [CKA.LABEL]: "only this" } }],
    ["KEY_FUNCTION_NOT_PERMITTED", AES, { [CKA.WRAP]: false }],
  ])("%s", async (name, template, wrapping) => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await cryptoki.C_CreateObject(session, template);
    const wrappingKey = await cryptoki.C_CreateObject(session, {
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.KEY_TYPE]: CKK.RSA,
      [CKA.MODULUS]: jwkPart(testKey("rsa-2048", "9d"), "n"),
      [CKA.PUBLIC_EXPONENT]: bytes(1, 0, 1),
      [CKA.WRAP]: true,
      ...wrapping,
    });
    await expect(cryptoki.C_WrapKey(session, { mechanism: CKM.RSA_PKCS }, wrappingKey, key)).rejects.toMatchObject(
      refusal(name),
    );
  });

  test("a wrapping key is blamed by names of its own", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await cryptoki.C_CreateObject(session, AES);
    const pkcs1 = { mechanism: CKM.RSA_PKCS };
    const ec = await made.publicKey(session, 2);
    await expect(cryptoki.C_WrapKey(session, pkcs1, 9999, key)).rejects.toMatchObject(
      refusal("WRAPPING_KEY_HANDLE_INVALID"),
    );
    await expect(cryptoki.C_WrapKey(session, pkcs1, ec, key)).rejects.toMatchObject(
      refusal("WRAPPING_KEY_TYPE_INCONSISTENT"),
    );
    const template = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES };
    await expect(cryptoki.C_UnwrapKey(session, pkcs1, 9999, new Uint8Array(256), template)).rejects.toMatchObject(
      refusal("UNWRAPPING_KEY_HANDLE_INVALID"),
    );
    const rsa = await made.privateKey(session, 3);
    await expect(cryptoki.C_UnwrapKey(session, pkcs1, rsa, new Uint8Array(255), template)).rejects.toMatchObject(
      refusal("WRAPPED_KEY_LEN_RANGE"),
    );
    await expect(cryptoki.C_UnwrapKey(session, OAEP, rsa, new Uint8Array(256), template)).rejects.toMatchObject(
      refusal("WRAPPED_KEY_INVALID"),
    );
    for (const [wrong, name] of [
      [{}, "TEMPLATE_INCOMPLETE"],
      [{ [CKA.CLASS]: CKO.SECRET_KEY }, "TEMPLATE_INCOMPLETE"],
      [{ ...template, [CKA.VALUE]: new Uint8Array(16) }, "ATTRIBUTE_READ_ONLY"],
      [{ ...template, [CKA.VALUE_LEN]: 17 }, "ATTRIBUTE_VALUE_INVALID"],
    ] as const) {
      await expect(cryptoki.C_UnwrapKey(session, OAEP, rsa, new Uint8Array(256), wrong)).rejects.toMatchObject(
        refusal(name),
      );
    }
    const wrapped = await cryptoki.C_WrapKey(session, OAEP, await made.publicKey(session, 3), key);
    await expect(
      cryptoki.C_UnwrapKey(session, OAEP, rsa, wrapped, { ...template, [CKA.VALUE_LEN]: 32 }),
    ).rejects.toMatchObject(refusal("WRAPPED_KEY_LEN_RANGE"));
  });

  test("only a trusted key wraps what wants one", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    await cryptoki.C_Login(session, CKU.SO, "010203040506070801020304050607080102030405060708");
    const wrappingKey = await cryptoki.C_CreateObject(session, {
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.KEY_TYPE]: CKK.RSA,
      [CKA.MODULUS]: jwkPart(testKey("rsa-2048", "9d"), "n"),
      [CKA.PUBLIC_EXPONENT]: bytes(1, 0, 1),
      [CKA.WRAP]: true,
      [CKA.TRUSTED]: true,
    });
    const key = await cryptoki.C_CreateObject(session, { ...AES, [CKA.WRAP_WITH_TRUSTED]: true });
    expect(await cryptoki.C_WrapKey(session, { mechanism: CKM.RSA_PKCS }, wrappingKey, key)).toHaveLength(256);
  });

  test("CKA_UNWRAP_TEMPLATE is added to what comes in, and not contradicted", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const unwrapping = await cryptoki.C_CreateObject(session, {
      ...RSA,
      [CKA.UNWRAP]: true,
      [CKA.UNWRAP_TEMPLATE]: { [CKA.EXTRACTABLE]: false, [CKA.LABEL]: "from outside" },
    });
    const wrapped = publicEncrypt(
      { key: createPublicKey(rsaKey), padding: constants.RSA_PKCS1_PADDING },
      AES[CKA.VALUE],
    );
    const template = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES };
    const pkcs1 = { mechanism: CKM.RSA_PKCS };
    const key = await cryptoki.C_UnwrapKey(session, pkcs1, unwrapping, wrapped, template);
    expect(await values(made, session, key, [CKA.EXTRACTABLE, CKA.LABEL])).toEqual({
      [CKA.EXTRACTABLE]: false,
      [CKA.LABEL]: "from outside",
    });
    await expect(
      cryptoki.C_UnwrapKey(session, pkcs1, unwrapping, wrapped, { ...template, [CKA.LABEL]: "mine" }),
    ).rejects.toMatchObject(refusal("TEMPLATE_INCONSISTENT"));
  });
});

describe("C_DeriveKey with a key of the session", () => {
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const point = own(other.publicKey.export({ format: "der", type: "spki" }).subarray(-65));
  const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: point } };
  const secret = own(diffieHellman({ privateKey: ecKey, publicKey: other.publicKey }));

  test("agrees on the secret, which is at best what its base key is", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const brought = await cryptoki.C_CreateObject(session, { ...EC, [CKA.DERIVE]: true });
    const key = await cryptoki.C_DeriveKey(session, mechanism, brought, {});
    expect(await values(made, session, key, [CKA.VALUE])).toEqual({ [CKA.VALUE]: secret });
    const closed = { [CKA.SENSITIVE]: true, [CKA.EXTRACTABLE]: false };
    const kept = await cryptoki.C_GenerateKeyPair(session, EC_PAIR, { [CKA.EC_PARAMS]: P_256 }, { [CKA.DERIVE]: true });
    for (const [base, expected] of [
      [brought, false],
      [kept.privateKey, true],
    ] as const) {
      const derived = await cryptoki.C_DeriveKey(session, mechanism, base, closed);
      expect(await values(made, session, derived, [CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE, CKA.LOCAL])).toEqual({
        [CKA.ALWAYS_SENSITIVE]: expected,
        [CKA.NEVER_EXTRACTABLE]: expected,
        [CKA.LOCAL]: false,
      });
    }
  });

  test("CKA_DERIVE_TEMPLATE is added to what is derived, and not contradicted", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const base = await cryptoki.C_CreateObject(session, {
      ...EC,
      [CKA.DERIVE]: true,
      [CKA.DERIVE_TEMPLATE]: { [CKA.KEY_TYPE]: CKK.AES, [CKA.SENSITIVE]: true },
    });
    const key = await cryptoki.C_DeriveKey(session, mechanism, base, { [CKA.VALUE_LEN]: 16 });
    expect(await values(made, session, key, [CKA.KEY_TYPE, CKA.SENSITIVE])).toEqual({
      [CKA.KEY_TYPE]: CKK.AES,
      [CKA.SENSITIVE]: true,
    });
    await expect(
      cryptoki.C_DeriveKey(session, mechanism, base, { [CKA.KEY_TYPE]: CKK.GENERIC_SECRET }),
    ).rejects.toMatchObject(refusal("TEMPLATE_INCONSISTENT"));
  });
});

test("a private key copied from another works alone", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const object = await cryptoki.C_CreateObject(session, RSA);
  const copy = await cryptoki.C_CopyObject(session, object, { [CKA.LABEL]: "copy" });
  await cryptoki.C_DestroyObject(session, object);
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, copy);
  const signature = await cryptoki.C_Sign(session, utf8("message"));
  expect(
    verify(
      "sha256",
      utf8("message"),
      createPublicKey(createPrivateKey(rsaKey.export({ format: "pem", type: "pkcs8" }))),
      signature,
    ),
  ).toBe(true);
});
