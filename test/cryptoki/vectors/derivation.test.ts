import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../../src/bytes/index.ts";
import {
  CKA,
  CKF,
  CKK,
  CKM,
  CKO,
  CKP,
  CKZ,
  type CK_HKDF_PARAMS,
  type CK_MECHANISM,
  mechanismOf,
} from "../../../src/cryptoki/index.ts";
import { refusal } from "../rig.ts";
import { P_256 } from "./curves.ts";
import { hex, SoftwareKeys } from "./software-keys.ts";

let keys: SoftwareKeys;
beforeAll(async () => {
  keys = await SoftwareKeys.open();
});
afterAll(() => keys[Symbol.asyncDispose]());

const range = (first: number, last: number): Uint8Array =>
  Uint8Array.from({ length: last - first + 1 }, (_, index) => first + index);

interface HkdfVector {
  readonly section: string;
  readonly hash: number;
  readonly secret: Uint8Array;
  readonly salt: Uint8Array;
  readonly info: Uint8Array;
  readonly extracted: string;
  readonly expanded: string;
}

// RFC 5869, appendix A.
const HKDF: readonly HkdfVector[] = [
  {
    section: "A.1",
    hash: CKM.SHA256,
    secret: new Uint8Array(22).fill(0x0b),
    salt: range(0, 12),
    info: range(0xf0, 0xf9),
    extracted: "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
    expanded: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  },
  {
    section: "A.2",
    hash: CKM.SHA256,
    secret: range(0, 0x4f),
    salt: range(0x60, 0xaf),
    info: range(0xb0, 0xff),
    extracted: "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
    expanded:
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
  },
  {
    section: "A.3",
    hash: CKM.SHA256,
    secret: new Uint8Array(22).fill(0x0b),
    salt: hex(""),
    info: hex(""),
    extracted: "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
    expanded: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  },
  {
    section: "A.4",
    hash: CKM.SHA_1,
    secret: new Uint8Array(11).fill(0x0b),
    salt: range(0, 12),
    info: range(0xf0, 0xf9),
    extracted: "9b6c18c432a7bf8f0e71c8eb88f4b30baa2ba243",
    expanded: "085a01ea1b10f36933068b56efa5ad81a4f14b822f5b091568a9cdd4f155fda2c22e422478d305f3f896",
  },
  {
    section: "A.7",
    hash: CKM.SHA_1,
    secret: new Uint8Array(22).fill(0x0c),
    salt: hex(""),
    info: hex(""),
    extracted: "2adccada18779e7c2077ad2eb19d3f3e731385dd",
    expanded: "2c91117204d745f3500d636a62f64f0ab3bae548aa53d423b0d1f27ebba6f5e5673a081d70cce7acfc48",
  },
];

const hkdf = (parameter: CK_HKDF_PARAMS): CK_MECHANISM => ({ mechanism: CKM.HKDF_DERIVE, parameter });
const saltOf = (salt: Uint8Array): Pick<CK_HKDF_PARAMS, "ulSaltType" | "pSalt"> =>
  salt.length > 0 ? { ulSaltType: CKF.HKDF_SALT_DATA, pSalt: salt } : { ulSaltType: CKF.HKDF_SALT_NULL };

describe("CKM_HKDF_DERIVE (RFC 5869 appendix A)", () => {
  test.each(HKDF)("$section", async ({ hash, secret, salt, info, ...vector }) => {
    const [extracted, expanded] = [hex(vector.extracted), hex(vector.expanded)];
    const [prfHashMechanism, length] = [hash, expanded.length];
    for (const type of [CKK.HKDF, CKK.GENERIC_SECRET]) {
      const key = await keys.secret(type, secret);
      const both = hkdf({ bExtract: true, bExpand: true, prfHashMechanism, ...saltOf(salt), pInfo: info });
      expect(await keys.derive(both, key, length)).toEqual(expanded);
      expect(await keys.derive(both, key, length - 1)).toEqual(expanded.subarray(0, -1));

      if (salt.length > 0) {
        const hSaltKey = await keys.secret(CKK.GENERIC_SECRET, salt);
        const salted = hkdf({
          bExtract: true,
          bExpand: true,
          prfHashMechanism,
          ulSaltType: CKF.HKDF_SALT_KEY,
          hSaltKey,
          pInfo: info,
        });
        expect(await keys.derive(salted, key, length)).toEqual(expanded);
      }

      const first = hkdf({ bExtract: true, bExpand: false, prfHashMechanism, ...saltOf(salt) });
      expect(await keys.derive(first, key)).toEqual(extracted);
      const second = hkdf({ bExtract: false, bExpand: true, prfHashMechanism, pInfo: info });
      expect(await keys.derive(second, await keys.secret(type, extracted), length)).toEqual(expanded);
    }
  });

  test("255 hashes long and no longer", async () => {
    const key = await keys.secret(CKK.HKDF, new Uint8Array(32));
    const mechanism = hkdf({ bExtract: true, bExpand: true, prfHashMechanism: CKM.SHA256 });
    expect(await keys.derive(mechanism, key, 255 * 32)).toHaveLength(255 * 32);
    await expect(keys.derive(mechanism, key, 255 * 32 + 1)).rejects.toMatchObject(refusal("KEY_SIZE_RANGE"));
  });

  const whole = { bExtract: true, bExpand: true, prfHashMechanism: CKM.SHA256 } as const;
  test.each([
    ["nothing to do", { ...whole, bExtract: false, bExpand: false }],
    ["no hash", { ...whole, prfHashMechanism: CKM.AES_CBC }],
    ["a salt that must be absent", { ...whole, ulSaltType: CKF.HKDF_SALT_NULL, pSalt: range(0, 7) }],
    ["another kind of salt", { ...whole, ulSaltType: 8 }],
    ["a salt key that is not named", { ...whole, ulSaltType: CKF.HKDF_SALT_KEY }],
  ] as const)("%s: CKR_MECHANISM_PARAM_INVALID", async (_, parameter) => {
    const key = await keys.secret(CKK.HKDF, new Uint8Array(32));
    await expect(keys.derive(hkdf(parameter), key, 32)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });

  test("the salt is a secret key that may derive", async () => {
    const key = await keys.secret(CKK.HKDF, new Uint8Array(32));
    const withSalt = (hSaltKey: number): Promise<Uint8Array> =>
      keys.derive(hkdf({ ...whole, ulSaltType: CKF.HKDF_SALT_KEY, hSaltKey }), key, 32);
    await expect(withSalt(0)).rejects.toMatchObject(refusal("KEY_HANDLE_INVALID"));
    const ec = await keys.ecPrivate(CKK.EC, P_256, range(1, 32));
    await expect(withSalt(ec)).rejects.toMatchObject(refusal("KEY_TYPE_INCONSISTENT"));
    const forMacs = await keys.create({
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
      [CKA.VALUE]: range(1, 32),
      [CKA.SIGN]: true,
      [CKA.DERIVE]: false,
    });
    await expect(withSalt(forMacs)).rejects.toMatchObject(refusal("KEY_FUNCTION_NOT_PERMITTED"));
  });
});

const pbkdf2 = (password: string, salt: string, iterations: number, prf: number): CK_MECHANISM => ({
  mechanism: CKM.PKCS5_PBKD2,
  parameter: {
    saltSource: CKZ.SALT_SPECIFIED,
    pSaltSourceData: utf8(salt),
    iterations,
    prf,
    pPassword: utf8(password),
  },
});
const SHA1 = CKP.PKCS5_PBKD2_HMAC_SHA1;
const SHA256 = CKP.PKCS5_PBKD2_HMAC_SHA256;

describe("CKM_PKCS5_PBKD2", () => {
  test.each([
    ["RFC 6070, 1", pbkdf2("password", "salt", 1, SHA1), "0c60c80f961f0e71f3a9b524af6012062fe037a6"],
    ["RFC 6070, 2", pbkdf2("password", "salt", 2, SHA1), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"],
    ["RFC 6070, 3", pbkdf2("password", "salt", 4096, SHA1), "4b007901b765489abead49d926f721d065a429c1"],
    [
      "RFC 6070, 5",
      pbkdf2("passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096, SHA1),
      "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038",
    ],
    ["RFC 6070, 6", pbkdf2("pass\0word", "sa\0lt", 4096, SHA1), "56fa6aa75548099dcc37d7f03425e0c3"],
    [
      "RFC 7914 section 11",
      pbkdf2("passwd", "salt", 1, SHA256),
      "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
    ],
  ])("%s", async (_, mechanism, expected) => {
    expect(await keys.generate(mechanism, hex(expected).length)).toEqual(hex(expected));
  });

  test("many rounds for a long key are refused: nothing would stop them", async () => {
    const many = keys.generate(pbkdf2("password", "salt", 2 ** 23, SHA1), 41);
    await expect(many).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });

  test("CKA_VALUE_LEN says how long a generic secret is", async () => {
    await expect(keys.generate(pbkdf2("password", "salt", 1, SHA1))).rejects.toMatchObject(
      refusal("TEMPLATE_INCOMPLETE"),
    );
  });

  test.each([
    ["no rounds", pbkdf2("password", "salt", 0, SHA1)],
    ["half a round", pbkdf2("password", "salt", 1.5, SHA1)],
    ["more rounds than are reasonable", pbkdf2("password", "salt", 2 ** 31, SHA1)],
    ["an unknown function", pbkdf2("password", "salt", 1, 0x99)],
    ["no parameter", mechanismOf(CKM.PKCS5_PBKD2)],
  ] as const)("%s: CKR_MECHANISM_PARAM_INVALID", async (_, mechanism) => {
    await expect(keys.generate(mechanism, 16)).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
  });
});
