import { expect, test } from "@jest/globals";
import { keyAlgorithm } from "../../src/webcrypto/algorithms.ts";
import { rsaPair } from "../crypto/keys.ts";

const rsa = rsaPair(1024).publicKey;
const ALL = { sign: true, decrypt: true, derive: false };
const limited = { ...rsa, pss: { hash: "sha384", mgfHash: "sha384", minSaltLength: 48 } } as const;

test("an RSA key signs with PKCS #1 v1.5 and SHA-256 if nothing is wanted, or what is", () => {
  expect(keyAlgorithm(rsa, ALL)).toMatchObject({ name: "RSASSA-PKCS1-v1_5", hash: { name: "SHA-256" } });
  expect(keyAlgorithm(rsa, ALL, { name: "RSA-PSS", hash: "SHA-512" })).toMatchObject({
    name: "RSA-PSS",
    hash: { name: "SHA-512" },
  });
});

test("a key for RSASSA-PSS alone is one for RSA-PSS, with the hash that it is limited to", () => {
  expect(keyAlgorithm({ ...rsa, pss: "none" }, ALL)).toMatchObject({ name: "RSA-PSS", hash: { name: "SHA-256" } });
  expect(keyAlgorithm(limited, ALL)).toMatchObject({ name: "RSA-PSS", hash: { name: "SHA-384" } });
  expect(keyAlgorithm(limited, ALL, "RSA-PSS")).toMatchObject({ hash: { name: "SHA-384" } });
});

test.each([
  ["RSASSA-PKCS1-v1_5", "NotSupportedError"],
  ["RSA-OAEP", "NotSupportedError"],
  ["ECDSA", "NotSupportedError"],
  [{ name: "RSA-PSS", hash: "SHA-256" }, "DataError"],
])("such a key is none for %j: %s", (wanted, name) => {
  expect(() => keyAlgorithm(limited, ALL, wanted)).toThrow(expect.objectContaining({ name }));
});
