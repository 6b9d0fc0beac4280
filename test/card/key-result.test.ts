import { constants, createPublicKey, generateKeyPairSync, privateDecrypt, sign } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import {
  checkedResult,
  ecdsaResult,
  isKeyResult,
  isUnsupportedUse,
  sharedSecret,
  unpaddedMessage,
  wholeRsaResult,
} from "../../src/card/index.ts";
import { digest, digestInfo, ecdsaFromDer, encodePkcs1Signature, parsePublicKey } from "../../src/crypto/index.ts";
import { testKey } from "../virtual/keys.ts";

const RSA = testKey("rsa-2048", "9a");
const spkiOf = (key: typeof RSA): Uint8Array =>
  Uint8Array.from(createPublicKey(key).export({ format: "der", type: "spki" }));
const SPKI = spkiOf(RSA);

function rsaRaw(block: Uint8Array): Uint8Array {
  return Uint8Array.from(privateDecrypt({ key: RSA, padding: constants.RSA_NO_PADDING }, block));
}

const INFO = digestInfo("sha256", digest("sha256", utf8("message")));
const BLOCK = encodePkcs1Signature(INFO, 256);
const SIGNATURE = rsaRaw(BLOCK);
const flipped = (bytes: Uint8Array, at = 100): Uint8Array =>
  bytes.map((octet, index) => octet ^ (index === at ? 1 : 0));

describe("an RSA result", () => {
  test.each(["rsa-raw", "rsa-pkcs1"] as const)("of %s is told from any other by the public key", async (primitive) => {
    const input = primitive === "rsa-raw" ? BLOCK : INFO;
    const result = SIGNATURE.slice();
    expect(await isKeyResult(SPKI, primitive, input, result)).toBe(true);
    expect(await isKeyResult(parsePublicKey(SPKI), primitive, input, result)).toBe(true);
    expect(await checkedResult(SPKI, primitive, input, result)).toBe(result);
    for (const wrong of [flipped(SIGNATURE), new Uint8Array(256), new Uint8Array(256).fill(0xff), SIGNATURE.slice(1)]) {
      expect(await isKeyResult(SPKI, primitive, input, wrong)).toBe(false);
    }
  });

  test("that does not verify is wiped, and not given", async () => {
    const wrong = flipped(SIGNATURE);
    await expect(checkedResult(SPKI, "rsa-raw", BLOCK, wrong)).rejects.toThrow(
      "does not verify with the public key on the card",
    );
    expect(wrong).toEqual(new Uint8Array(256));
  });

  test("cannot be checked without the public key, with one that no host computes with, or where the card took padding off", async () => {
    const wrong = flipped(SIGNATURE);
    expect(await checkedResult(undefined, "rsa-raw", BLOCK, wrong)).toBe(wrong);
    expect(await checkedResult(fromHex("3000"), "rsa-raw", BLOCK, wrong)).toBe(wrong);
    expect(await isKeyResult(fromHex("3000"), "rsa-raw", BLOCK, wrong)).toBeUndefined();
    expect(await isKeyResult(SPKI, "rsa-pkcs1", SIGNATURE, utf8("plaintext"))).toBeUndefined();
    expect(await isKeyResult(SPKI, "ecdh", BLOCK, SIGNATURE)).toBeUndefined();
  });

  test("may lack one leading zero, and more only where it is known to be the key's", () => {
    const short = new Uint8Array(255).fill(7);
    expect(wholeRsaResult(short.slice(), 256)).toEqual(concat(Uint8Array.of(0), short));
    expect(wholeRsaResult(SIGNATURE, 256)).toBe(SIGNATURE);
    for (const length of [0, 1, 64, 254, 257, 512]) {
      expect(() => wholeRsaResult(new Uint8Array(length).fill(7), 256)).toThrow(`an RSA result of ${length} bytes`);
    }
    const right = (result: Uint8Array): boolean => result[253] === 7;
    expect(wholeRsaResult(new Uint8Array(3).fill(7), 256, right)).toHaveLength(256);
    expect(() => wholeRsaResult(new Uint8Array(), 256, () => true)).toThrow("an RSA result of 0 bytes");
    expect(() => wholeRsaResult(new Uint8Array(257), 256, () => true)).toThrow("an RSA result of 257 bytes");
  });

  test("without its padding has 11 bytes less than the modulus at most", () => {
    expect(unpaddedMessage(new Uint8Array(245), 256)).toHaveLength(245);
    expect(unpaddedMessage(new Uint8Array(), 256)).toHaveLength(0);
    expect(() => unpaddedMessage(new Uint8Array(246), 256)).toThrow("a message of 246 bytes");
  });
});

describe("an ECDSA signature", () => {
  const R = "11".repeat(32);
  const S = "22".repeat(32);
  const integer = (hex: string): string => `02${toHex(Uint8Array.of(hex.length / 2))}${hex}`;
  const sequence = (...integers: string[]): string =>
    `30${toHex(Uint8Array.of(integers.join("").length / 2))}${integers.join("")}`;

  test.each([
    ["r || s", `${R}${S}`, R, S],
    ["DER", sequence(integer(R), integer(S)), R, S],
    ["with needless zeros", sequence(integer(`00${R}`), integer(`0000${S}`)), R, S],
    [
      "without a sign byte",
      sequence(integer("91".repeat(32)), integer("ff".repeat(32))),
      "91".repeat(32),
      "ff".repeat(32),
    ],
    ["with small numbers", sequence(integer("01"), integer("80")), `${"00".repeat(31)}01`, `${"00".repeat(31)}80`],
  ])("%s is r || s", (_, answer, r, s) => {
    expect(toHex(ecdsaResult(fromHex(answer), 32))).toBe(r + s);
  });

  test.each([
    ["nothing", "", "does not parse"],
    ["cut off", sequence(integer(R), integer(S)).slice(0, -2), "does not parse"],
    ["one number", sequence(integer(R)), "does not parse"],
    ["three numbers", sequence(integer(R), integer(S), integer(S)), "does not parse"],
    ["something behind it", `${sequence(integer(R), integer(S))}0401ff`, "does not parse"],
    ["a number that is too long", sequence(integer(`01${R}`), integer(S)), "a number of 33 bytes"],
    ["r without digits", sequence(integer(""), integer(S)), "zero"],
    ["s = 0", sequence(integer(R), integer("00")), "zero"],
    ["zeros", "00".repeat(64), "zero"],
    ["a byte short", `${R}${S}`.slice(2), "does not parse"],
  ])("%s is refused", (_, answer, reason) => {
    expect(() => ecdsaResult(fromHex(answer), 32)).toThrow(reason);
  });

  test.each(["p-256", "p-384"] as const)("of OpenSSL with a key on %s reads as the strict decoder has it", (name) => {
    const curve = name === "p-256" ? "P-256" : "P-384";
    for (let round = 0; round < 20; round++) {
      const der = Uint8Array.from(sign("sha256", utf8(`message ${round}`), testKey(name)));
      expect(ecdsaResult(der, name === "p-256" ? 32 : 48)).toEqual(ecdsaFromDer(der, curve));
      expect(ecdsaResult(der, undefined)).toEqual(ecdsaFromDer(der, curve));
      expect(ecdsaResult(ecdsaFromDer(der, curve), undefined)).toEqual(ecdsaFromDer(der, curve));
    }
  });

  test("of an unknown curve is refused if it belongs to none", () => {
    expect(() => ecdsaResult(new Uint8Array(70).fill(1), undefined)).toThrow("does not parse");
    expect(() => ecdsaResult(fromHex(sequence(integer("01".repeat(67)), integer(S))), undefined)).toThrow(
      "a number of 67 bytes",
    );
    expect(() => ecdsaResult(new Uint8Array(64), undefined)).toThrow("zero");
  });

  test("of P-521 has 132 bytes", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-521" });
    const der = Uint8Array.from(sign("sha512", utf8("message"), privateKey));
    expect(ecdsaResult(der, 66)).toEqual(ecdsaFromDer(der, "P-521"));
    expect(ecdsaResult(der, undefined)).toEqual(ecdsaFromDer(der, "P-521"));
  });
});

describe("a shared secret", () => {
  const X = "a1".repeat(32);

  test.each([
    ["x", X, X],
    ["a point", `04${X}${"b2".repeat(32)}`, X],
    ["x behind 04", `04${X}`, X],
    ["x without a leading zero", X.slice(2), `00${X.slice(2)}`],
    ["x without two leading zeros", X.slice(4), `0000${X.slice(4)}`],
    ["x that begins as a point does", `04${X.slice(2)}`, `04${X.slice(2)}`],
  ])("is %s", (_, answer, secret) => {
    expect(toHex(sharedSecret(fromHex(answer), 32))).toBe(secret);
  });

  test.each([0, 1, 29, 33, 34, 63, 64, 65, 66, 128])("of %p bytes that are none of these is refused", (length) => {
    const answer = new Uint8Array(length).fill(0x05);
    expect(() => sharedSecret(answer, 32)).toThrow(`a shared point of ${length} bytes for a key of 32`);
  });
});

test("three status words say that the card does not do this with a key", () => {
  const every = Array.from({ length: 0x10000 }, (_, sw) => sw);
  expect(every.filter(isUnsupportedUse)).toEqual([0x6a81, 0x6a86, 0x6d00]);
});
