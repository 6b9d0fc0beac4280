import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { encodeEcParameters, encodeParameters25519 } from "../../src/crypto/index.ts";
import { CKA, CKM, type Template, mechanismOf } from "../../src/cryptoki/index.ts";
import { TokenCrypto } from "../../src/webcrypto/index.ts";
import { rig, type Rig } from "../cryptoki/rig.ts";
import { testCard } from "../virtual/keys.ts";
import { exception } from "./opened.ts";

const MESSAGE = utf8("what the key signs");

/** Kinds of keys that no card here has, among the objects of a session. */
describe("keys of a session", () => {
  let made: Rig;
  let session: number;
  let crypto: TokenCrypto;

  beforeAll(async () => {
    made = await rig(await testCard());
    session = await made.session();
    crypto = await TokenCrypto.open({ cryptoki: made.cryptoki, session });
  });
  afterAll(async () => {
    await crypto[Symbol.asyncDispose]();
    await made[Symbol.asyncDispose]();
  });

  async function generate(label: string, mechanism: number, parameters: Uint8Array, uses: Template): Promise<void> {
    await made.cryptoki.C_GenerateKeyPair(
      session,
      mechanismOf(mechanism),
      { [CKA.TOKEN]: false, [CKA.EC_PARAMS]: parameters },
      { [CKA.TOKEN]: false, [CKA.PRIVATE]: false, [CKA.LABEL]: label, ...uses },
    );
  }

  test("Ed25519 signs", async () => {
    await generate("ed", CKM.EC_EDWARDS_KEY_PAIR_GEN, encodeParameters25519("Ed25519"), { [CKA.SIGN]: true });
    const { privateKey, publicKey } = await crypto.keyStorage.pair({ label: "ed" });
    expect(privateKey).toMatchObject({ algorithm: { name: "Ed25519" }, usages: ["sign"] });
    const signature = await crypto.subtle.sign("Ed25519", privateKey, MESSAGE);
    expect(await crypto.subtle.verify("Ed25519", publicKey, signature, MESSAGE)).toBe(true);
    await expect(crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, MESSAGE)).rejects.toMatchObject(
      exception("InvalidAccessError"),
    );
  });

  test("X25519 agrees on secrets", async () => {
    await generate("x", CKM.EC_MONTGOMERY_KEY_PAIR_GEN, encodeParameters25519("X25519"), { [CKA.DERIVE]: true });
    const { privateKey, publicKey } = await crypto.keyStorage.pair({ label: "x" });
    expect(privateKey).toMatchObject({ algorithm: { name: "X25519" }, usages: ["deriveKey", "deriveBits"] });
    const theirs = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
    if (!("privateKey" in theirs)) throw new Error("no pair");
    expect(await crypto.subtle.deriveBits({ name: "X25519", public: theirs.publicKey }, privateKey, 256)).toEqual(
      await crypto.subtle.deriveBits({ name: "X25519", public: publicKey }, theirs.privateKey, 256),
    );
  });

  test.each(["SHA-256", "SHA-512"])("P-521 with %s", async (hash) => {
    const label = `p-521 ${hash}`;
    await generate(label, CKM.EC_KEY_PAIR_GEN, encodeEcParameters("P-521"), { [CKA.SIGN]: true });
    const { privateKey, publicKey } = await crypto.keyStorage.pair({ label });
    const algorithm = { name: "ECDSA", hash };
    const signature = await crypto.subtle.sign(algorithm, privateKey, MESSAGE);
    expect(signature.byteLength).toBe(132);
    expect(await crypto.subtle.verify(algorithm, publicKey, signature, MESSAGE)).toBe(true);
    await expect(crypto.keyStorage.privateKey({ label, algorithm: "ECDH" })).rejects.toMatchObject(
      exception("InvalidAccessError"),
    );
  });
});
