import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { derBitString, derNull, derOid, derSequence, derUnsigned } from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { encodePublicKey, keyTypeOf, parsePublicKey, rsaPublicKey } from "../../src/crypto/index.ts";
import { ecPair, rsaPair, spkiOf } from "./keys.ts";
import { shareOf } from "../seeded-random.ts";

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
  ])("%s is refused", (_, generate, refusal) => {
    expect(() => parsePublicKey(spkiOf(generate()))).toThrow(new DataError(refusal));
  });

  test.each(["P-256", "P-384", "P-521"] as const)("a point of %s begins with 04, and with nothing else", (curve) => {
    const { publicKey } = ecPair(curve);
    for (let first = 0; first < 256; first++) {
      const point = publicKey.point.with(0, first);
      const spki = encodePublicKey({ ...publicKey, point });
      // 06 and 07 would be the hybrid form of the same point, which OpenSSL reads.
      if (first === 0x04) expect(parsePublicKey(spki)).toEqual(publicKey);
      else {
        expect(() => parsePublicKey(spki)).toThrow(
          new DataError(`EC public key: not an uncompressed point of ${curve}`),
        );
      }
    }
  });

  test.each([
    ["compressed and cut off", (point: Uint8Array) => point.subarray(0, 32).with(0, 2)],
    [
      "compressed for another curve",
      (point: Uint8Array) => concat(point.subarray(0, 33).with(0, 2), new Uint8Array(16)),
    ],
    ["cut off", (point: Uint8Array) => point.subarray(0, -1)],
    ["of another curve", () => ecPair("P-384").publicKey.point],
    ["at infinity", () => new Uint8Array(1)],
    ["not there", () => new Uint8Array()],
  ])("a point that is %s is refused", (_, change) => {
    const { publicKey } = ecPair("P-256");
    expect(() => parsePublicKey(encodePublicKey({ ...publicKey, point: change(publicKey.point) }))).toThrow(
      new DataError("EC public key: not an uncompressed point of P-256"),
    );
  });

  test.each(["Ed25519", "X25519"] as const)("a point of %s has 32 bytes", (curve) => {
    for (const length of [31, 33]) {
      const type = curve === "Ed25519" ? "edwards" : "montgomery";
      const key = { type, curve, point: new Uint8Array(length) } as Parameters<typeof encodePublicKey>[0];
      expect(() => parsePublicKey(encodePublicKey(key))).toThrow(
        new DataError(`public key: a point of ${length} bytes instead of 32`),
      );
    }
  });

  test("bytes behind the end and a key that is cut off are refused", () => {
    for (const key of [rsaPair(1024).publicKey, ecPair("P-256").publicKey]) {
      const spki = encodePublicKey(key);
      expect(() => parsePublicKey(concat(spki, Uint8Array.of(0)))).toThrow(/^public key: 1 bytes too many at \d+$/u);
      for (let length = 0; length < spki.length; length++) {
        expect(() => parsePublicKey(spki.subarray(0, length))).toThrow(
          /^public key: \d+ bytes needed at [0-3], \d+ left$/u,
        );
      }
    }
  });

  describe("each part ends where it should", () => {
    const rsa = derSequence(derOid("1.2.840.113549.1.1.1"), derNull());
    const numbers = [derUnsigned(new Uint8Array(64).fill(0xff)), derUnsigned(Uint8Array.of(3))];
    const key = derSequence(...numbers);

    test("as this one does", () => {
      expect(parsePublicKey(derSequence(rsa, derBitString(key)))).toMatchObject({ type: "rsa", modulusBits: 512 });
    });

    test.each([
      [
        "something behind the key",
        derSequence(rsa, derBitString(key), derNull()),
        /^public key: 2 bytes too many at /u,
      ],
      [
        "something behind the numbers",
        derSequence(rsa, derBitString(concat(key, derNull()))),
        /^RSA public key: 2 bytes too many at /u,
      ],
      [
        "a third number",
        derSequence(rsa, derBitString(derSequence(...numbers, derUnsigned(Uint8Array.of(1))))),
        /^RSA public key: 3 bytes too many at /u,
      ],
      [
        "a key that is not whole bytes",
        derSequence(rsa, derBitString(concat(key, Uint8Array.of(0)), 1)),
        /^public key: a BIT STRING that is not whole bytes$/u,
      ],
    ])("%s is refused", (_, spki, refusal) => {
      expect(() => parsePublicKey(spki)).toThrow(refusal);
    });
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
      { numRuns: shareOf(1000) },
    );
  });
});

describe("an RSA key from its numbers", () => {
  const NO_KEY = "not a modulus and exponent";
  const modulus = rsaPair(1024).publicKey.modulus;

  test("leading zeros do not count", () => {
    const key = rsaPublicKey(concat(new Uint8Array(3), modulus), fromHex("00010001"));
    expect(key).toEqual({ type: "rsa", modulus, publicExponent: fromHex("010001"), modulusBits: 1024 });
  });

  test.each([
    ["an even modulus", concat(modulus.subarray(0, -1), Uint8Array.of(2)), "010001", NO_KEY],
    ["an even exponent", modulus, "010000", NO_KEY],
    ["an exponent of 1", modulus, "01", NO_KEY],
    ["no exponent", modulus, "", NO_KEY],
    ["no modulus", new Uint8Array(), "03", NO_KEY],
    ["a modulus of zeros", new Uint8Array(128), "03", NO_KEY],
    ["a short modulus", new Uint8Array(63).fill(0xff), "03", "504 bits, not 512 to 16384"],
    ["a long modulus", new Uint8Array(2049).fill(0xff), "03", "16392 bits, not 512 to 16384"],
    ["an exponent longer than the modulus", modulus, "01".repeat(129), NO_KEY],
  ])("refuses %s", (_, n, e, refusal) => {
    expect(() => rsaPublicKey(n, fromHex(e))).toThrow(new DataError(`RSA public key: ${refusal}`));
  });
});
