import { describe, expect, test } from "@jest/globals";
import { signatureScheme } from "../../src/cli/input/signature.ts";
import { CKM } from "../../src/cryptoki/index.ts";
import type { PssLimits } from "../../src/crypto/index.ts";
import { ecPair, rsaPair } from "../crypto/keys.ts";

const rsa = rsaPair(1024).publicKey;
const SHA384: PssLimits = { hash: "sha384", mgfHash: "sha384", minSaltLength: 48 };

describe("without a name, sign takes", () => {
  test.each([
    ["PKCS #1 v1.5 and SHA-256 with an RSA key", rsa, "SHA256_RSA_PKCS"],
    [
      "PSS and SHA-256 with a key for RSASSA-PSS without limits",
      { ...rsa, pss: "none" as const },
      "SHA256_RSA_PKCS_PSS",
    ],
    ["PSS and the key's own hash with a key that is limited to it", { ...rsa, pss: SHA384 }, "SHA384_RSA_PKCS_PSS"],
    ["the hash of the curve's length with an EC key", ecPair("P-384").publicKey, "ECDSA_SHA384"],
    [
      "the whole message with an Ed25519 key",
      { type: "edwards", curve: "Ed25519", point: new Uint8Array(32) },
      "EDDSA",
    ],
  ] as const)("%s", (_, key, name) => {
    expect(signatureScheme(key, {}).name).toBe(name);
  });

  test("what the card offers, where it does not offer that", () => {
    expect(signatureScheme(rsa, {}, [CKM.RSA_PKCS, CKM.SHA512_RSA_PKCS]).name).toBe("SHA512_RSA_PKCS");
  });
});

describe("a usage error is", () => {
  test.each([
    ["a mechanism of another type of key", rsa, { mechanism: "ECDSA-SHA256" }, /does not fit this key, which is RSA/u],
    [
      "a name that is none",
      rsa,
      { mechanism: "ROT13" },
      /--mechanism ROT13: not a signature mechanism; try SHA256_RSA_PKCS/u,
    ],
    ["two hashes", rsa, { mechanism: "SHA256-RSA-PKCS", hash: "sha512" as const }, /leave out --hash sha512/u],
  ] as const)("%s", (_, key, options, message) => {
    expect(() => signatureScheme(key, options)).toThrow(message);
  });

  test("a mechanism that the card does not offer: it is told what the card does", () => {
    expect(() => signatureScheme(rsa, { mechanism: "CKM_SHA256_RSA_PKCS" }, [CKM.SHA512_RSA_PKCS])).toThrow(
      "the card does not sign with SHA256_RSA_PKCS; with this key it supports SHA512_RSA_PKCS",
    );
  });
});
