import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../../src/bytes/index.ts";
import { P11KitModule } from "../../../src/p11kit/index.ts";
import { TokenCrypto, type TokenKeyGenAlgorithm } from "../../../src/webcrypto/index.ts";
import { SoftHsm } from "../p11kit/softhsm.ts";

const PIN = "123456";
const MESSAGE = utf8("what a module at another place signs");
const RSA = { modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) };

/** A module of PKCS#11 2.40, which tells less than this driver does. */
describe("a token of SoftHSM, behind p11-kit", () => {
  let hsm: SoftHsm;
  let module: P11KitModule;
  let crypto: TokenCrypto;
  const asked: string[] = [];

  beforeAll(async () => {
    hsm = await SoftHsm.start("token of SoftHSM", PIN);
    module = new P11KitModule({ address: hsm.address });
    await module.C_Initialize();
    crypto = await TokenCrypto.open({
      cryptoki: module,
      token: "pkcs11:token=token%20of%20SoftHSM",
      pin: ({ purpose }) => {
        asked.push(purpose);
        return PIN;
      },
    });
  }, 60_000);
  afterAll(async () => {
    await crypto[Symbol.asyncDispose]();
    await module[Symbol.asyncDispose]();
    await hsm[Symbol.asyncDispose]();
  });

  test.each<[string, TokenKeyGenAlgorithm, { name: string; hash?: string; saltLength?: number }]>([
    ["pkcs1", { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384", ...RSA }, { name: "RSASSA-PKCS1-v1_5" }],
    ["pss", { name: "RSA-PSS", hash: "SHA-256", ...RSA }, { name: "RSA-PSS", saltLength: 32 }],
    ["ecdsa", { name: "ECDSA", namedCurve: "P-384" }, { name: "ECDSA", hash: "SHA-512" }],
  ])("makes a key and signs: %s", async (label, generating, signing) => {
    const made = await crypto.keyStorage.generate(generating, ["sign"], { label });
    const signature = await crypto.subtle.sign(signing, made.privateKey, MESSAGE);
    expect(await crypto.subtle.verify(signing, made.publicKey, signature, MESSAGE)).toBe(true);
    const found = await crypto.keyStorage.pair({ label, algorithm: generating });
    const again = await crypto.subtle.sign(signing, found.privateKey, MESSAGE);
    expect(await crypto.subtle.verify(signing, found.publicKey, again, MESSAGE)).toBe(true);
  });

  test("decrypts with SHA-1, the only hash that SoftHSM has for it", async () => {
    const { privateKey, publicKey } = await crypto.keyStorage.generate(
      { name: "RSA-OAEP", hash: "SHA-1", ...RSA },
      ["decrypt"],
      { label: "oaep" },
    );
    const ciphertext = await crypto.subtle.encrypt("RSA-OAEP", publicKey, MESSAGE);
    expect(new Uint8Array(await crypto.subtle.decrypt("RSA-OAEP", privateKey, ciphertext))).toEqual(MESSAGE);
  });

  test("what p11-kit's protocol does not carry is not supported", async () => {
    const curve = { name: "ECDH", namedCurve: "P-256" };
    const ours = await crypto.keyStorage.generate(curve, ["deriveBits"], { label: "ecdh" });
    const { publicKey } = await crypto.subtle.generateKey(curve, false, ["deriveBits"]);
    const refused = { name: "NotSupportedError", cause: { code: "CKR_MECHANISM_INVALID" } };
    await expect(
      crypto.subtle.deriveBits({ name: "ECDH", public: publicKey }, ours.privateKey, 256),
    ).rejects.toMatchObject(refused);
    await expect(crypto.keyStorage.generate({ name: "Ed25519" }, ["sign"])).rejects.toMatchObject(refused);
  });

  test("the PIN was asked for once", async () => {
    expect((await crypto.keyStorage.list("private")).map(({ label }) => label).toSorted()).toEqual([
      "ecdh",
      "ecdsa",
      "oaep",
      "pkcs1",
      "pss",
    ]);
    expect(asked).toEqual(["login"]);
  });

  test("used after a logout, a key is found again", async () => {
    const key = await crypto.keyStorage.privateKey({ label: "pkcs1" });
    await crypto.logout();
    await expect(crypto.subtle.sign("RSASSA-PKCS1-v1_5", key, MESSAGE)).resolves.toHaveProperty("byteLength", 256);
    expect(asked).toEqual(["login", "login"]);
  });
});
