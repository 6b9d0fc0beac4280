import { createHash, X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import {
  AttributeError,
  CK,
  CK_CERTIFICATE_CATEGORY,
  CKA,
  CKC,
  CKD,
  CKK,
  CKM,
  CKO,
  CKR,
  CKU,
  type Template,
} from "../../src/cryptoki/index.ts";
import { PcscError } from "../../src/pcsc/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { first, refusal, rig, type Rig } from "./rig.ts";

const id = (value: number): Uint8Array => Uint8Array.of(value);

/** All that the standard lists for the class, as the object shows it. */
async function shown(made: Rig, session: number, object: number, types: readonly number[]): Promise<Template> {
  return made.cryptoki.C_GetAttributeValue(session, object, types);
}

async function reasons(made: Rig, session: number, object: number, types: readonly number[]): Promise<number[]> {
  const error: unknown = await made.cryptoki.C_GetAttributeValue(session, object, types).catch((e: unknown) => e);
  if (!(error instanceof AttributeError)) throw error;
  return types.map((type) => error.unavailable.get(type)?.rv ?? CKR.OK);
}

const STORAGE = [
  CKA.CLASS,
  CKA.TOKEN,
  CKA.PRIVATE,
  CKA.LABEL,
  CKA.UNIQUE_ID,
  CKA.MODIFIABLE,
  CKA.COPYABLE,
  CKA.DESTROYABLE,
];
const KEY = [
  CKA.KEY_TYPE,
  CKA.ID,
  CKA.START_DATE,
  CKA.END_DATE,
  CKA.DERIVE,
  CKA.LOCAL,
  CKA.KEY_GEN_MECHANISM,
  CKA.ALLOWED_MECHANISMS,
];

describe("attributes", () => {
  test("of a certificate", async () => {
    await using made = await rig(await testCard());
    const session = await made.session(0);
    const object = await made.object(session, CKO.CERTIFICATE, 1);
    const values = await shown(made, session, object, [
      ...STORAGE,
      CKA.CERTIFICATE_TYPE,
      CKA.TRUSTED,
      CKA.CERTIFICATE_CATEGORY,
      CKA.CHECK_VALUE,
      CKA.START_DATE,
      CKA.END_DATE,
      CKA.PUBLIC_KEY_INFO,
      CKA.SUBJECT,
      CKA.ID,
      CKA.ISSUER,
      CKA.SERIAL_NUMBER,
      CKA.VALUE,
      CKA.URL,
      CKA.HASH_OF_SUBJECT_PUBLIC_KEY,
      CKA.HASH_OF_ISSUER_PUBLIC_KEY,
      CKA.JAVA_MIDP_SECURITY_DOMAIN,
      CKA.NAME_HASH_ALGORITHM,
    ]);
    const der = values[CKA.VALUE] ?? new Uint8Array();
    const certificate = new X509Certificate(der);
    expect(values).toMatchObject({
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.TOKEN]: true,
      [CKA.PRIVATE]: false,
      [CKA.CERTIFICATE_TYPE]: CKC.X_509,
      [CKA.CERTIFICATE_CATEGORY]: CK_CERTIFICATE_CATEGORY.TOKEN_USER,
      [CKA.TRUSTED]: false,
      [CKA.ID]: id(1),
      [CKA.START_DATE]: new Date(certificate.validFrom),
      [CKA.END_DATE]: new Date(certificate.validTo),
      [CKA.CHECK_VALUE]: new Uint8Array(createHash("sha1").update(der).digest().subarray(0, 3)),
      [CKA.PUBLIC_KEY_INFO]: new Uint8Array(certificate.publicKey.export({ format: "der", type: "spki" })),
    });
    expect(Buffer.from(values[CKA.SERIAL_NUMBER] ?? []).toString("hex")).toContain(
      certificate.serialNumber.toLowerCase(),
    );
    expect(values[CKA.SUBJECT]?.[0]).toBe(0x30);
    expect(values[CKA.ISSUER]?.[0]).toBe(0x30);
  });

  test("of an RSA key pair", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const { n = "", e = "" } = testKey("rsa-2048", "9a").export({ format: "jwk" });
    const common = {
      [CKA.TOKEN]: true,
      [CKA.ID]: id(1),
      [CKA.KEY_TYPE]: CKK.RSA,
      [CKA.KEY_GEN_MECHANISM]: CK.UNAVAILABLE_INFORMATION,
      [CKA.MODULUS]: new Uint8Array(Buffer.from(n, "base64url")),
      [CKA.PUBLIC_EXPONENT]: new Uint8Array(Buffer.from(e, "base64url")),
    };
    const ofPublic = await shown(made, session, await made.publicKey(session, 1), [
      ...STORAGE,
      ...KEY,
      CKA.SUBJECT,
      CKA.ENCRYPT,
      CKA.VERIFY,
      CKA.VERIFY_RECOVER,
      CKA.WRAP,
      CKA.TRUSTED,
      CKA.WRAP_TEMPLATE,
      CKA.PUBLIC_KEY_INFO,
      CKA.MODULUS,
      CKA.MODULUS_BITS,
      CKA.PUBLIC_EXPONENT,
    ]);
    expect(ofPublic).toMatchObject({
      ...common,
      [CKA.CLASS]: CKO.PUBLIC_KEY,
      [CKA.PRIVATE]: false,
      [CKA.MODULUS_BITS]: 2048,
      [CKA.ENCRYPT]: true,
      [CKA.VERIFY]: true,
    });
    const key = await made.privateKey(session, 1);
    const ofPrivate = await shown(made, session, key, [
      ...STORAGE,
      ...KEY,
      CKA.SUBJECT,
      CKA.SENSITIVE,
      CKA.DECRYPT,
      CKA.SIGN,
      CKA.SIGN_RECOVER,
      CKA.UNWRAP,
      CKA.EXTRACTABLE,
      CKA.ALWAYS_SENSITIVE,
      CKA.NEVER_EXTRACTABLE,
      CKA.WRAP_WITH_TRUSTED,
      CKA.UNWRAP_TEMPLATE,
      CKA.ALWAYS_AUTHENTICATE,
      CKA.PUBLIC_KEY_INFO,
      CKA.DERIVE_TEMPLATE,
      CKA.MODULUS,
      CKA.PUBLIC_EXPONENT,
    ]);
    expect(ofPrivate).toMatchObject({
      ...common,
      [CKA.CLASS]: CKO.PRIVATE_KEY,
      [CKA.PRIVATE]: true,
      [CKA.SENSITIVE]: true,
      [CKA.EXTRACTABLE]: false,
      [CKA.SIGN]: true,
      [CKA.DECRYPT]: true,
      [CKA.DERIVE]: false,
      [CKA.ALWAYS_AUTHENTICATE]: false,
    });
    expect(ofPrivate[CKA.ALLOWED_MECHANISMS]).toContain(CKM.RSA_PKCS_PSS);
    expect(ofPrivate[CKA.ALLOWED_MECHANISMS]).not.toContain(CKM.ECDSA);
    expect(
      await reasons(made, session, key, [CKA.PRIVATE_EXPONENT, CKA.COEFFICIENT, CKA.EC_PARAMS, CKA.VALUE, CKA.ID]),
    ).toEqual([
      CKR.ATTRIBUTE_SENSITIVE,
      CKR.ATTRIBUTE_SENSITIVE,
      CKR.ATTRIBUTE_TYPE_INVALID,
      CKR.ATTRIBUTE_TYPE_INVALID,
      CKR.OK,
    ]);
  });

  test("of an EC key pair", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const spki = testKey("p-256", "9c").export({ format: "jwk" });
    const publicKey = await made.publicKey(session, 2);
    const { x = "", y = "" } = spki;
    expect(
      await shown(made, session, publicKey, [CKA.EC_PARAMS, CKA.EC_POINT, CKA.KEY_TYPE, CKA.ENCRYPT, CKA.VERIFY]),
    ).toEqual({
      [CKA.EC_PARAMS]: new Uint8Array(Buffer.from("06082a8648ce3d030107", "hex")),
      [CKA.EC_POINT]: new Uint8Array(
        Buffer.concat([Buffer.of(0x04, 65, 0x04), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]),
      ),
      [CKA.KEY_TYPE]: CKK.EC,
      [CKA.ENCRYPT]: false,
      [CKA.VERIFY]: true,
    });
    const key = await made.privateKey(session, 2);
    expect(await shown(made, session, key, [CKA.ALWAYS_AUTHENTICATE, CKA.SIGN, CKA.DECRYPT])).toEqual({
      [CKA.ALWAYS_AUTHENTICATE]: true,
      [CKA.SIGN]: true,
      [CKA.DECRYPT]: false,
    });
    expect(await reasons(made, session, key, [CKA.VALUE, CKA.PRIME_1, CKA.MODULUS])).toEqual([
      CKR.ATTRIBUTE_SENSITIVE,
      CKR.ATTRIBUTE_TYPE_INVALID,
      CKR.ATTRIBUTE_TYPE_INVALID,
    ]);
  });

  test("that cannot be shown do not hide the others", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await expect(
      made.cryptoki.C_GetAttributeValue(session, key, [CKA.LABEL, CKA.PRIME_1, CKA.URL, CKA.ID]),
    ).rejects.toMatchObject({
      ...refusal("ATTRIBUTE_SENSITIVE"),
      values: { [CKA.LABEL]: "PIV AUTH key", [CKA.ID]: id(1) },
      message: expect.stringContaining("CKA_PRIME_1, CKA_URL"),
    });
    await expect(made.cryptoki.C_GetAttributeValue(session, key, [CKA.URL])).rejects.toMatchObject(
      refusal("ATTRIBUTE_TYPE_INVALID"),
    );
    expect(await made.cryptoki.C_GetAttributeValue(session, key, [])).toEqual({});
  });

  test("are the caller's own", async () => {
    await using made = await rig(await testCard());
    const session = await made.session();
    const object = await made.object(session, CKO.CERTIFICATE, 1);
    const before = await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]);
    const copy = before[CKA.VALUE].slice();
    before[CKA.VALUE].fill(0);
    expect((await made.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE]).toEqual(copy);
    expect(await made.cryptoki.C_GetObjectSize(session, object)).toBe(copy.length);
  });
});

describe("a search", () => {
  test("finds by every attribute that it is given, cheap or not", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const certificate = await made.object(session, CKO.CERTIFICATE, 2);
    const { [CKA.SUBJECT]: subject, [CKA.END_DATE]: end } = await made.cryptoki.C_GetAttributeValue(
      session,
      certificate,
      [CKA.SUBJECT, CKA.END_DATE],
    );
    expect(await made.find(session, { [CKA.SUBJECT]: subject, [CKA.ID]: id(2) })).toEqual([certificate]);
    expect(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.END_DATE]: end, [CKA.ID]: id(2) })).toEqual([
      certificate,
    ]);
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.KEY_TYPE]: CKK.EC })).toHaveLength(2);
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.SIGN]: true })).toHaveLength(4);
    expect(await made.find(session, { [CKA.LABEL]: "PIV AUTH key" })).toHaveLength(1);
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.PRIME_1]: id(1) })).toEqual([]);
    expect(await made.find(session, { [CKA.TOKEN]: false })).toEqual([]);
    // Four pairs with their certificates; four data objects and four profiles that every token has.
    expect(await made.find(session, {})).toHaveLength(12 + 4 + 4);
  });

  test("finds an object under the same handle each time, a part at a time", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const all = await made.find(session, {});
    await cryptoki.C_FindObjectsInit(session, {});
    const parts: number[] = [];
    for (;;) {
      const part = await cryptoki.C_FindObjects(session, 2);
      if (part.length === 0) break;
      expect(part.length).toBeLessThanOrEqual(2);
      parts.push(...part);
    }
    expect(await cryptoki.C_FindObjects(session, 0)).toEqual([]);
    await cryptoki.C_FindObjectsFinal(session);
    expect(parts).toEqual(all);
    const other = await made.session();
    expect(await made.find(other, {})).toEqual(all);
  });

  test("shows private objects to the user alone", async () => {
    await using made = await rig(await testCard());
    const session = await made.session();
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(1);
    expect(await made.find(session, { [CKA.PRIVATE]: true })).toEqual([]);
    await made.cryptoki.C_Login(session, 1, "123456");
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(4);
  });

  test("finds data objects by name or class, and not by the way", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const data = await made.find(session, { [CKA.CLASS]: CKO.DATA });
    expect(data.length).toBeGreaterThan(1);
    const { [CKA.LABEL]: label, ...rest } = await cryptoki.C_GetAttributeValue(session, first(data), [
      CKA.LABEL,
      CKA.APPLICATION,
      CKA.OBJECT_ID,
      CKA.VALUE,
    ]);
    expect(rest[CKA.APPLICATION]).toBe("PIV");
    expect(rest[CKA.OBJECT_ID][0]).toBe(0x06);
    expect(await made.find(session, { [CKA.LABEL]: label })).toEqual([first(data)]);
  });

  test("is one at a time", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    await expect(cryptoki.C_FindObjects(session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
    await cryptoki.C_FindObjectsInit(session, {});
    await expect(cryptoki.C_FindObjectsInit(session, {})).rejects.toMatchObject(refusal("OPERATION_ACTIVE"));
    await expect(cryptoki.C_FindObjects(session, -1)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await cryptoki.C_FindObjectsFinal(session);
    await expect(cryptoki.C_FindObjectsFinal(session)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
  });

  test.each([
    [null, "ARGUMENTS_BAD"],
    [[CKA.CLASS, CKO.DATA], "ARGUMENTS_BAD"],
    [[["class", CKO.DATA]], "ARGUMENTS_BAD"],
    [{ label: "x" }, "ARGUMENTS_BAD"],
    [{ [CKA.ID]: undefined }, "ATTRIBUTE_VALUE_INVALID"],
    [{ [CKA.ID]: "01" }, "ATTRIBUTE_VALUE_INVALID"],
    [{ [CKA.CLASS]: -1 }, "ATTRIBUTE_VALUE_INVALID"],
    [{ [CKA.TOKEN]: 1 }, "ATTRIBUTE_VALUE_INVALID"],
    [{ [CKA.START_DATE]: new Date(NaN) }, "ATTRIBUTE_VALUE_INVALID"],
  ])("refuses the template %j: a missing value never stands for any", async (template, name) => {
    await using made = await rig(await testCard());
    const session = await made.session();
    await expect(made.cryptoki.C_FindObjectsInit(session, template as Template)).rejects.toMatchObject(refusal(name));
    await made.cryptoki.C_FindObjectsInit(session, {});
  });

  test("goes on after a failed exchange where it was", async () => {
    await using made = await rig(await testCard({ extended: true }));
    const { cryptoki } = made;
    const session = await made.session();
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE });
    let exchanges = 0;
    made.before = (): void => {
      if (++exchanges === 3) throw new PcscError("SCARD_E_SHARING_VIOLATION");
    };
    // Not two objects and CKR_OK: a caller that takes them for all would never learn of the others.
    await expect(cryptoki.C_FindObjects(session)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    expect(await cryptoki.C_FindObjects(session)).toHaveLength(4);
  });
});

describe("a derived key", () => {
  const ec = { keys: { "9d": { privateKey: testKey("p-256", "9d ec") } } };

  async function derive(made: Rig, session: number, template: Template): Promise<number> {
    const base = await made.privateKey(session, 3);
    const { [CKA.EC_POINT]: pPublicData } = await made.cryptoki.C_GetAttributeValue(
      session,
      await made.publicKey(session, 3),
      [CKA.EC_POINT],
    );
    const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData } };
    return made.cryptoki.C_DeriveKey(session, mechanism, base, template);
  }

  test("is a session object with what its template says", async () => {
    await using made = await rig(await testCard(ec));
    const session = await made.loggedIn();
    const key = await derive(made, session, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.AES,
      [CKA.VALUE_LEN]: 16,
      [CKA.LABEL]: "shared",
      [CKA.ENCRYPT]: true,
    });
    expect(
      await shown(made, session, key, [
        ...STORAGE,
        ...KEY.filter((type) => type !== CKA.ALLOWED_MECHANISMS),
        CKA.SENSITIVE,
        CKA.ENCRYPT,
        CKA.DECRYPT,
        CKA.SIGN,
        CKA.VERIFY,
        CKA.WRAP,
        CKA.UNWRAP,
        CKA.EXTRACTABLE,
        CKA.ALWAYS_SENSITIVE,
        CKA.NEVER_EXTRACTABLE,
        CKA.CHECK_VALUE,
        CKA.WRAP_WITH_TRUSTED,
        CKA.TRUSTED,
        CKA.VALUE,
        CKA.VALUE_LEN,
      ]),
    ).toMatchObject({
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.TOKEN]: false,
      [CKA.PRIVATE]: true,
      [CKA.LABEL]: "shared",
      [CKA.KEY_TYPE]: CKK.AES,
      [CKA.VALUE_LEN]: 16,
      [CKA.ENCRYPT]: true,
      [CKA.DECRYPT]: false,
      [CKA.LOCAL]: false,
      [CKA.EXTRACTABLE]: true,
    });
    expect(await made.find(session, { [CKA.LABEL]: "shared", [CKA.VALUE_LEN]: 16 })).toEqual([key]);
    await made.cryptoki.C_DestroyObject(session, key);
    await expect(made.cryptoki.C_GetAttributeValue(session, key, [CKA.ID])).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
  });

  test("that is sensitive, or not extractable, shows no value", async () => {
    await using made = await rig(await testCard(ec));
    const session = await made.loggedIn();
    for (const template of [{ [CKA.SENSITIVE]: true }, { [CKA.EXTRACTABLE]: false }]) {
      const key = await derive(made, session, template);
      await expect(made.cryptoki.C_GetAttributeValue(session, key, [CKA.VALUE])).rejects.toMatchObject(
        refusal("ATTRIBUTE_SENSITIVE"),
      );
    }
  });

  test("ends with its session, and a private one with the login", async () => {
    await using made = await rig(await testCard(ec));
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const open = await derive(made, session, { [CKA.PRIVATE]: false });
    const closed = await derive(made, session, { [CKA.PRIVATE]: true });
    const other = await made.session();
    await cryptoki.C_GetAttributeValue(other, open, [CKA.CLASS]);
    await cryptoki.C_Logout(other);
    await cryptoki.C_GetAttributeValue(other, open, [CKA.CLASS]);
    await cryptoki.C_Login(other, 1, "123456");
    await expect(cryptoki.C_GetAttributeValue(other, closed, [CKA.CLASS])).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
    await cryptoki.C_CloseSession(session);
    await expect(cryptoki.C_GetAttributeValue(other, open, [CKA.CLASS])).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
  });

  test.each<[Template, string]>([
    [{ [CKA.CLASS]: CKO.PRIVATE_KEY }, "TEMPLATE_INCONSISTENT"],
    [{ [CKA.TOKEN]: true }, "TEMPLATE_INCONSISTENT"],
    [{ [CKA.KEY_TYPE]: CKK.RSA }, "ATTRIBUTE_VALUE_INVALID"],
    [{ [CKA.KEY_TYPE]: CKK.AES, [CKA.VALUE_LEN]: 17 }, "ATTRIBUTE_VALUE_INVALID"],
    [{ [CKA.VALUE_LEN]: 0 }, "ATTRIBUTE_VALUE_INVALID"],
    [{ [CKA.VALUE_LEN]: 33 }, "KEY_SIZE_RANGE"],
    [{ [CKA.VALUE]: id(1) }, "ATTRIBUTE_READ_ONLY"],
    [{ [CKA.MODULUS]: id(1) }, "TEMPLATE_INCONSISTENT"],
    [{ [0x80000001]: id(1) }, "ATTRIBUTE_TYPE_INVALID"],
    [{ [CKA.CHECK_VALUE]: utf8("no!") }, "ATTRIBUTE_VALUE_INVALID"],
  ])("is not made of the template %j", async (template, name) => {
    await using made = await rig(await testCard(ec));
    const session = await made.loggedIn();
    await expect(derive(made, session, template)).rejects.toMatchObject(refusal(name));
    expect(await made.find(session, { [CKA.CLASS]: CKO.SECRET_KEY })).toEqual([]);
  });
});

test("what is on the card is not destroyed", async () => {
  await using made = await rig(await testCard());
  const reading = await made.session(0);
  const writing = await made.session();
  const object = await made.object(reading, CKO.PUBLIC_KEY, 1);
  await expect(made.cryptoki.C_DestroyObject(reading, object)).rejects.toMatchObject(refusal("SESSION_READ_ONLY"));
  await expect(made.cryptoki.C_DestroyObject(writing, object)).rejects.toMatchObject(refusal("ACTION_PROHIBITED"));
});

describe("key pair templates", () => {
  const RSA = { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN };
  const good = { [CKA.TOKEN]: true, [CKA.ID]: id(1), [CKA.MODULUS_BITS]: 2048 };

  test.each<[string, Template, Template]>([
    ["TEMPLATE_INCONSISTENT", { ...good, [CKA.TOKEN]: false }, { [CKA.TOKEN]: true }],
    ["TEMPLATE_INCONSISTENT", good, { [CKA.TOKEN]: true, [CKA.EXTRACTABLE]: true }],
    ["TEMPLATE_INCONSISTENT", good, { [CKA.TOKEN]: true, [CKA.ID]: id(2) }],
    ["TEMPLATE_INCONSISTENT", { ...good, [CKA.KEY_TYPE]: CKK.EC }, { [CKA.TOKEN]: true }],
    ["TEMPLATE_INCOMPLETE", { [CKA.TOKEN]: true, [CKA.ID]: id(1) }, { [CKA.TOKEN]: true }],
    ["ATTRIBUTE_VALUE_INVALID", { ...good, [CKA.PUBLIC_EXPONENT]: id(3) }, { [CKA.TOKEN]: true }],
    ["TEMPLATE_INCONSISTENT", good, { [CKA.TOKEN]: true, [CKA.ALLOWED_MECHANISMS]: [CKM.SHA256_RSA_PKCS] }],
    ["TEMPLATE_INCONSISTENT", good, { [CKA.TOKEN]: true, [CKA.UNWRAP_TEMPLATE]: { [CKA.EXTRACTABLE]: false } }],
    ["TEMPLATE_INCONSISTENT", { ...good, [CKA.WRAP_TEMPLATE]: { [CKA.ID]: id(1) } }, { [CKA.TOKEN]: true }],
    ["USER_NOT_LOGGED_IN", good, { [CKA.TOKEN]: true }],
  ])("%s", async (name, ofPublic, ofPrivate) => {
    await using made = await rig(await testCard());
    const session = await made.session();
    const used = await made.count(async () => {
      await expect(made.cryptoki.C_GenerateKeyPair(session, RSA, ofPublic, ofPrivate)).rejects.toMatchObject(
        refusal(name),
      );
    });
    expect(used).toBe(0);
  });

  test("TEMPLATE_INCOMPLETE, where the card wants to know the key's place", async () => {
    await using made = await rig(await testCard());
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, "010203040506070801020304050607080102030405060708");
    const [ofPublic, ofPrivate] = [{ [CKA.TOKEN]: true, [CKA.MODULUS_BITS]: 2048 }, { [CKA.TOKEN]: true }];
    await expect(made.cryptoki.C_GenerateKeyPair(session, RSA, ofPublic, ofPrivate)).rejects.toMatchObject(
      refusal("TEMPLATE_INCOMPLETE"),
    );
  });
});
