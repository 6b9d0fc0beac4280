import { createPublicKey, verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { TokenCrypto } from "../../src/webcrypto/index.ts";
import { PIN, rig, type Rig } from "../cryptoki/rig.ts";
import { testCard, testKey } from "../virtual/keys.ts";

const MESSAGE = utf8("what the card signs");

describe("signatures", () => {
  let made: Rig;
  let crypto: TokenCrypto;
  beforeAll(async () => {
    made = await rig(await testCard());
    crypto = await TokenCrypto.open({ cryptoki: made.cryptoki, pin: () => PIN });
  });
  afterAll(async () => {
    await crypto[Symbol.asyncDispose]();
    await made[Symbol.asyncDispose]();
  });

  test("RSASSA-PKCS1-v1_5, verified by node:crypto and through subtle", async () => {
    const keys = await crypto.keyStorage.list("private");
    expect(keys.map(({ id }) => [...id])).toEqual([[1], [2], [3], [4]]);
    const { privateKey, publicKey } = await crypto.keyStorage.pair({ id: Uint8Array.of(1) });
    const signature = await crypto.subtle.sign("RSASSA-PKCS1-v1_5", privateKey, MESSAGE);
    const key = createPublicKey(testKey("rsa-2048", "9a"));
    expect(verify("sha256", MESSAGE, key, new Uint8Array(signature))).toBe(true);
    expect(await crypto.subtle.verify("RSASSA-PKCS1-v1_5", publicKey, signature, MESSAGE)).toBe(true);
  });
});
