import { constants, createPublicKey, sign, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import {
  digest,
  encodePss,
  encodePublicKey,
  type HashName,
  type PssParameters,
  verifyPss,
} from "../../src/crypto/index.ts";
import { type RsaPair, rsaPair } from "./keys.ts";

const MESSAGE = utf8("message");
const parameters = (hash: HashName, saltLength: number, mgfHash = hash): PssParameters => ({
  hash,
  mgfHash,
  saltLength,
});

// 1025 and 1030 bits: the encoded block is shorter than the modulus, or its first byte has other bits to clear.
describe.each([1024, 1025, 1030, 2048])("PSS with a key of %d bits, Node on the other side", (bits) => {
  const pair = rsaPair(bits);
  const node = {
    publicKey: createPublicKey({ key: Buffer.from(encodePublicKey(pair.publicKey)), format: "der", type: "spki" }),
    padding: constants.RSA_PKCS1_PSS_PADDING,
  };

  test.each([
    ["sha1", 20],
    ["sha256", 32],
    ["sha256", 0],
    ["sha384", 48],
    ["sha3-256", 11],
  ] as const)("%s with a salt of %d bytes", (hash, saltLength) => {
    const hashed = digest(hash, MESSAGE);
    const signature = pair.raw(encodePss(hashed, parameters(hash, saltLength), pair.publicKey.modulusBits));
    const key = { key: node.publicKey, padding: node.padding, saltLength };
    expect(verify(hash, MESSAGE, key, signature)).toBe(true);

    const theirs = sign(hash, MESSAGE, { key: pair.privateKey, padding: node.padding, saltLength });
    expect(verifyPss(pair.publicKey, hashed, parameters(hash, saltLength), theirs)).toBe(true);
    expect(verifyPss(pair.publicKey, hashed, parameters(hash, saltLength + 1), theirs)).toBe(false);
    expect(verifyPss(pair.publicKey, digest(hash, utf8("massage")), parameters(hash, saltLength), theirs)).toBe(false);
  });
});

describe("PSS", () => {
  const pair: RsaPair = rsaPair(1024);
  const hashed = digest("sha256", MESSAGE);

  test("the mask may have another hash than the message", () => {
    const mixed = parameters("sha256", 32, "sha1");
    const signature = pair.raw(encodePss(hashed, mixed, 1024));
    expect(verifyPss(pair.publicKey, hashed, mixed, signature)).toBe(true);
    expect(verifyPss(pair.publicKey, hashed, parameters("sha256", 32), signature)).toBe(false);
  });

  test("the salt is fresh each time, unless it is given", () => {
    const [a, b] = [
      encodePss(hashed, parameters("sha256", 32), 1024),
      encodePss(hashed, parameters("sha256", 32), 1024),
    ];
    expect(a).not.toEqual(b);
    const salt = new Uint8Array(32).fill(5);
    expect(encodePss(hashed, parameters("sha256", 32), 1024, salt)).toEqual(
      encodePss(hashed, parameters("sha256", 32), 1024, salt),
    );
    expect(() => encodePss(hashed, parameters("sha256", 31), 1024, salt)).toThrow(
      "PSS: a salt of 32 bytes instead of 31",
    );
  });

  test("every single changed byte of the encoding is noticed", () => {
    const block = encodePss(hashed, parameters("sha256", 32), 1024);
    for (let index = 0; index < block.length; index++) {
      const changed = block.map((byte, at) => (at === index ? byte ^ 0x01 : byte));
      expect(verifyPss(pair.publicKey, hashed, parameters("sha256", 32), pair.raw(changed))).toBe(false);
    }
  });

  test("hash and salt must fit the key", () => {
    const sha512 = digest("sha512", MESSAGE);
    expect(encodePss(sha512, parameters("sha512", 62), 1024)).toHaveLength(128);
    expect(() => encodePss(sha512, parameters("sha512", 63), 1024)).toThrow(/does not fit/u);
    expect(() => verifyPss(pair.publicKey, sha512, parameters("sha512", 64), new Uint8Array(128))).toThrow(
      "PSS: sha512 with a salt of 64 bytes does not fit a key of 1024 bits",
    );
    expect(() => encodePss(hashed, parameters("sha256", -1), 1024)).toThrow(/salt of -1 bytes does not fit/u);
    expect(() => encodePss(hashed, parameters("sha1", 20), 1024)).toThrow("sha1 digest: 32 bytes instead of 20");
  });

  test("signatures of another length or beyond the modulus do not verify", () => {
    const pss = parameters("sha256", 32);
    expect(verifyPss(pair.publicKey, hashed, pss, new Uint8Array(127))).toBe(false);
    expect(verifyPss(pair.publicKey, hashed, pss, new Uint8Array(128).fill(0xff))).toBe(false);
    expect(verifyPss(pair.publicKey, hashed, pss, new Uint8Array(128))).toBe(false);
  });
});
