import {
  constants,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicDecrypt,
  publicEncrypt,
  verify,
} from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { concat, utf8 } from "../../src/bytes/index.ts";
import {
  CKA,
  CKD,
  CKG,
  CKK,
  CKM,
  CKO,
  CKR,
  CKU,
  CKZ,
  type CK_MECHANISM,
  CryptokiError,
} from "../../src/cryptoki/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { PIN, refusal, rig, type Rig } from "./rig.ts";

const MESSAGE = utf8("a message that is signed in several ways, in one part and in more");
const CARDS = {
  rsa: testCard({
    keys: {
      "9a": { privateKey: testKey("rsa-2048", "9a") },
      "9c": { privateKey: testKey("rsa-2048", "9c rsa") },
      "9d": { privateKey: testKey("rsa-2048", "9d") },
      "9e": { privateKey: testKey("rsa-1024", "9e rsa") },
    },
  }),
  ec: testCard({
    keys: {
      "9a": { privateKey: testKey("p-256", "9a ec") },
      "9c": { privateKey: testKey("p-384", "9c ec") },
      "9d": { privateKey: testKey("p-256", "9d ec") },
      "9e": { privateKey: testKey("p-384", "9e ec") },
    },
  }),
};

const HASHES = [
  { hash: "sha1", name: "SHA1", hashAlg: CKM.SHA_1, mgf: CKG.MGF1_SHA1 },
  { hash: "sha224", name: "SHA224", hashAlg: CKM.SHA224, mgf: CKG.MGF1_SHA224 },
  { hash: "sha256", name: "SHA256", hashAlg: CKM.SHA256, mgf: CKG.MGF1_SHA256 },
  { hash: "sha384", name: "SHA384", hashAlg: CKM.SHA384, mgf: CKG.MGF1_SHA384 },
  { hash: "sha512", name: "SHA512", hashAlg: CKM.SHA512, mgf: CKG.MGF1_SHA512 },
  { hash: "sha3-224", name: "SHA3_224", hashAlg: CKM.SHA3_224, mgf: CKG.MGF1_SHA3_224 },
  { hash: "sha3-256", name: "SHA3_256", hashAlg: CKM.SHA3_256, mgf: CKG.MGF1_SHA3_256 },
  { hash: "sha3-384", name: "SHA3_384", hashAlg: CKM.SHA3_384, mgf: CKG.MGF1_SHA3_384 },
  { hash: "sha3-512", name: "SHA3_512", hashAlg: CKM.SHA3_512, mgf: CKG.MGF1_SHA3_512 },
] as const;

const hashed = (hash: string, ...parts: readonly Uint8Array[]): Uint8Array =>
  parts.reduce((state, part) => state.update(part), createHash(hash)).digest();

/** An open session on a card with all that the tests below ask of it. */
class Bench {
  readonly rig: Rig;
  readonly session: number;

  constructor(made: Rig, session: number) {
    this.rig = made;
    this.session = session;
  }

  /** The public key that the card's certificate tells, as Node has it. */
  async spki(id: number): Promise<KeyObject> {
    const { cryptoki } = this.rig;
    const object = await this.rig.publicKey(this.session, id);
    const { [CKA.PUBLIC_KEY_INFO]: der } = await cryptoki.C_GetAttributeValue(this.session, object, [
      CKA.PUBLIC_KEY_INFO,
    ]);
    return createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  }

  async begin(id: number, mechanism: CK_MECHANISM): Promise<void> {
    const { cryptoki } = this.rig;
    await cryptoki.C_SignInit(this.session, mechanism, await this.rig.privateKey(this.session, id));
    if (id === 2) await cryptoki.C_Login(this.session, CKU.CONTEXT_SPECIFIC, PIN);
  }

  async sign(id: number, mechanism: CK_MECHANISM, message: Uint8Array): Promise<Uint8Array> {
    await this.begin(id, mechanism);
    return this.rig.cryptoki.C_Sign(this.session, message);
  }

  /** The facade's own verdict, in one part and in three. */
  async verifies(id: number, mechanism: CK_MECHANISM, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
    const { cryptoki } = this.rig;
    const key = await this.rig.publicKey(this.session, id);
    try {
      await cryptoki.C_VerifyInit(this.session, mechanism, key);
      await cryptoki.C_Verify(this.session, message, signature);
      await cryptoki.C_VerifyInit(this.session, mechanism, key);
      await cryptoki.C_VerifyUpdate(this.session, message.subarray(0, 5));
      await cryptoki.C_VerifyUpdate(this.session, message.subarray(5));
      await cryptoki.C_VerifyFinal(this.session, signature);
      return true;
    } catch (error) {
      if (error instanceof CryptokiError && error.rv === CKR.SIGNATURE_INVALID) return false;
      throw error;
    }
  }

  async decrypt(id: number, mechanism: CK_MECHANISM, ciphertext: Uint8Array): Promise<Uint8Array> {
    const { cryptoki } = this.rig;
    await cryptoki.C_DecryptInit(this.session, mechanism, await this.rig.privateKey(this.session, id));
    if (id === 2) await cryptoki.C_Login(this.session, CKU.CONTEXT_SPECIFIC, PIN);
    return cryptoki.C_Decrypt(this.session, ciphertext);
  }
}

async function bench(kind: keyof typeof CARDS): Promise<Bench> {
  const card = await CARDS[kind];
  card.reset();
  const made = await rig(card);
  return new Bench(made, await made.loggedIn());
}

describe("RSA keys 9A, 9C, 9D (2048 bits) and 9E (1024 bits)", () => {
  let on: Bench;
  beforeAll(async () => {
    on = await bench("rsa");
  });
  afterAll(() => on.rig[Symbol.asyncDispose]());
  const all = [1, 2, 3, 4];

  test.each(HASHES)("PKCS #1 v1.5 with $hash", async ({ hash, name }) => {
    const mechanism = { mechanism: CKM[`${name}_RSA_PKCS`] };
    for (const id of all) {
      const signature = await on.sign(id, mechanism, MESSAGE);
      expect(verify(hash, MESSAGE, await on.spki(id), signature)).toBe(true);
      expect(await on.verifies(id, mechanism, MESSAGE, signature)).toBe(true);
      expect(await on.verifies(id, mechanism, utf8("another message"), signature)).toBe(false);
    }
  });

  test.each(HASHES)("PSS with $hash", async ({ hash, name, hashAlg, mgf }) => {
    const saltLength = hashed(hash).length;
    // 512 bits of hash, as many of salt and two bytes do not fit into 1024.
    for (const id of saltLength === 64 ? [1, 2, 3] : all) {
      const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
      const parameter = { hashAlg, mgf, sLen: saltLength };
      const mechanism = { mechanism: CKM[`${name}_RSA_PKCS_PSS`], parameter };
      const signature = await on.sign(id, mechanism, MESSAGE);
      expect(verify(hash, MESSAGE, { key: await on.spki(id), ...padding }, signature)).toBe(true);
      expect(await on.verifies(id, mechanism, MESSAGE, signature)).toBe(true);

      const bare = { mechanism: CKM.RSA_PKCS_PSS, parameter };
      const signed = await on.sign(id, bare, hashed(hash, MESSAGE));
      expect(verify(hash, MESSAGE, { key: await on.spki(id), ...padding }, signed)).toBe(true);
      expect(await on.verifies(id, bare, hashed(hash, MESSAGE), signed)).toBe(true);
    }
  });

  test("PSS in a key that is too short for it", async () => {
    const parameter = { hashAlg: CKM.SHA512, mgf: CKG.MGF1_SHA512, sLen: 64 };
    const key = await on.rig.privateKey(on.session, 4);
    await expect(
      on.rig.cryptoki.C_SignInit(on.session, { mechanism: CKM.SHA512_RSA_PKCS_PSS, parameter }, key),
    ).rejects.toMatchObject(refusal("KEY_SIZE_RANGE"));
  });

  test("PKCS #1 v1.5 without a hash, up to the key's limit", async () => {
    const mechanism = { mechanism: CKM.RSA_PKCS };
    for (const id of all) {
      const longest = (await on.spki(id)).asymmetricKeyDetails?.modulusLength ?? 0;
      const data = new Uint8Array(longest / 8 - 11).fill(7);
      const signature = await on.sign(id, mechanism, data);
      expect(new Uint8Array(publicDecrypt(await on.spki(id), signature))).toEqual(data);
      expect(await on.verifies(id, mechanism, data, signature)).toBe(true);
      await expect(on.sign(id, mechanism, concat(data, Uint8Array.of(7)))).rejects.toMatchObject(
        refusal("DATA_LEN_RANGE"),
      );
    }
  });

  test("the bare operation", async () => {
    const mechanism = { mechanism: CKM.RSA_X_509 };
    for (const id of all) {
      const key = { key: await on.spki(id), padding: constants.RSA_NO_PADDING };
      const signature = await on.sign(id, mechanism, MESSAGE);
      const block = new Uint8Array(publicDecrypt(key, signature));
      expect(block.subarray(-MESSAGE.length)).toEqual(MESSAGE);
      expect(await on.verifies(id, mechanism, MESSAGE, signature)).toBe(true);
      await expect(on.sign(id, mechanism, new Uint8Array(signature.length).fill(0xff))).rejects.toMatchObject(
        refusal("DATA_INVALID"),
      );
    }
  });

  test("in parts as in one", async () => {
    const { cryptoki } = on.rig;
    const mechanism = { mechanism: CKM.SHA256_RSA_PKCS };
    await on.begin(1, mechanism);
    for (const byte of MESSAGE) await cryptoki.C_SignUpdate(on.session, Uint8Array.of(byte));
    expect(await cryptoki.C_SignFinal(on.session)).toEqual(await on.sign(1, mechanism, MESSAGE));
  });

  test("decrypt what Node encrypts, and what the facade does", async () => {
    const mechanism = { mechanism: CKM.RSA_PKCS };
    const { cryptoki } = on.rig;
    for (const id of [1, 2, 3]) {
      const byNode = publicEncrypt({ key: await on.spki(id), padding: constants.RSA_PKCS1_PADDING }, MESSAGE);
      expect(await on.decrypt(id, mechanism, byNode)).toEqual(MESSAGE);
      await cryptoki.C_EncryptInit(on.session, mechanism, await on.rig.publicKey(on.session, id));
      expect(await on.decrypt(id, mechanism, await cryptoki.C_Encrypt(on.session, MESSAGE))).toEqual(MESSAGE);
    }
  });

  test("the card authentication key has no use for decryption, and its public half none for encryption", async () => {
    const mechanism = { mechanism: CKM.RSA_PKCS };
    const { cryptoki } = on.rig;
    const refused = refusal("KEY_FUNCTION_NOT_PERMITTED");
    await expect(on.decrypt(4, mechanism, new Uint8Array(128))).rejects.toMatchObject(refused);
    const publicKey = await on.rig.publicKey(on.session, 4);
    await expect(cryptoki.C_EncryptInit(on.session, mechanism, publicKey)).rejects.toMatchObject(refused);
  });

  test.each(HASHES)("OAEP with $hash", async ({ hash, hashAlg, mgf }) => {
    const { cryptoki } = on.rig;
    const message = MESSAGE.subarray(0, 20);
    const label = utf8("label");
    const parameter = { hashAlg, mgf, source: CKZ.DATA_SPECIFIED, pSourceData: label };
    const mechanism = { mechanism: CKM.RSA_PKCS_OAEP, parameter };
    for (const id of [1, 3]) {
      const byNode = publicEncrypt({ key: await on.spki(id), oaepHash: hash, oaepLabel: label }, message);
      expect(await on.decrypt(id, mechanism, byNode)).toEqual(message);
      await cryptoki.C_EncryptInit(on.session, mechanism, await on.rig.publicKey(on.session, id));
      await cryptoki.C_EncryptUpdate(on.session, message);
      expect(await on.decrypt(id, mechanism, await cryptoki.C_EncryptFinal(on.session))).toEqual(message);
      byNode[20] = (byNode[20] ?? 0) ^ 1;
      await expect(on.decrypt(id, mechanism, byNode)).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    }
  });

  test("decrypt without padding, and in parts", async () => {
    const { cryptoki } = on.rig;
    const block = new Uint8Array(256).fill(1);
    const ciphertext = publicEncrypt({ key: await on.spki(3), padding: constants.RSA_NO_PADDING }, block);
    await cryptoki.C_DecryptInit(on.session, { mechanism: CKM.RSA_X_509 }, await on.rig.privateKey(on.session, 3));
    expect(await cryptoki.C_DecryptUpdate(on.session, ciphertext.subarray(0, 99))).toHaveLength(0);
    await cryptoki.C_DecryptUpdate(on.session, ciphertext.subarray(99));
    expect(await cryptoki.C_DecryptFinal(on.session)).toEqual(block);
  });

  test("padding that is wrong is told by nothing", async () => {
    const key = { key: await on.spki(3), padding: constants.RSA_NO_PADDING };
    const wrong = publicEncrypt(key, new Uint8Array(256).fill(1));
    const first = await on.decrypt(3, { mechanism: CKM.RSA_PKCS }, wrong);
    expect(await on.decrypt(3, { mechanism: CKM.RSA_PKCS }, wrong)).toEqual(first);
  });

  test.each([0, 1, 255, 257])("a ciphertext of %i bytes is refused before the card sees it", async (length) => {
    await on.rig.privateKey(on.session, 1);
    const used = await on.rig.count(async () => {
      await expect(on.decrypt(1, { mechanism: CKM.RSA_PKCS }, new Uint8Array(length))).rejects.toMatchObject(
        refusal("ENCRYPTED_DATA_LEN_RANGE"),
      );
    });
    expect(used).toBe(0);
  });
});

describe("EC keys 9A, 9D (P-256) and 9C, 9E (P-384)", () => {
  let on: Bench;
  beforeAll(async () => {
    on = await bench("ec");
  });
  afterAll(() => on.rig[Symbol.asyncDispose]());
  // A key management key on a curve agrees on secrets, and nothing else (SP 800-73-4 part 2 section 3.2.4).
  const all = [1, 2, 4];
  const p1363 = { dsaEncoding: "ieee-p1363" } as const;

  test.each(HASHES)("ECDSA with $hash", async ({ hash, name }) => {
    const mechanism = { mechanism: CKM[`ECDSA_${name}`] };
    for (const id of all) {
      const signature = await on.sign(id, mechanism, MESSAGE);
      const key = { key: await on.spki(id), ...p1363 };
      expect(verify(hash, MESSAGE, key, signature)).toBe(true);
      expect(await on.verifies(id, mechanism, MESSAGE, signature)).toBe(true);
      expect(await on.verifies(id, mechanism, utf8("another message"), signature)).toBe(false);

      const bare = { mechanism: CKM.ECDSA };
      const signed = await on.sign(id, bare, hashed(hash, MESSAGE));
      expect(verify(hash, MESSAGE, key, signed)).toBe(true);
      expect(await on.verifies(id, bare, hashed(hash, MESSAGE), signed)).toBe(true);
    }
  });

  test("a signature of a wrong length is told apart from a wrong one", async () => {
    await expect(on.verifies(1, { mechanism: CKM.ECDSA }, MESSAGE, new Uint8Array(63))).rejects.toMatchObject(
      refusal("SIGNATURE_LEN_RANGE"),
    );
  });

  test("ECDH: the shared secret itself, its end, and in a DER OCTET STRING", async () => {
    const { cryptoki } = on.rig;
    const base = await on.rig.privateKey(on.session, 3);
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const point = new Uint8Array(other.publicKey.export({ format: "der", type: "spki" }).subarray(-65));
    const secret = new Uint8Array(diffieHellman({ privateKey: other.privateKey, publicKey: await on.spki(3) }));
    for (const pPublicData of [point, concat(Uint8Array.of(4, 65), point)]) {
      for (const length of [32, 16]) {
        const derived = await cryptoki.C_DeriveKey(
          on.session,
          { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData } },
          base,
          { [CKA.CLASS]: CKO.SECRET_KEY, [CKA.KEY_TYPE]: CKK.AES, [CKA.VALUE_LEN]: length },
        );
        const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(on.session, derived, [CKA.VALUE]);
        expect(value).toEqual(secret.subarray(32 - length));
      }
    }
  });

  test.each([
    [CKD.SHA1_KDF, "sha1"],
    [CKD.SHA256_KDF, "sha256"],
    [CKD.SHA512_KDF, "sha512"],
  ])("ECDH with KDF %i", async (kdf, hash) => {
    const { cryptoki } = on.rig;
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pPublicData = new Uint8Array(other.publicKey.export({ format: "der", type: "spki" }).subarray(-65));
    const pSharedData = utf8("shared");
    const secret = diffieHellman({ privateKey: other.privateKey, publicKey: await on.spki(3) });
    const derived = await cryptoki.C_DeriveKey(
      on.session,
      { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf, pPublicData, pSharedData } },
      await on.rig.privateKey(on.session, 3),
      { [CKA.VALUE_LEN]: 16 },
    );
    const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(on.session, derived, [CKA.VALUE]);
    expect(value).toEqual(new Uint8Array(hashed(hash, secret, Uint8Array.of(0, 0, 0, 1), pSharedData)).subarray(0, 16));
  });

  test("a point that is not on the curve never reaches the card", async () => {
    const { cryptoki } = on.rig;
    const base = await on.rig.privateKey(on.session, 3);
    const pPublicData = new Uint8Array(65).fill(1);
    pPublicData[0] = 4;
    const used = await on.rig.count(async () => {
      await expect(
        cryptoki.C_DeriveKey(
          on.session,
          { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData } },
          base,
          {},
        ),
      ).rejects.toMatchObject(refusal("MECHANISM_PARAM_INVALID"));
    });
    expect(used).toBe(0);
  });

  test("a key is for what its attributes say", async () => {
    const { cryptoki } = on.rig;
    const pPublicData = new Uint8Array((await on.spki(1)).export({ format: "der", type: "spki" }).subarray(-65));
    const parameter = { kdf: CKD.NULL, pPublicData };
    const key = await on.rig.privateKey(on.session, 1);
    await expect(
      cryptoki.C_DeriveKey(on.session, { mechanism: CKM.ECDH1_DERIVE, parameter }, key, {}),
    ).rejects.toMatchObject(refusal("KEY_FUNCTION_NOT_PERMITTED"));
    await expect(cryptoki.C_SignInit(on.session, { mechanism: CKM.RSA_PKCS }, key)).rejects.toMatchObject(
      refusal("KEY_TYPE_INCONSISTENT"),
    );
  });
});

test("a key pair made on the card signs at once", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const ID = Uint8Array.of(1);
  const administration = await made.session();
  await cryptoki.C_Login(administration, CKU.SO, "010203040506070801020304050607080102030405060708");
  const { publicKey } = await cryptoki.C_GenerateKeyPair(
    administration,
    { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
    { [CKA.TOKEN]: true, [CKA.MODULUS_BITS]: 1024, [CKA.ID]: ID },
    { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.ID]: ID },
  );
  const { [CKA.PUBLIC_KEY_INFO]: der } = await cryptoki.C_GetAttributeValue(administration, publicKey, [
    CKA.PUBLIC_KEY_INFO,
  ]);
  await cryptoki.C_Logout(administration);
  await cryptoki.C_Login(administration, CKU.USER, PIN);
  const on = new Bench(made, administration);
  const signature = await on.sign(1, { mechanism: CKM.SHA256_RSA_PKCS }, MESSAGE);
  expect(verify("sha256", MESSAGE, { key: Buffer.from(der), format: "der", type: "spki" }, signature)).toBe(true);
});
