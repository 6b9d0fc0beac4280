import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { utf8, toHex } from "../../src/bytes/index.ts";
import { digest, digestInfo, Hasher, hashLength, type HashName } from "../../src/crypto/index.ts";
import { shareOf } from "../seeded-random.ts";

const HASHES: readonly HashName[] = [
  "md5",
  "sha1",
  "sha224",
  "sha256",
  "sha384",
  "sha512",
  "sha3-224",
  "sha3-256",
  "sha3-384",
  "sha3-512",
];

describe("hashes", () => {
  // RFC 1321 appendix A.5; FIPS 180-4 and FIPS 202 example values for "abc" (NIST, Cryptographic Standards and Guidelines).
  test.each([
    ["md5", "900150983cd24fb0d6963f7d28e17f72"],
    ["sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"],
    ["sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    ["sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"],
  ] as const)('%s("abc")', (hash, hex) => {
    expect(toHex(digest(hash, utf8("abc")))).toBe(hex);
  });

  test.each(HASHES)("%s: parts hash as the whole does, and the length is right", (hash) => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (parts) => {
        const hasher = new Hasher(hash);
        for (const part of parts) hasher.update(part);
        const result = hasher.digest();
        expect(toHex(result)).toBe(createHash(hash).update(Buffer.concat(parts)).digest("hex"));
        expect(digest(hash, ...parts)).toEqual(result);
        expect(result).toHaveLength(hashLength(hash));
      }),
      { numRuns: shareOf(20) },
    );
  });
});

describe("DigestInfo", () => {
  // RFC 8017 section 9.2 note 1; the SHA-3 ones are SHA-2's with the last arc of RFC 9688's identifiers.
  test.each([
    ["md5", "3020300c06082a864886f70d020505000410"],
    ["sha1", "3021300906052b0e03021a05000414"],
    ["sha224", "302d300d06096086480165030402040500041c"],
    ["sha256", "3031300d060960864801650304020105000420"],
    ["sha384", "3041300d060960864801650304020205000430"],
    ["sha512", "3051300d060960864801650304020305000440"],
    ["sha3-224", "302d300d06096086480165030402070500041c"],
    ["sha3-256", "3031300d060960864801650304020805000420"],
    ["sha3-384", "3041300d060960864801650304020905000430"],
    ["sha3-512", "3051300d060960864801650304020a05000440"],
  ] as const)("%s", (hash, prefix) => {
    const hashed = digest(hash, utf8("message"));
    expect(toHex(digestInfo(hash, hashed))).toBe(prefix + toHex(hashed));
  });

  test("refuses a digest of another length", () => {
    expect(() => digestInfo("sha256", new Uint8Array(20))).toThrow("sha256 digest: 20 bytes instead of 32");
    expect(() => digestInfo("sha1", new Uint8Array())).toThrow("sha1 digest: 0 bytes instead of 20");
  });
});
