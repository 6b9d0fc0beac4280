import { describe, expect, test } from "@jest/globals";
import { StatusError } from "../../src/apdu/index.ts";
import { type CardMechanism, type CardPrivateKey, mechanismsOfKeys } from "../../src/card/index.ts";

const OTHERWISE: readonly CardMechanism[] = [{ primitive: "rsa-pkcs1", minBits: 1024, maxBits: 4096 }];

/** As much of a key as counts here. */
const key = (fields: Partial<CardPrivateKey>): CardPrivateKey => fields as CardPrivateKey;

describe("what a card computes, by its keys", () => {
  test("is in their sizes, and nothing that none of them does", async () => {
    const keys = [
      key({ type: { type: "rsa", modulusBits: 2048 }, primitives: ["rsa-raw", "rsa-pkcs1"] }),
      key({ type: { type: "rsa", modulusBits: 3072 }, primitives: ["rsa-pkcs1"] }),
      key({ type: { type: "ec", curve: "P-384" }, primitives: ["ecdsa"] }),
    ];
    expect(await mechanismsOfKeys(keys, OTHERWISE)).toEqual([
      { primitive: "rsa-raw", minBits: 2048, maxBits: 2048 },
      { primitive: "rsa-pkcs1", minBits: 2048, maxBits: 3072 },
      { primitive: "ecdsa", minBits: 384, maxBits: 384 },
    ]);
  });

  test("is what its make does, where no key is there or none can be read", async () => {
    const refused = key({
      primitives: ["rsa-raw"],
      publicKey: () => Promise.reject(new StatusError("READ BINARY", 0x6982)),
    });
    expect(await mechanismsOfKeys([], OTHERWISE)).toBe(OTHERWISE);
    expect(await mechanismsOfKeys([refused], OTHERWISE)).toBe(OTHERWISE);
  });
});
