import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { type KeyPrimitive, UnsupportedError } from "../../src/card/index.ts";
import type { CardFacts } from "../../src/pkcs15/recognition/makes.ts";
import { dialectOf } from "../../src/pkcs15/dialects/table.ts";
import type { KeyFacts, KeyOperation, KeyRequest, KeyUse } from "../../src/pkcs15/keys/key-use.ts";
import { readTokenInfo } from "../../src/pkcs15/syntax/token-info.ts";
import { algorithmInfo, tokenInfo } from "./directory-files.ts";

const card = (facts: Partial<CardFacts>): CardFacts => ({
  atr: fromHex("3b00"),
  historical: "",
  aid: undefined,
  selectAnswer: new Uint8Array(),
  ...facts,
});
const CARDS = {
  generic: card({}),
  isoApplet: card({ aid: fromHex("f276a288bcfba69d34f31001") }),
  isoApplet0: card({ aid: fromHex("f276a288bcfba69d34f31001"), selectAnswer: fromHex("000606") }),
  myEid: card({ historical: "x MyEID" }),
  finEid: card({ historical: "..FISE1.." }),
  swedish: card({ atr: fromHex("3b9f94801fc30068104405014649534531c807900018") }),
  cardos5: card({ atr: fromHex("3bd218008131fe58c90316") }),
  cardos4: card({ atr: fromHex("3bf21800ffc10a31fe55c8068a") }),
  starcos34: card({ atr: fromHex("3bd097ff81b1fe451f072b") }),
  starcos35: card({ atr: fromHex("3bdb96ff8131fe4580670534b50201c0a181053c") }),
} as const;

const RSA: KeyFacts = {
  type: "rsa",
  bytes: 256,
  reference: 0x05,
  file: fromHex("4b01"),
  authenticates: false,
  algorithms: [],
};
const EC: KeyFacts = {
  type: "ec",
  bytes: 32,
  reference: 0x02,
  file: fromHex("5015"),
  authenticates: false,
  algorithms: [],
};
const DIGEST = new Uint8Array(20).fill(0x11);
const BLOCK = new Uint8Array(256).fill(0x22);

function use(
  name: keyof typeof CARDS,
  key: KeyFacts,
  operation: KeyOperation,
  primitive: KeyPrimitive,
  input: Uint8Array,
): KeyUse {
  const request: KeyRequest = { operation, primitive, input, key };
  return dialectOf(CARDS[name]).use(request);
}

/** Header and data of each command; of long data the beginning. */
const hex = ({ environment, commands }: KeyUse): string[] =>
  [...(environment ? [environment] : []), ...commands].map(
    ({ cla, ins, p1, p2, data = new Uint8Array() }) =>
      `${toHex(Uint8Array.of(cla, ins, p1, p2))} ${toHex(data).slice(0, 40)}`,
  );

describe("what each make of card is sent", () => {
  const pso = `002a9e9a ${"11".repeat(20)}`;
  test.each<[keyof typeof CARDS, string, KeyFacts, KeyOperation, KeyPrimitive, Uint8Array, string[]]>([
    ["generic", "a signature", RSA, "sign", "rsa-pkcs1", DIGEST, ["002241b6 81024b01840105", pso]],
    ["isoApplet", "a signature", RSA, "sign", "rsa-pkcs1", DIGEST, ["002241b6 80011181024b01840105", pso]],
    ["isoApplet", "an EC signature", EC, "sign", "ecdsa", DIGEST, ["002241b6 80012181025015840102", pso]],
    ["myEid", "a signature", RSA, "sign", "rsa-pkcs1", DIGEST, ["002241b6 80010281024b01840100", pso]],
    ["finEid", "a signature", RSA, "sign", "rsa-pkcs1", DIGEST, ["002241b6 80010281024b01840105", pso]],
    ["swedish", "a signature", RSA, "sign", "rsa-pkcs1", DIGEST, ["002241b6 80010281024b01", pso]],
    ["cardos5", "a signature", RSA, "sign", "rsa-pkcs1", DIGEST, ["002241b6 840105950140800110", pso]],
    ["starcos35", "a signature", RSA, "sign", "rsa-pkcs1", DIGEST, ["002241b6 84018589021323", pso]],
    [
      "myEid",
      "a raw block",
      RSA,
      "sign",
      "rsa-raw",
      BLOCK,
      ["002241b8 80010081024b01840100", "002a8086 8122", "002a8086 8222"],
    ],
    [
      "myEid",
      "an agreement",
      EC,
      "derive",
      "ecdh",
      new Uint8Array(65),
      ["002241a4 80010481025015840100", "00860000 7c438541"],
    ],
    [
      "finEid",
      "a decipherment",
      RSA,
      "decipher",
      "rsa-pkcs1",
      BLOCK,
      ["002241b8 80010281024b01840105", "002a8086 0022"],
    ],
    ["cardos4", "a raw block", RSA, "sign", "rsa-raw", BLOCK, ["002241b6 830105", "002a9e9a 2222"]],
    ["starcos34", "a decipherment", RSA, "decipher", "rsa-pkcs1", BLOCK, ["002241b8 84018589021130", "002a8086 8122"]],
    ["starcos35", "a decipherment", RSA, "decipher", "rsa-pkcs1", BLOCK, ["002241b8 84018589021131", "002a8086 8122"]],
    ["generic", "an agreement", EC, "derive", "ecdh", new Uint8Array(65), ["002241b8 81025015840102", "002a8086 0000"]],
  ])("%s: %s", (name, _, key, operation, primitive, input, expected) => {
    const sent = hex(use(name, key, operation, primitive, input));
    expect(sent).toHaveLength(expected.length);
    for (const [at, command] of expected.entries()) expect(sent[at]?.slice(0, command.length)).toBe(command);
  });

  test.each<[keyof typeof CARDS, KeyFacts, KeyOperation, KeyPrimitive]>([
    ["isoApplet", RSA, "sign", "rsa-raw"],
    ["isoApplet", EC, "derive", "ecdh"],
    ["finEid", EC, "sign", "ecdsa"],
    ["cardos4", RSA, "sign", "rsa-pkcs1"],
    ["starcos34", RSA, "sign", "rsa-raw"],
  ])("%s does not do everything", (name, key, operation, primitive) => {
    expect(() => use(name, key, operation, primitive, DIGEST)).toThrow(UnsupportedError);
  });

  test("CardOS keys carry their mechanism in the upper half of their number", () => {
    const [environment = ""] = hex(use("cardos5", { ...RSA, reference: 0x27 }, "sign", "rsa-pkcs1", DIGEST));
    expect(environment).toBe("002241b6 840107950140800120");
  });
});

test("a key that authenticates, and signs nothing, is used by INTERNAL AUTHENTICATE", () => {
  const sent = hex(use("generic", { ...RSA, authenticates: true }, "sign", "rsa-pkcs1", DIGEST));
  expect(sent).toEqual(["002241a4 81024b01840105", `00880000 ${"11".repeat(20)}`]);
});

test("an applet that hashes its input itself signs no hash that was made elsewhere", () => {
  const old = dialectOf(CARDS.isoApplet0);
  expect(old.primitives("ec", [])).toEqual(["ecdsa-sha1"]);
  expect(() => use("isoApplet0", EC, "sign", "ecdsa", DIGEST)).toThrow(UnsupportedError);
  const message = new Uint8Array(100).fill(0x33);
  expect(hex(use("isoApplet0", EC, "sign", "ecdsa-sha1", message))[1]).toBe(`002a9e9a ${"33".repeat(20)}`);
});

describe("TokenInfo", () => {
  const info = (...algorithms: string[]): KeyFacts["algorithms"] =>
    readTokenInfo(fromHex(tokenInfo("T", algorithms))).algorithms;

  test("says which primitives a card has, and their numbers", () => {
    const algorithms = info(
      algorithmInfo(1, 0x0003, "0640", 0x0a),
      algorithmInfo(2, 0x1041, "0640", 0x0b),
      algorithmInfo(3, 0x1050, "070080", 0x0c),
    );
    const dialect = dialectOf(CARDS.generic);
    expect(dialect.primitives("rsa", algorithms)).toEqual(["rsa-raw"]);
    expect(dialect.primitives("ec", algorithms)).toEqual(["ecdsa", "ecdh"]);
    const [environment = ""] = hex(use("generic", { ...EC, algorithms }, "derive", "ecdh", new Uint8Array(65)));
    expect(environment).toBe("002241b8 80010c81025015840102");
  });

  test("that says nothing leaves what the standard describes", () => {
    expect(dialectOf(CARDS.generic).primitives("rsa", [])).toEqual(["rsa-pkcs1"]);
  });
});

describe("answers", () => {
  const read = (key: KeyFacts, operation: KeyOperation, primitive: KeyPrimitive, answer: string): string =>
    toHex(use("generic", key, operation, primitive, new Uint8Array(20)).read(fromHex(answer)));
  const x = "aa".repeat(32);

  test("an RSA result is as long as the modulus", () => {
    expect(read(RSA, "sign", "rsa-pkcs1", "01".repeat(255))).toBe("00" + "01".repeat(255));
    for (const wrong of [0, 2, 64, 254, 257]) {
      expect(() => read(RSA, "sign", "rsa-pkcs1", "01".repeat(wrong))).toThrow(`an RSA result of ${wrong} bytes`);
    }
  });

  test("a deciphered message leaves room for the padding", () => {
    expect(read(RSA, "decipher", "rsa-pkcs1", "01".repeat(245))).toBe("01".repeat(245));
    expect(() => read(RSA, "decipher", "rsa-pkcs1", "01".repeat(246))).toThrow("a message of 246 bytes");
  });

  test("an ECDSA signature is two numbers, or a SEQUENCE of them", () => {
    expect(read(EC, "sign", "ecdsa", x + x)).toBe(x + x);
    expect(read(EC, "sign", "ecdsa", "3007020101020200ff")).toBe("00".repeat(31) + "01" + "00".repeat(31) + "ff");
    // OsEID has zeros before the numbers that DER does not have.
    expect(read(EC, "sign", "ecdsa", "300a0204000000010202007f")).toBe("00".repeat(31) + "01" + "00".repeat(31) + "7f");
    for (const wrong of ["3005020101", "3006020101030101", "3009020101020101020101", "3004020102"]) {
      expect(() => read(EC, "sign", "ecdsa", wrong)).toThrow(/does not parse/u);
    }
  });

  test.each([
    ["bare", x],
    ["a point", `04${x}${x}`],
    ["in a template", `7c228520${x}`],
    ["behind 04 alone", `04${x}`],
  ])("a shared x is %s", (_, answer) => {
    expect(read(EC, "derive", "ecdh", answer)).toBe(x);
  });

  test("a shared point of a strange length is the card's mistake", () => {
    for (const wrong of ["", "0102", "aa".repeat(29), `05${x}`, `${x}${x}`, `04${x}${x}00`]) {
      expect(() => read(EC, "derive", "ecdh", wrong)).toThrow(`a shared point of ${wrong.length / 2} bytes`);
    }
  });
});
