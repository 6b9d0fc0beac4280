import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createPublicKey, verify } from "node:crypto";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import {
  digest,
  ecdsaToDer,
  encodePublicKey,
  generateCurve25519Key,
  generateEcKey,
  generateRsaKey,
  HostPrivateKey,
  type PublicKey,
  rsaPublic,
  truncateDigest,
  verifyEcdsa,
  verifyEddsa,
} from "../../src/crypto/index.ts";
import { shareOf } from "../seeded-random.ts";

const hex = (text: string): Uint8Array => fromHex(text);
const nodeKey = (key: PublicKey) =>
  createPublicKey({ key: Buffer.from(encodePublicKey(key)), format: "der", type: "spki" });

function pointOf(key: PublicKey): Uint8Array {
  if (key.type === "rsa") throw new Error("no point");
  return key.point;
}

describe("RSA", () => {
  test("the bare operation undoes the public one, with all numbers of the key and without its primes", async () => {
    const key = await generateRsaKey(1024, 65_537);
    const { publicKey } = key;
    if (publicKey.type !== "rsa") throw new Error("not RSA");
    const numbers = key.rsaNumbers();
    const { modulus, publicExponent, privateExponent } = numbers;
    const block = new Uint8Array(128).fill(0x5a, 1);
    const ciphertext = rsaPublic(publicKey, block);
    for (const given of [numbers, { modulus, publicExponent, privateExponent }]) {
      expect(await HostPrivateKey.fromRsaNumbers(given).compute("rsa-raw", ciphertext)).toEqual(block);
    }
    expect(await HostPrivateKey.fromPkcs8(key.toPkcs8()).compute("rsa-raw", ciphertext)).toEqual(block);
  });

  test("numbers of different keys are refused", async () => {
    const [one, other] = await Promise.all([generateRsaKey(1024, 3), generateRsaKey(1024, 3)]);
    const [a, b] = [one.rsaNumbers(), other.rsaNumbers()];
    const { modulus, publicExponent, privateExponent } = a;
    expect(() => HostPrivateKey.fromRsaNumbers({ ...a, prime1: b.prime1 })).toThrow(
      "RSA private key: the numbers do not belong together",
    );
    expect(() =>
      HostPrivateKey.fromRsaNumbers({ modulus, publicExponent, privateExponent: b.privateExponent }),
    ).toThrow("RSA private key: not the exponent of this modulus");
    expect(() => HostPrivateKey.fromRsaNumbers({ modulus: b.modulus, publicExponent, privateExponent })).toThrow(
      "RSA private key: not the exponent of this modulus",
    );
  });
});

describe("EC", () => {
  test.each(["P-256", "P-384", "P-521"] as const)("signatures on %s over any digest verify", async (curve) => {
    const key = await generateEcKey(curve);
    const { publicKey } = key;
    if (publicKey.type !== "ec") throw new Error("not EC");
    const signature = await key.compute("ecdsa", digest("sha256", hex("616263")));
    expect(verify("sha256", Buffer.from("abc"), nodeKey(publicKey), ecdsaToDer(signature))).toBe(true);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 80 }), async (hashed) => {
        expect(await verifyEcdsa(publicKey, hashed, await key.compute("ecdsa", truncateDigest(hashed, curve)))).toBe(
          true,
        );
      }),
      { numRuns: shareOf(20) },
    );
    await expect(key.compute("ecdsa", new Uint8Array(67))).rejects.toThrow(
      /^ECDSA: a digest of 67 bytes; the limit is (32|48|66)$/u,
    );
    expect(HostPrivateKey.fromEcSecret(curve, key.secret()).toPkcs8()).toEqual(key.toPkcs8());
  });

  test("both sides agree on a secret (RFC 5903 section 8.1)", async () => {
    const initiator = HostPrivateKey.fromEcSecret(
      "P-256",
      hex("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433"),
    );
    const responder = HostPrivateKey.fromEcSecret(
      "P-256",
      hex("c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53"),
    );
    const secret = "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de";
    expect(toHex(await initiator.compute("ecdh", pointOf(responder.publicKey)))).toBe(secret);
    expect(toHex(await responder.compute("ecdh", pointOf(initiator.publicKey)))).toBe(secret);
  });

  test("a secret of 0, or not below the order, is none", () => {
    const OUT_OF_RANGE = "EC private key: not from 1 to the order of the curve";
    expect(() => HostPrivateKey.fromEcSecret("P-256", new Uint8Array(32))).toThrow(OUT_OF_RANGE);
    expect(() => HostPrivateKey.fromEcSecret("P-256", new Uint8Array(32).fill(0xff))).toThrow(OUT_OF_RANGE);
    expect(() => HostPrivateKey.fromEcSecret("P-256", new Uint8Array(33))).toThrow(
      "EC private key: 33 bytes, 32 at most",
    );
  });

  test("a point that is not on the curve meets no key", async () => {
    const key = await generateEcKey("P-256");
    const point = Uint8Array.from(pointOf(key.publicKey));
    point[64] = (point[64] ?? 0) ^ 1;
    await expect(key.compute("ecdh", point)).rejects.toThrow("public key: refused, not a valid key");
  });
});

describe("Curve25519", () => {
  test("Ed25519 (RFC 8032 section 7.1, test 2)", async () => {
    const key = HostPrivateKey.fromSeed(
      "Ed25519",
      hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
    );
    const { publicKey } = key;
    if (publicKey.type !== "edwards") throw new Error("not Ed25519");
    expect(toHex(publicKey.point)).toBe("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    const signature = await key.compute("eddsa", hex("72"));
    expect(toHex(signature)).toBe(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    expect(await verifyEddsa(publicKey, hex("72"), signature)).toBe(true);
    expect(await verifyEddsa(publicKey, hex("73"), signature)).toBe(false);
  });

  test("X25519 (RFC 7748 section 6.1)", async () => {
    const alice = HostPrivateKey.fromSeed(
      "X25519",
      hex("77076d0a7318a57d3c16c17251b26645f4c2f2a8f0c16f4c6f2f2d6b1c2e7a2a"),
    );
    const bob = HostPrivateKey.fromSeed(
      "X25519",
      hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
    );
    expect(toHex(pointOf(bob.publicKey))).toBe("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    expect(await alice.compute("ecdh", pointOf(bob.publicKey))).toEqual(
      await bob.compute("ecdh", pointOf(alice.publicKey)),
    );
  });

  test("keys that are made come back from their seeds", async () => {
    for (const curve of ["Ed25519", "X25519"] as const) {
      const key = await generateCurve25519Key(curve);
      expect(HostPrivateKey.fromSeed(curve, key.secret()).publicKey).toEqual(key.publicKey);
    }
  });
});

test("a key does only what it is for, and nothing once it is wiped", async () => {
  const key = await generateEcKey("P-256");
  await expect(key.compute("rsa-raw", new Uint8Array(32))).rejects.toThrow(
    "a key of this type does not support rsa-raw",
  );
  key.wipe();
  await expect(key.compute("ecdsa", new Uint8Array(32))).rejects.toThrow("the key was destroyed");
});

test("what is no PKCS #8 is refused with a DataError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(() => HostPrivateKey.fromPkcs8(bytes)).toThrow("private key: not PKCS #8, or of an unsupported type");
    }),
  );
});
