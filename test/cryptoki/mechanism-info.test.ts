import { createPublicKey } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import {
  type CK_MECHANISM,
  CKA,
  CKD,
  CKF,
  CKG,
  CKK,
  CKM,
  CKO,
  CKP,
  CKZ,
  CryptokiError,
  type MechanismParameter,
  type Template,
  mechanismOf,
  type OtherMechanism,
} from "../../src/cryptoki/index.ts";
import { HASHES } from "../../src/cryptoki/mechanisms/hashes.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { refusal, rig, type Rig } from "./rig.ts";

const own = (text = ""): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));
const P_256 = Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7);
const P_192 = Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1);
const ED25519 = Uint8Array.of(6, 3, 0x2b, 0x65, 0x70);
const X25519 = Uint8Array.of(6, 3, 0x2b, 0x65, 0x6e);
const POINT = ((): Uint8Array => {
  const { x, y } = createPublicKey(testKey("p-256", "other")).export({ format: "jwk" });
  return concat(Uint8Array.of(4), own(x), own(y));
})();
const SALT = utf8("salt and pepper!");

/** Parameters of all kinds: what a mechanism takes is among these. */
const PARAMETERS: readonly (MechanismParameter | undefined)[] = [
  undefined,
  new Uint8Array(16),
  new Uint8Array(8),
  4,
  { ulCounterBits: 32, cb: new Uint8Array(16) },
  { pIv: new Uint8Array(12), ulTagBits: 128 },
  { ulDataLen: 16, pNonce: new Uint8Array(12), ulMACLen: 16 },
  { kdf: CKD.NULL, pPublicData: POINT },
  { bExtract: true, bExpand: true, prfHashMechanism: CKM.SHA256 },
  {
    saltSource: CKZ.SALT_SPECIFIED,
    pSaltSourceData: SALT,
    iterations: 2,
    prf: CKP.PKCS5_PBKD2_HMAC_SHA256,
    pPassword: SALT,
  },
  { hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256, source: CKZ.DATA_SPECIFIED },
  ...HASHES.map(({ digest }) => ({ hashAlg: digest, mgf: CKG.MGF1_SHA256, sLen: 16 })),
];

const ALL_USES = {
  [CKA.SIGN]: true,
  [CKA.VERIFY]: true,
  [CKA.ENCRYPT]: true,
  [CKA.DECRYPT]: true,
  [CKA.WRAP]: true,
  [CKA.UNWRAP]: true,
  [CKA.DERIVE]: true,
};
const PAIRS: Readonly<Record<number, { readonly template: Template; readonly uses: Template }>> = {
  [CKM.RSA_PKCS_KEY_PAIR_GEN]: {
    template: {
      [CKA.MODULUS_BITS]: 2048,
      [CKA.ENCRYPT]: true,
      [CKA.VERIFY]: true,
      [CKA.VERIFY_RECOVER]: true,
      [CKA.WRAP]: true,
    },
    uses: { [CKA.SIGN]: true, [CKA.SIGN_RECOVER]: true, [CKA.DECRYPT]: true, [CKA.UNWRAP]: true },
  },
  [CKM.EC_KEY_PAIR_GEN]: {
    template: { [CKA.EC_PARAMS]: P_256 },
    uses: { [CKA.SIGN]: true, [CKA.DERIVE]: true },
  },
  [CKM.EC_EDWARDS_KEY_PAIR_GEN]: { template: { [CKA.EC_PARAMS]: ED25519 }, uses: { [CKA.SIGN]: true } },
  [CKM.EC_MONTGOMERY_KEY_PAIR_GEN]: { template: { [CKA.EC_PARAMS]: X25519 }, uses: { [CKA.DERIVE]: true } },
};
const SECRETS: readonly (readonly [keyType: number, length: number])[] = [
  [CKK.AES, 16],
  [CKK.GENERIC_SECRET, 32],
  [CKK.DES, 8],
  [CKK.DES3, 24],
  [CKK.HKDF, 32],
];
const OPEN = { [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true };

/** Twice the same where it is secret. */
interface Pair {
  readonly publicKey: number;
  readonly privateKey: number;
}

let made: Rig;
let slot: number;
let session: number;
let keys: readonly Pair[];
/** A key that is wrapped. */
let target: number;

beforeAll(async () => {
  made = await rig(await testCard());
  slot = await made.slot();
  session = await made.loggedIn();
  const { cryptoki } = made;
  const pairs: Pair[] = [];
  for (const [type, { template, uses }] of Object.entries(PAIRS)) {
    pairs.push(await cryptoki.C_GenerateKeyPair(session, mechanismOf(Number(type)), template, uses));
  }
  const secret = (keyType: number, length: number): Promise<number> =>
    cryptoki.C_CreateObject(session, {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: keyType,
      // Of odd parity, for DES.
      [CKA.VALUE]: Uint8Array.from({ length }, (_, index) => [0x01, 0x23, 0x45, 0x67][index % 4] ?? 0).fill(
        0x0d,
        8,
        16,
      ),
      ...ALL_USES,
      ...OPEN,
    });
  for (const [keyType, length] of SECRETS) {
    const one = await secret(keyType, length);
    pairs.push({ publicKey: one, privateKey: one });
  }
  keys = pairs;
  target = await secret(CKK.AES, 16);
});

afterAll(() => made[Symbol.asyncDispose]());

const SECRET_TEMPLATE = { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES, [CKA.VALUE_LEN]: 16 };

/** How an operation of each flagged kind begins, or is done where it has no beginning, and is given up again. */
const USES: Readonly<
  Record<string, { readonly flag: number; readonly go: (m: CK_MECHANISM, k: Pair) => Promise<unknown> }>
> = {
  encrypt: { flag: CKF.ENCRYPT, go: (m, { publicKey }) => made.cryptoki.C_EncryptInit(session, m, publicKey) },
  decrypt: { flag: CKF.DECRYPT, go: (m, { privateKey }) => made.cryptoki.C_DecryptInit(session, m, privateKey) },
  digest: { flag: CKF.DIGEST, go: (m) => made.cryptoki.C_DigestInit(session, m) },
  sign: { flag: CKF.SIGN, go: (m, { privateKey }) => made.cryptoki.C_SignInit(session, m, privateKey) },
  "sign-recover": {
    flag: CKF.SIGN_RECOVER,
    go: (m, { privateKey }) => made.cryptoki.C_SignRecoverInit(session, m, privateKey),
  },
  verify: { flag: CKF.VERIFY, go: (m, { publicKey }) => made.cryptoki.C_VerifyInit(session, m, publicKey) },
  "verify-recover": {
    flag: CKF.VERIFY_RECOVER,
    go: (m, { publicKey }) => made.cryptoki.C_VerifyRecoverInit(session, m, publicKey),
  },
  generate: {
    flag: CKF.GENERATE,
    go: async (m) => {
      try {
        await made.cryptoki.C_GenerateKey(session, m, { [CKA.VALUE_LEN]: 16 });
      } catch (error) {
        if (isNamed(error, "CKR_MECHANISM_INVALID", "CKR_MECHANISM_PARAM_INVALID")) throw error;
        // Keys of DES have one length, which is not said.
        await made.cryptoki.C_GenerateKey(session, m, {});
      }
    },
  },
  "generate-key-pair": {
    flag: CKF.GENERATE_KEY_PAIR,
    go: (m) => made.cryptoki.C_GenerateKeyPair(session, m, PAIRS[m.mechanism]?.template ?? {}, {}),
  },
  wrap: { flag: CKF.WRAP, go: (m, { publicKey }) => made.cryptoki.C_WrapKey(session, m, publicKey, target) },
  unwrap: {
    flag: CKF.UNWRAP,
    go: async (m, { publicKey, privateKey }) => {
      const none = new Uint8Array(16);
      const wrapped = await made.cryptoki.C_WrapKey(session, m, publicKey, target).catch(() => none);
      // Raw RSA gives a number as long as the modulus: its last bytes are the key.
      await made.cryptoki.C_UnwrapKey(session, m, privateKey, wrapped, SECRET_TEMPLATE);
    },
  },
  derive: {
    flag: CKF.DERIVE,
    go: (m, { privateKey }) =>
      made.cryptoki.C_DeriveKey(session, m, privateKey, {
        ...(m.mechanism === CKM.HKDF_DATA ? { [CKA.CLASS]: CKO.DATA, [CKA.VALUE_LEN]: 16 } : SECRET_TEMPLATE),
      }),
  },
};

function isNamed(error: unknown, ...names: readonly string[]): boolean {
  if (!(error instanceof CryptokiError)) throw error;
  return names.includes(error.code);
}

/** Whether some key of the session, with some parameter, begins it. */
async function begins(type: number, go: (m: OtherMechanism, k: Pair) => Promise<unknown>): Promise<boolean> {
  for (const key of keys) {
    for (const parameter of PARAMETERS) {
      try {
        await go(mechanismOf(type, parameter), key);
        return true;
      } catch (error) {
        if (isNamed(error, "CKR_MECHANISM_INVALID")) return false;
        // Another parameter changes nothing about a key that does not fit.
        if (isNamed(error, "CKR_KEY_TYPE_INCONSISTENT", "CKR_WRAPPING_KEY_TYPE_INCONSISTENT")) break;
        if (isNamed(error, "CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT")) break;
      } finally {
        await made.cryptoki.C_SessionCancel(session, 0xffffffff);
      }
    }
  }
  return false;
}

describe("what C_GetMechanismInfo says of a token", () => {
  test.each(Object.entries(USES))(
    "to %s is true of each mechanism, and of no other",
    async (_use, { flag, go }) => {
      const flagged: number[] = [];
      const real: number[] = [];
      for (const type of await made.cryptoki.C_GetMechanismList(slot)) {
        if (((await made.cryptoki.C_GetMechanismInfo(slot, type)).flags & flag) !== 0) flagged.push(type);
        if (await begins(type, go)) real.push(type);
      }
      expect(real).toEqual(flagged);
      expect(flagged.length).toBeGreaterThan(0);
    },
    120_000,
  );

  test("the mechanisms that work on messages are GCM and CCM", async () => {
    const types = await made.cryptoki.C_GetMechanismList(slot);
    const able: number[] = [];
    for (const type of types) {
      const go = (m: OtherMechanism, k: Pair): Promise<void> =>
        made.cryptoki.C_MessageEncryptInit(session, m, k.publicKey);
      if (await begins(type, go)) able.push(type);
    }
    expect(able).toEqual([CKM.AES_GCM, CKM.AES_CCM]);
  });
});

describe("key sizes", () => {
  const sizes = (type: number) => made.cryptoki.C_GetMechanismInfo(slot, type);

  /** In the bytes that CKA_VALUE_LEN has, where C_GetMechanismInfo has bits for a generic secret. */
  test.each([
    ["AES", CKM.AES_KEY_GEN, 1],
    ["generic secret", CKM.GENERIC_SECRET_KEY_GEN, 8],
    ["HKDF", CKM.HKDF_KEY_GEN, 1],
    ["HMAC", CKM.SHA256_KEY_GEN, 1],
  ])("of %s keys: the first and the last, and not those beside", async (_name, mechanism, unit) => {
    const { ulMinKeySize, ulMaxKeySize } = await sizes(mechanism);
    const [min, max] = [ulMinKeySize / unit, ulMaxKeySize / unit];
    const make = (length: number): Promise<number> =>
      made.cryptoki.C_GenerateKey(session, { mechanism }, { [CKA.VALUE_LEN]: length });
    await make(min);
    await make(max);
    for (const length of [min - 1, max + 1]) {
      await expect(make(length)).rejects.toMatchObject(refusal("ATTRIBUTE_VALUE_INVALID"));
    }
  });

  test("of RSA keys that are made", async () => {
    // The sizes that stand beside CKF_HW are the card's; the host makes keys of the session of more.
    expect(await sizes(CKM.RSA_PKCS_KEY_PAIR_GEN)).toMatchObject({ ulMinKeySize: 2048, ulMaxKeySize: 2048 });
    const MIN = 1024;
    const make = (bits: number): Promise<Pair> =>
      made.cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
        { [CKA.MODULUS_BITS]: bits },
        {},
      );
    await make(MIN);
    for (const bits of [MIN - 8, MIN / 2, 0, 4096 + 8]) {
      await expect(make(bits)).rejects.toMatchObject(refusal("ATTRIBUTE_VALUE_INVALID"));
    }
  }, 60_000);

  test("of EC keys are those of named curves", async () => {
    const make = (curve: Uint8Array): Promise<Pair> =>
      made.cryptoki.C_GenerateKeyPair(session, { mechanism: CKM.EC_KEY_PAIR_GEN }, { [CKA.EC_PARAMS]: curve }, {});
    expect((await sizes(CKM.EC_KEY_PAIR_GEN)).ulMinKeySize).toBe(256);
    await make(P_256);
    await expect(make(P_192)).rejects.toMatchObject(refusal("CURVE_NOT_SUPPORTED"));
  });
});
