import { expect, test } from "@jest/globals";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { decodePem, encodePem, toBase64Url } from "../../src/bytes/index.ts";

test("a key in PEM is what node:crypto writes, and reads", () => {
  const { publicKey } = generateKeyPairSync("ed25519");
  const der = new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
  expect(encodePem("PUBLIC KEY", der)).toBe(publicKey.export({ format: "pem", type: "spki" }));
  expect(createPublicKey(encodePem("PUBLIC KEY", der)).equals(publicKey)).toBe(true);
});

test("any bytes come back, also from between other text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
      const text = `Subject: x\n${encodePem("CERTIFICATE", bytes)}\nmore`;
      expect(decodePem("CERTIFICATE", text)).toEqual(bytes);
      expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
    }),
  );
});

test("text without the block has none; one that is not base64 is refused", () => {
  expect(decodePem("CERTIFICATE", encodePem("PUBLIC KEY", Uint8Array.of(1)))).toBeUndefined();
  expect(() => decodePem("X", "-----BEGIN X-----\nabcde\n-----END X-----")).toThrow(
    "X: the block of PEM is not base64",
  );
});
