import { createECDH, createHash, generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import {
  type AttributeList,
  CK,
  CKA,
  CKC,
  CKK,
  CKM,
  CKO,
  CKU,
  type Cryptoki,
  type Template,
} from "../../src/cryptoki/index.ts";
import { PIN, refusal } from "./rig.ts";
import { find, type WritableRig, writableRig } from "./writable-card.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.of(...values);
const P_256 = bytes(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7);
const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
const jwk = rsa.export({ format: "jwk" });
const modulus = new Uint8Array(Buffer.from(jwk.n ?? "", "base64url"));
const point = new Uint8Array(createECDH("prime256v1").generateKeys());

const DATA = { [CKA.CLASS]: CKO.DATA };
const AES = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES, [CKA.VALUE]: new Uint8Array(16).fill(7) };
const RSA = {
  [CKA.CLASS]: CKO.PUBLIC_KEY,
  [CKA.KEY_TYPE]: CKK.RSA,
  [CKA.MODULUS]: modulus,
  [CKA.PUBLIC_EXPONENT]: bytes(1, 0, 1),
};
const EC = {
  [CKA.CLASS]: CKO.PUBLIC_KEY,
  [CKA.KEY_TYPE]: CKK.EC,
  [CKA.EC_PARAMS]: P_256,
  [CKA.EC_POINT]: concat(bytes(4, 65), point),
};
const X_509 = {
  [CKA.CLASS]: CKO.CERTIFICATE,
  [CKA.CERTIFICATE_TYPE]: CKC.X_509,
  [CKA.SUBJECT]: utf8("subject"),
  [CKA.VALUE]: utf8("certificate"),
};
const WTLS = { ...X_509, [CKA.CERTIFICATE_TYPE]: CKC.WTLS };
const ATTRIBUTES = {
  [CKA.CLASS]: CKO.CERTIFICATE,
  [CKA.CERTIFICATE_TYPE]: CKC.X_509_ATTR_CERT,
  [CKA.OWNER]: utf8("owner"),
  [CKA.VALUE]: utf8("certificate"),
};
const DH = {
  [CKA.CLASS]: CKO.DOMAIN_PARAMETERS,
  [CKA.KEY_TYPE]: CKK.DH,
  [CKA.PRIME]: bytes(0, 1, 1),
  [CKA.BASE]: bytes(2),
};

interface Open {
  readonly made: WritableRig;
  readonly one: Cryptoki;
  readonly session: number;
}

async function open(user?: "user" | "so"): Promise<Open & AsyncDisposable> {
  const made = await writableRig();
  const session = await made.session();
  if (user) await made.one.C_Login(session, user === "so" ? CKU.SO : CKU.USER, PIN);
  return { made, one: made.one, session, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
}

const get = async ({ one, session }: Open, object: number, types: readonly number[]): Promise<Template> =>
  one.C_GetAttributeValue(session, object, types);

describe("C_CreateObject", () => {
  test.each<[string, Template, Template]>([
    [
      "data",
      DATA,
      { [CKA.APPLICATION]: "", [CKA.OBJECT_ID]: bytes(), [CKA.VALUE]: bytes(), [CKA.PRIVATE]: false, [CKA.LABEL]: "" },
    ],
    [
      "an X.509 certificate",
      X_509,
      {
        [CKA.TRUSTED]: false,
        [CKA.CERTIFICATE_CATEGORY]: 0,
        [CKA.CHECK_VALUE]: new Uint8Array(createHash("sha1").update("certificate").digest().subarray(0, 3)),
        [CKA.START_DATE]: null,
        [CKA.END_DATE]: null,
        [CKA.PUBLIC_KEY_INFO]: bytes(),
        [CKA.ID]: bytes(),
        [CKA.ISSUER]: bytes(),
        [CKA.SERIAL_NUMBER]: bytes(),
        [CKA.URL]: "",
        [CKA.HASH_OF_SUBJECT_PUBLIC_KEY]: bytes(),
        [CKA.HASH_OF_ISSUER_PUBLIC_KEY]: bytes(),
        [CKA.JAVA_MIDP_SECURITY_DOMAIN]: 0,
        [CKA.NAME_HASH_ALGORITHM]: CKM.SHA_1,
      },
    ],
    ["a WTLS certificate", WTLS, { [CKA.ISSUER]: bytes(), [CKA.URL]: "" }],
    [
      "an attribute certificate",
      ATTRIBUTES,
      { [CKA.AC_ISSUER]: bytes(), [CKA.SERIAL_NUMBER]: bytes(), [CKA.ATTR_TYPES]: bytes() },
    ],
    [
      "an RSA public key",
      RSA,
      {
        [CKA.MODULUS_BITS]: 1024,
        [CKA.PUBLIC_KEY_INFO]: new Uint8Array(rsa.export({ format: "der", type: "spki" })),
        [CKA.ENCRYPT]: true,
        [CKA.VERIFY]: true,
        [CKA.WRAP]: false,
        [CKA.DERIVE]: false,
        [CKA.TRUSTED]: false,
        [CKA.LOCAL]: false,
        [CKA.KEY_GEN_MECHANISM]: CK.UNAVAILABLE_INFORMATION,
      },
    ],
    ["an EC public key", EC, { [CKA.ENCRYPT]: false, [CKA.VERIFY]: true, [CKA.LOCAL]: false }],
    [
      "an AES key",
      AES,
      {
        [CKA.VALUE_LEN]: 16,
        [CKA.SENSITIVE]: false,
        [CKA.EXTRACTABLE]: true,
        [CKA.ALWAYS_SENSITIVE]: false,
        [CKA.NEVER_EXTRACTABLE]: false,
        [CKA.LOCAL]: false,
        [CKA.ENCRYPT]: true,
        [CKA.WRAP]: false,
        [CKA.WRAP_WITH_TRUSTED]: false,
        [CKA.UNWRAP_TEMPLATE]: {},
        [CKA.PRIVATE]: false,
      },
    ],
    [
      "a DES3 key",
      { ...AES, [CKA.KEY_TYPE]: CKK.DES3, [CKA.VALUE]: new Uint8Array(24).fill(1) },
      { [CKA.VALUE_LEN]: 24 },
    ],
    ["an HMAC key", { ...AES, [CKA.KEY_TYPE]: CKK.SHA256_HMAC }, { [CKA.SIGN]: true, [CKA.VALUE_LEN]: 16 }],
    ["domain parameters", DH, { [CKA.PRIME_BITS]: 9, [CKA.LOCAL]: false }],
  ])("makes %s with the defaults of the standard", async (_name, template, defaults) => {
    await using at = await open();
    const object = await at.one.C_CreateObject(at.session, template);
    const expected = { ...template, ...defaults, [CKA.TOKEN]: false, [CKA.MODIFIABLE]: true, [CKA.COPYABLE]: true };
    expect(await get(at, object, Object.keys(expected).map(Number))).toEqual(expected);
    expect(await find(at.one, at.session, { ...template, [CKA.TOKEN]: false })).toEqual([object]);
    expect(await at.one.C_GetObjectSize(at.session, object)).toBeGreaterThan(8);
  });

  test("takes the uses that a template names, and no others", async () => {
    await using at = await open();
    const object = await at.one.C_CreateObject(at.session, { ...AES, [CKA.ENCRYPT]: true });
    expect(await get(at, object, [CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN])).toEqual({
      [CKA.ENCRYPT]: true,
      [CKA.DECRYPT]: false,
      [CKA.SIGN]: false,
    });
  });

  test("makes keys private while their user is logged in", async () => {
    await using at = await open("user");
    const key = await at.one.C_CreateObject(at.session, AES);
    const publicKey = await at.one.C_CreateObject(at.session, RSA);
    expect(await get(at, key, [CKA.PRIVATE])).toEqual({ [CKA.PRIVATE]: true });
    expect(await get(at, publicKey, [CKA.PRIVATE])).toEqual({ [CKA.PRIVATE]: false });
  });

  const without = (template: Template, type: number): Template =>
    Object.fromEntries(Object.entries(template).filter(([key]) => Number(key) !== type));

  test.each<[string, Template | AttributeList]>([
    ["TEMPLATE_INCOMPLETE", {}],
    ["TEMPLATE_INCOMPLETE", { [CKA.LABEL]: "x" }],
    ["TEMPLATE_INCOMPLETE", without(X_509, CKA.CERTIFICATE_TYPE)],
    ["TEMPLATE_INCOMPLETE", without(X_509, CKA.SUBJECT)],
    ["TEMPLATE_INCOMPLETE", without(X_509, CKA.VALUE)],
    ["TEMPLATE_INCOMPLETE", without(ATTRIBUTES, CKA.OWNER)],
    ["TEMPLATE_INCOMPLETE", without(AES, CKA.KEY_TYPE)],
    ["TEMPLATE_INCOMPLETE", without(AES, CKA.VALUE)],
    ["TEMPLATE_INCOMPLETE", without(RSA, CKA.MODULUS)],
    ["TEMPLATE_INCOMPLETE", without(RSA, CKA.PUBLIC_EXPONENT)],
    ["TEMPLATE_INCOMPLETE", without(EC, CKA.EC_PARAMS)],
    ["TEMPLATE_INCOMPLETE", without(EC, CKA.EC_POINT)],
    ["TEMPLATE_INCOMPLETE", without(DH, CKA.BASE)],
    ["ATTRIBUTE_VALUE_INVALID", { [CKA.CLASS]: 0x77 }],
    ["ATTRIBUTE_VALUE_INVALID", { ...AES, [CKA.KEY_TYPE]: CKK.RSA }],
    ["ATTRIBUTE_VALUE_INVALID", { ...AES, [CKA.VALUE]: new Uint8Array(17) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...AES, [CKA.CHECK_VALUE]: bytes(1, 2, 3) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...X_509, [CKA.CERTIFICATE_CATEGORY]: 9 }],
    ["ATTRIBUTE_VALUE_INVALID", { ...X_509, [CKA.NAME_HASH_ALGORITHM]: CKM.RSA_PKCS }],
    ["ATTRIBUTE_VALUE_INVALID", { ...X_509, [CKA.CERTIFICATE_TYPE]: 77 }],
    ["ATTRIBUTE_VALUE_INVALID", { ...ATTRIBUTES, [CKA.VALUE]: bytes() }],
    ["ATTRIBUTE_VALUE_INVALID", { ...RSA, [CKA.MODULUS]: bytes(2) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...RSA, [CKA.PUBLIC_KEY_INFO]: bytes(2) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...EC, [CKA.EC_POINT]: concat(bytes(4), new Uint8Array(64)) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...DH, [CKA.PRIME]: bytes(0) }],
    ["ATTRIBUTE_VALUE_INVALID", { ...DATA, [CKA.LABEL]: 7 } as unknown as Template],
    ["CURVE_NOT_SUPPORTED", { ...EC, [CKA.EC_PARAMS]: bytes(6, 1, 42) }],
    ["TEMPLATE_INCONSISTENT", { [CKA.CLASS]: CKO.PROFILE, [CKA.PROFILE_ID]: 1 }],
    ["TEMPLATE_INCONSISTENT", { [CKA.CLASS]: CKO.MECHANISM }],
    ["TEMPLATE_INCONSISTENT", { [CKA.CLASS]: CKO.HW_FEATURE }],
    ["TEMPLATE_INCONSISTENT", { ...DATA, [CKA.ID]: bytes(1) }],
    ["TEMPLATE_INCONSISTENT", { ...AES, [CKA.MODULUS]: bytes(1) }],
    ["TEMPLATE_INCONSISTENT", { ...X_509, [CKA.VALUE]: bytes() }],
    ["TEMPLATE_INCONSISTENT", { ...X_509, [CKA.URL]: "http://x" }],
    [
      "TEMPLATE_INCONSISTENT",
      [
        [CKA.CLASS, CKO.DATA],
        [CKA.LABEL, "a"],
        [CKA.LABEL, "b"],
      ],
    ],
    ["ATTRIBUTE_TYPE_INVALID", { ...DATA, [0x80001234]: bytes(1) }],
    ["ATTRIBUTE_READ_ONLY", { ...DATA, [CKA.UNIQUE_ID]: "mine" }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.VALUE_LEN]: 16 }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.LOCAL]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.KEY_GEN_MECHANISM]: CKM.AES_KEY_GEN }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.ALWAYS_SENSITIVE]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.NEVER_EXTRACTABLE]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.TRUSTED]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...X_509, [CKA.TRUSTED]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...RSA, [CKA.MODULUS_BITS]: 1024 }],
    ["USER_NOT_LOGGED_IN", { ...AES, [CKA.PRIVATE]: true }],
    ["USER_NOT_LOGGED_IN", { ...DATA, [CKA.PRIVATE]: true }],
  ])("%s, and nothing is made", async (name, template) => {
    await using at = await open();
    const before = await find(at.one, at.session, {});
    await expect(at.one.C_CreateObject(at.session, template)).rejects.toMatchObject(refusal(name));
    expect(await find(at.one, at.session, {})).toEqual(before);
  });

  test("lets the security officer make trusted objects, which cannot be changed afterwards", async () => {
    await using at = await open("so");
    const object = await at.one.C_CreateObject(at.session, { ...X_509, [CKA.TRUSTED]: true });
    expect(await get(at, object, [CKA.TRUSTED])).toEqual({ [CKA.TRUSTED]: true });
    await expect(at.one.C_SetAttributeValue(at.session, object, { [CKA.LABEL]: "x" })).rejects.toMatchObject(
      refusal("ACTION_PROHIBITED"),
    );
  });

  test("keeps what it is given apart from the caller's bytes", async () => {
    await using at = await open();
    const value = utf8("mine");
    const object = await at.one.C_CreateObject(at.session, { ...DATA, [CKA.VALUE]: value });
    value.fill(0);
    expect(await get(at, object, [CKA.VALUE])).toEqual({ [CKA.VALUE]: utf8("mine") });
  });

  test("makes session objects in read-only sessions", async () => {
    await using made = await writableRig();
    const session = await made.session(made.one, 0);
    const object = await made.one.C_CreateObject(session, DATA);
    await made.one.C_SetAttributeValue(session, object, { [CKA.LABEL]: "x" });
    await made.one.C_DestroyObject(session, object);
  });
});

describe("C_SetAttributeValue", () => {
  test("takes sensitivity up and never down, and hides what it hides", async () => {
    await using at = await open();
    const { one, session } = at;
    const key = await one.C_CreateObject(session, AES);
    await one.C_SetAttributeValue(session, key, { [CKA.SENSITIVE]: true, [CKA.LABEL]: "secret" });
    await expect(one.C_GetAttributeValue(session, key, [CKA.VALUE])).rejects.toMatchObject(
      refusal("ATTRIBUTE_SENSITIVE"),
    );
    expect(await find(one, session, { [CKA.VALUE]: AES[CKA.VALUE] })).toEqual([]);
    expect(await get(at, key, [CKA.ALWAYS_SENSITIVE])).toEqual({ [CKA.ALWAYS_SENSITIVE]: false });
    await expect(one.C_SetAttributeValue(session, key, { [CKA.SENSITIVE]: false })).rejects.toMatchObject(
      refusal("ATTRIBUTE_READ_ONLY"),
    );
    await one.C_SetAttributeValue(session, key, { [CKA.SENSITIVE]: true, [CKA.EXTRACTABLE]: false });
    expect(await get(at, key, [CKA.EXTRACTABLE, CKA.NEVER_EXTRACTABLE])).toEqual({
      [CKA.EXTRACTABLE]: false,
      [CKA.NEVER_EXTRACTABLE]: false,
    });
    await expect(one.C_SetAttributeValue(session, key, { [CKA.EXTRACTABLE]: true })).rejects.toMatchObject(
      refusal("ATTRIBUTE_READ_ONLY"),
    );
  });

  test.each<[string, Template, Template | AttributeList]>([
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.CLASS]: CKO.DATA }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.LABEL]: "after", [CKA.KEY_TYPE]: CKK.AES }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.VALUE]: new Uint8Array(16) }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.UNIQUE_ID]: "x" }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.TOKEN]: true }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.PRIVATE]: true }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.MODIFIABLE]: false }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.DESTROYABLE]: false }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.TRUSTED]: true }],
    ["ATTRIBUTE_READ_ONLY", AES, { [CKA.LOCAL]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.COPYABLE]: false }, { [CKA.COPYABLE]: true }],
    ["ATTRIBUTE_READ_ONLY", { ...AES, [CKA.WRAP_WITH_TRUSTED]: true }, { [CKA.WRAP_WITH_TRUSTED]: false }],
    ["ATTRIBUTE_READ_ONLY", X_509, { [CKA.SUBJECT]: bytes() }],
    ["ATTRIBUTE_READ_ONLY", X_509, { [CKA.CERTIFICATE_CATEGORY]: 1 }],
    ["TEMPLATE_INCONSISTENT", DATA, { [CKA.LABEL]: "after", [CKA.ENCRYPT]: true }],
    [
      "TEMPLATE_INCONSISTENT",
      DATA,
      [
        [CKA.LABEL, "a"],
        [CKA.LABEL, "b"],
      ],
    ],
    ["ATTRIBUTE_TYPE_INVALID", DATA, { [0x80001234]: bytes(1) }],
    ["ATTRIBUTE_VALUE_INVALID", DATA, { [CKA.LABEL]: 7 } as unknown as Template],
    ["ATTRIBUTE_VALUE_INVALID", AES, { [CKA.CHECK_VALUE]: bytes(1, 2, 3) }],
    ["ACTION_PROHIBITED", { ...DATA, [CKA.MODIFIABLE]: false }, { [CKA.LABEL]: "x" }],
    ["ARGUMENTS_BAD", DATA, null as unknown as Template],
  ])("%s, and the object stays as it was", async (name, template, changes) => {
    await using at = await open();
    const object = await at.one.C_CreateObject(at.session, { ...template, [CKA.LABEL]: "before" });
    await expect(at.one.C_SetAttributeValue(at.session, object, changes)).rejects.toMatchObject(refusal(name));
    expect(await find(at.one, at.session, { ...template, [CKA.LABEL]: "before" })).toEqual([object]);
  });

  test("changes what may be changed, and the object is found by it", async () => {
    await using at = await open();
    const object = await at.one.C_CreateObject(at.session, X_509);
    const changes = { [CKA.ID]: bytes(1), [CKA.ISSUER]: bytes(2), [CKA.SERIAL_NUMBER]: bytes(3), [CKA.LABEL]: "x" };
    await at.one.C_SetAttributeValue(at.session, object, changes);
    expect(await find(at.one, at.session, changes)).toEqual([object]);
    const key = await at.one.C_CreateObject(at.session, AES);
    await at.one.C_SetAttributeValue(at.session, key, { [CKA.CHECK_VALUE]: bytes(), [CKA.COPYABLE]: false });
    expect(await get(at, key, [CKA.CHECK_VALUE, CKA.COPYABLE])).toEqual({
      [CKA.CHECK_VALUE]: bytes(),
      [CKA.COPYABLE]: false,
    });
  });
});

describe("C_CopyObject", () => {
  test("makes another object, with changes, and keeps where the key comes from", async () => {
    await using at = await open("user");
    const { one, session } = at;
    const key = await one.C_CreateObject(session, AES);
    const copy = await one.C_CopyObject(session, key, {
      [CKA.SENSITIVE]: true,
      [CKA.EXTRACTABLE]: false,
      [CKA.MODIFIABLE]: false,
      [CKA.DESTROYABLE]: false,
      [CKA.LABEL]: "copy",
    });
    expect(await get(at, copy, [CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.ALWAYS_SENSITIVE, CKA.VALUE_LEN])).toEqual({
      [CKA.SENSITIVE]: true,
      [CKA.EXTRACTABLE]: false,
      [CKA.ALWAYS_SENSITIVE]: false,
      [CKA.VALUE_LEN]: 16,
    });
    const prohibited = refusal("ACTION_PROHIBITED");
    await expect(one.C_SetAttributeValue(session, copy, { [CKA.LABEL]: "x" })).rejects.toMatchObject(prohibited);
    await expect(one.C_DestroyObject(session, copy)).rejects.toMatchObject(prohibited);
    await one.C_DestroyObject(session, key);
    // A copy of its own: the first one's end wiped the first one's bytes.
    const again = await one.C_CopyObject(session, copy, { [CKA.MODIFIABLE]: true });
    await one.C_SetAttributeValue(session, again, { [CKA.LABEL]: "again" });
    await expect(one.C_CopyObject(session, again, { [CKA.SENSITIVE]: false })).rejects.toMatchObject(
      refusal("ATTRIBUTE_READ_ONLY"),
    );
  });

  test.each<[string, Template, Template]>([
    ["ACTION_PROHIBITED", { ...DATA, [CKA.COPYABLE]: false }, {}],
    ["ATTRIBUTE_READ_ONLY", DATA, { [CKA.CLASS]: CKO.DATA }],
    ["ATTRIBUTE_READ_ONLY", DATA, { [CKA.UNIQUE_ID]: "x" }],
    ["TEMPLATE_INCONSISTENT", DATA, { [CKA.KEY_TYPE]: CKK.AES }],
    ["TEMPLATE_INCONSISTENT", { ...DATA, [CKA.PRIVATE]: true }, { [CKA.PRIVATE]: false }],
    ["TEMPLATE_INCONSISTENT", AES, { [CKA.TOKEN]: true }],
  ])("%s, and nothing is made", async (name, template, changes) => {
    await using at = await open("user");
    const object = await at.one.C_CreateObject(at.session, template);
    const before = await find(at.one, at.session, {});
    await expect(at.one.C_CopyObject(at.session, object, changes)).rejects.toMatchObject(refusal(name));
    expect(await find(at.one, at.session, {})).toEqual(before);
  });
});
