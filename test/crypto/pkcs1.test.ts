import { constants, privateDecrypt, publicEncrypt, sign } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, toHex, utf8 } from "../../src/bytes/index.ts";
import {
  decodePkcs1Encryption,
  digest,
  digestInfo,
  encodePkcs1Encryption,
  encodePkcs1Signature,
  encodePublicKey,
  rsaPublic,
  verifyPkcs1,
  verifyRsaRaw,
} from "../../src/crypto/index.ts";
import { rsaPair } from "./keys.ts";
import { shareOf } from "../seeded-random.ts";

const { privateKey, publicKey, raw } = rsaPair(1024);
const LENGTH = 128;
const MESSAGE = utf8("message");
const HASHES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256"] as const;

describe("PKCS#1 v1.5 signatures", () => {
  test.each(HASHES)("%s: the block, raised to the private exponent, is Node's signature", (hash) => {
    const info = digestInfo(hash, digest(hash, MESSAGE));
    const signature = raw(encodePkcs1Signature(info, LENGTH));
    expect(toHex(signature)).toBe(sign(hash, MESSAGE, privateKey).toString("hex"));
    expect(verifyPkcs1(publicKey, info, signature)).toBe(true);
  });

  test("any data up to 11 bytes less than the modulus, and no more", () => {
    expect(encodePkcs1Signature(new Uint8Array(LENGTH - 11), LENGTH)).toHaveLength(LENGTH);
    expect(() => encodePkcs1Signature(new Uint8Array(LENGTH - 10), LENGTH)).toThrow(
      "118 bytes; the limit for this key is 117",
    );
  });

  test("other data, a changed or a shorter signature, and numbers beyond the modulus do not verify", () => {
    const info = digestInfo("sha256", digest("sha256", MESSAGE));
    const signature = raw(encodePkcs1Signature(info, LENGTH));
    expect(verifyPkcs1(publicKey, info.subarray(1), signature)).toBe(false);
    expect(
      verifyPkcs1(
        publicKey,
        info,
        signature.map((byte, index) => (index === 60 ? byte ^ 1 : byte)),
      ),
    ).toBe(false);
    expect(verifyPkcs1(publicKey, info, signature.subarray(1))).toBe(false);
    expect(verifyPkcs1(publicKey, info, concat(Uint8Array.of(0), signature))).toBe(false);
    expect(verifyPkcs1(publicKey, info, new Uint8Array(LENGTH).fill(0xff))).toBe(false);
    expect(verifyPkcs1(publicKey, info, publicKey.modulus)).toBe(false);
    expect(verifyPkcs1(publicKey, info, new Uint8Array())).toBe(false);
  });

  test("a block with less padding and something behind the hash does not verify (Bleichenbacher 2006)", () => {
    const info = digestInfo("sha1", digest("sha1", MESSAGE));
    const short = concat(Uint8Array.of(0, 1, ...new Array<number>(8).fill(0xff), 0), info);
    expect(verifyPkcs1(publicKey, info, raw(concat(short, new Uint8Array(LENGTH - short.length))))).toBe(false);
  });
});

describe("bare RSA", () => {
  test("the public key takes the private key's operation back", () => {
    const block = concat(Uint8Array.of(0), digest("sha512", MESSAGE), new Uint8Array(LENGTH - 65).fill(7));
    expect(rsaPublic(publicKey, raw(block))).toEqual(block);
    expect(raw(rsaPublic(publicKey, block))).toEqual(block);
  });

  test("a signature of data that is shorter than the modulus", () => {
    const signature = raw(concat(new Uint8Array(LENGTH - MESSAGE.length), MESSAGE));
    expect(verifyRsaRaw(publicKey, MESSAGE, signature)).toBe(true);
    expect(verifyRsaRaw(publicKey, utf8("massage"), signature)).toBe(false);
    expect(() => verifyRsaRaw(publicKey, new Uint8Array(LENGTH + 1), signature)).toThrow(
      "RSA: 129 bytes; the limit for this key is 128",
    );
  });

  test("refuses a block of another length, and one beyond the modulus", () => {
    expect(() => rsaPublic(publicKey, new Uint8Array(LENGTH - 1))).toThrow("127 bytes instead of 128");
    expect(() => rsaPublic(publicKey, new Uint8Array(LENGTH).fill(0xff))).toThrow(
      "RSA: the block is not less than the modulus",
    );
  });
});

describe("PKCS#1 v1.5 decryption", () => {
  const spki = { key: Buffer.from(encodePublicKey(publicKey)), format: "der", type: "spki" } as const;

  test("reads what Node encrypted, every length", () => {
    for (let length = 0; length <= LENGTH - 11; length++) {
      const message = new Uint8Array(length).fill(length);
      const ciphertext = publicEncrypt({ ...spki, padding: constants.RSA_PKCS1_PADDING }, message);
      expect(decodePkcs1Encryption(raw(ciphertext))).toEqual(message);
    }
  });

  test("Node reads what was encoded here", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: LENGTH - 11 }), (message) => {
        const ciphertext = rsaPublic(publicKey, encodePkcs1Encryption(message, LENGTH));
        const padding = constants.RSA_NO_PADDING;
        const block = Uint8Array.from(privateDecrypt({ key: privateKey, padding }, ciphertext));
        expect([block[0], block[1], block.indexOf(0, 2)]).toEqual([0, 2, LENGTH - message.length - 1]);
        expect(decodePkcs1Encryption(block)).toEqual(message);
      }),
      { numRuns: shareOf(50) },
    );
    expect(() => encodePkcs1Encryption(new Uint8Array(LENGTH - 10), LENGTH)).toThrow(
      "PKCS#1 v1.5: 118 bytes; the limit for this key is 117",
    );
  });
});

describe("implicit rejection", () => {
  const padded = (...head: number[]): Uint8Array =>
    concat(Uint8Array.from(head), new Uint8Array(LENGTH - head.length).fill(9));

  test.each([
    ["block type 1", padded(0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0)],
    ["a first byte that is not 0", padded(1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0)],
    ["seven bytes of padding", padded(0, 2, 1, 1, 1, 1, 1, 1, 1, 0)],
    ["no zero byte", padded(0, 2)],
    ["a zero byte at once", padded(0, 2, 0)],
    ["nothing but zeros", new Uint8Array(LENGTH)],
  ])("%s gives a message all the same, always that one", (_, block) => {
    const message = decodePkcs1Encryption(block);
    expect(message.length).toBeLessThanOrEqual(LENGTH - 11);
    expect(decodePkcs1Encryption(block.slice())).toEqual(message);
    expect(message.length === 0 || toHex(block).endsWith(toHex(message))).toBe(message.length === 0);
  });

  test("eight bytes of padding are enough", () => {
    const block = padded(0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0);
    expect(decodePkcs1Encryption(block)).toEqual(new Uint8Array(LENGTH - 11).fill(9));
  });

  test("lengths are spread over all that a message may have, and one changed bit changes everything", () => {
    const lengths = new Set<number>();
    const messages = new Set<string>();
    for (let index = 0; index < 2000; index++) {
      const message = decodePkcs1Encryption(concat(Uint8Array.of(index >> 8, index & 0xff), padded(1).subarray(2)));
      lengths.add(message.length);
      if (message.length > 8) messages.add(toHex(message.subarray(0, 8)));
    }
    expect(Math.max(...lengths)).toBe(LENGTH - 11);
    expect(lengths.size).toBe(LENGTH - 10);
    expect(messages.size).toBeGreaterThan(1700);
  });

  test("the caller's block is left as it was", () => {
    const block = padded(0, 1);
    decodePkcs1Encryption(block);
    expect(block).toEqual(padded(0, 1));
  });

  test("a block that no key has is an error of the caller", () => {
    expect(() => decodePkcs1Encryption(new Uint8Array(10))).toThrow("PKCS#1 v1.5: a block of 10 bytes");
  });
});
