import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { randomBytes, x963Kdf } from "../../src/crypto/index.ts";

describe("the key derivation function of X9.63", () => {
  test("SHA-256, 128 bits, no shared info (NIST CAVS, ansx963_2001, count 0)", () => {
    const secret = fromHex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08");
    expect(toHex(x963Kdf("sha256", secret, 16))).toBe("443024c3dae66b95e6f5670601558f71");
  });

  test("counts from 1, the shared info behind the counter, as much as is wanted", () => {
    const [secret, info] = [utf8("secret"), utf8("info")];
    const block = (counter: number): string =>
      createHash("sha1")
        .update(secret)
        .update(Uint8Array.of(0, 0, 0, counter))
        .update(info)
        .digest("hex");
    expect(toHex(x963Kdf("sha1", secret, 50, info))).toBe((block(1) + block(2) + block(3)).slice(0, 100));
    expect(x963Kdf("sha1", secret, 0)).toHaveLength(0);
    expect(x963Kdf("sha512", secret, 64)).toHaveLength(64);
  });

  test("refuses an unreasonable length", () => {
    expect(() => x963Kdf("sha256", utf8("secret"), 65_537)).toThrow("key derivation: 65537 bytes, 65536 at most");
  });
});

test("random bytes are as many as asked for, and others each time", () => {
  expect(randomBytes(0)).toHaveLength(0);
  expect(randomBytes(100_000)).toHaveLength(100_000);
  expect(randomBytes(32)).not.toEqual(randomBytes(32));
});
