import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { encodePublicKey, keyTypeOf, parsePublicKey, rsaPublicKey } from "../../src/crypto/index.ts";
import { ecPair, rsaPair, spkiOf } from "./keys.ts";

describe("public keys", () => {
  test.each([1024, 1031, 2048])("RSA of %d bits, as Node writes it", (bits) => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: bits });
    const spki = spkiOf(publicKey);
    const key = parsePublicKey(spki);
    const { n = "", e = "" } = publicKey.export({ format: "jwk" });
    expect(key).toMatchObject({ type: "rsa", modulusBits: bits });
    expect(key.type === "rsa" && [key.modulus, key.publicExponent].map((number) => toHex(number))).toEqual([
      Buffer.from(n, "base64url").toString("hex"),
      Buffer.from(e, "base64url").toString("hex"),
    ]);
    expect(encodePublicKey(key)).toEqual(spki);
    expect(keyTypeOf(spki)).toEqual({ type: "rsa", modulusBits: bits });
  });

  test.each(["P-256", "P-384", "P-521"] as const)("EC on %s, as Node writes it", (curve) => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: curve });
    const spki = spkiOf(publicKey);
    const key = parsePublicKey(spki);
    const { x = "", y = "" } = publicKey.export({ format: "jwk" });
    expect(key).toMatchObject({ type: "ec", curve });
    expect(key.type === "ec" && toHex(key.point)).toBe(
      `04${Buffer.from(x, "base64url").toString("hex")}${Buffer.from(y, "base64url").toString("hex")}`,
    );
    expect(encodePublicKey(key)).toEqual(spki);
    expect(keyTypeOf(spki)).toEqual({ type: "ec", curve });
  });

  test.each([
    [
      "Ed448",
      () => generateKeyPairSync("ed448").publicKey,
      "public key: algorithm 1.3.101.113 is neither RSA nor EC, Ed25519 nor X25519",
    ],
    [
      "a curve that is not known",
      () => generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey,
      "EC parameters: curve 1.3.132.0.10 is not P-256, P-384 or P-521",
    ],
  ])("%s is refused", (_, generate, message) => {
    expect(() => parsePublicKey(spkiOf(generate()))).toThrow(new DataError(message));
  });

  test("bytes behind the end and a key that is cut off are refused", () => {
    for (const key of [rsaPair(1024).publicKey, ecPair("P-256").publicKey]) {
      const spki = encodePublicKey(key);
      expect(() => parsePublicKey(concat(spki, Uint8Array.of(0)))).toThrow(
        `public key: 1 bytes too many at ${spki.length}`,
      );
      for (let length = 0; length < spki.length; length++) {
        expect(() => parsePublicKey(spki.subarray(0, length))).toThrow(/^public key: \d+ bytes wanted at [0-3], /u);
      }
    }
  });

  test("with bytes changed they are read or refused", () => {
    const keys = [encodePublicKey(rsaPair(1024).publicKey), encodePublicKey(ecPair("P-256").publicKey)];
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.nat(40), fc.nat(255), (spki, index, value) => {
        try {
          const key = parsePublicKey(spki.map((byte, at) => (at === index ? value : byte)));
          expect(["rsa", "ec"]).toContain(key.type);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("an RSA key from its numbers", () => {
  const modulus = rsaPair(1024).publicKey.modulus;

  test("leading zeros do not count", () => {
    const key = rsaPublicKey(concat(new Uint8Array(3), modulus), fromHex("00010001"));
    expect(key).toEqual({ type: "rsa", modulus, publicExponent: fromHex("010001"), modulusBits: 1024 });
  });

  test.each([
    ["an even modulus", concat(modulus.subarray(0, -1), Uint8Array.of(2)), "010001"],
    ["an even exponent", modulus, "010000"],
    ["an exponent of 1", modulus, "01"],
    ["no exponent", modulus, ""],
    ["no modulus", new Uint8Array(), "03"],
    ["a modulus of zeros", new Uint8Array(128), "03"],
    ["an exponent longer than the modulus", modulus, "01".repeat(129)],
  ])("refuses %s", (_, n, e) => {
    expect(() => rsaPublicKey(n, fromHex(e))).toThrow(new DataError("RSA public key: not a modulus and exponent"));
  });

  test.each([
    ["a short modulus", 511],
    ["a long modulus", 16_385],
  ])("refuses %s", (_, bits) => {
    const odd = new Uint8Array(Math.ceil(bits / 8)).fill(0xff);
    odd[0] = 0xff >> (8 * odd.length - bits);
    const message = `RSA public key: ${bits} bits, not 512 to 16384`;
    expect(() => rsaPublicKey(odd, fromHex("03"))).toThrow(new DataError(message));
  });

  test.each([512, 16_384])("takes a modulus of %d bits", (bits) => {
    expect(rsaPublicKey(new Uint8Array(bits / 8).fill(0xff), fromHex("03")).modulusBits).toBe(bits);
  });
});
