import { constants, createPublicKey, privateDecrypt, publicEncrypt } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError, utf8 } from "../../src/bytes/index.ts";
import { decodeOaep, encodeOaep, encodePublicKey, type OaepParameters, rsaPublic } from "../../src/crypto/index.ts";
import { rsaPair } from "./keys.ts";

const pair = rsaPair(2048);
const publicKey = createPublicKey({ key: Buffer.from(encodePublicKey(pair.publicKey)), format: "der", type: "spki" });
const LENGTH = 256;
const padding = constants.RSA_PKCS1_OAEP_PADDING;
const MESSAGE = utf8("message");
const SHA256: OaepParameters = { hash: "sha256", mgfHash: "sha256" };

describe("OAEP, Node on the other side", () => {
  test.each(["sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256"] as const)("%s", (hash) => {
    for (const label of [new Uint8Array(), utf8("label")]) {
      const parameters = { hash, mgfHash: hash, label };
      const options = { padding, oaepHash: hash, oaepLabel: label };
      expect(decodeOaep(pair.raw(publicEncrypt({ key: publicKey, ...options }, MESSAGE)), parameters)).toEqual(MESSAGE);
      const ciphertext = rsaPublic(pair.publicKey, encodeOaep(MESSAGE, parameters, LENGTH));
      expect(Uint8Array.from(privateDecrypt({ key: pair.privateKey, ...options }, ciphertext))).toEqual(MESSAGE);
    }
  });
});

describe("OAEP", () => {
  test("reads back every message, with another hash for the mask, and refuses one byte too many", () => {
    const parameters: OaepParameters = { hash: "sha256", mgfHash: "sha1", label: utf8("x") };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 - 66 }), (message) => {
        expect(decodeOaep(encodeOaep(message, parameters, 128), parameters)).toEqual(message);
      }),
    );
    expect(() => encodeOaep(new Uint8Array(128 - 65), parameters, 128)).toThrow(
      "63 bytes; the limit for this key is 62",
    );
  });

  test("any changed byte, another label, another hash: the same error", () => {
    const block = encodeOaep(MESSAGE, SHA256, 128);
    for (let index = 0; index < block.length; index++) {
      const changed = block.map((byte, at) => (at === index ? byte ^ 0x80 : byte));
      expect(() => decodeOaep(changed, SHA256)).toThrow(new DataError("OAEP: decryption error"));
    }
    expect(() => decodeOaep(block, { ...SHA256, label: utf8("y") })).toThrow("OAEP: decryption error");
    expect(() => decodeOaep(block, { ...SHA256, mgfHash: "sha1" })).toThrow("OAEP: decryption error");
    expect(() => decodeOaep(concat(Uint8Array.of(1), block.subarray(1)), SHA256)).toThrow("OAEP: decryption error");
  });

  test("a block without room for two hashes is of a key that is too short", () => {
    expect(() => decodeOaep(new Uint8Array(65), SHA256)).toThrow("OAEP: the key is too short for sha256");
    expect(() => decodeOaep(new Uint8Array(66), SHA256)).toThrow("OAEP: decryption error");
  });

  test("any other block is no message", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 66, maxLength: 128 }), (block) => {
        expect(() => decodeOaep(block, SHA256)).toThrow(new DataError("OAEP: decryption error"));
      }),
    );
  });
});
