import { describe, expect, test } from "@jest/globals";
import { gunzipSync, inflateSync } from "node:zlib";
import { readTlvs } from "../../../src/apdu/index.ts";
import { DataError, fromHex, toHex } from "../../../src/bytes/index.ts";
import { PIV_DEVIATIONS, type PivDeviation, VirtualPivCard } from "../../../src/virtual/index.ts";
import { decodeImage, encodeImage } from "../../../src/virtual/piv/image.ts";
import { exchange } from "../exchange.ts";
import { testCard, testKey } from "../keys.ts";

const GET_KEY_HISTORY = "00cb3fff055c035fc10c00";
const GET_CERTIFICATE_9A = "00cb3fff055c035fc10500";
const VERIFY = "0020008008313233343536ffff";
const EMPTY_VERIFY = "00200080";
const SIGN_9E = `0087119e267c248200812000${"11".repeat(31)}00`;
const EC_ONLY = { "9a": { privateKey: testKey("p-256", "9a") }, "9d": null } as const;

describe("deviations of a virtual PIV card", () => {
  test("are said in one line each, under a name of plain words", () => {
    for (const [name, meaning] of Object.entries(PIV_DEVIATIONS)) {
      expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/u);
      expect(meaning).toMatch(/^\S.*\S$/u);
    }
  });

  test("stay with the card in its file, and a file without them has none", async () => {
    const image = (await testCard({ deviations: ["no-key-history", "missed-touch"] })).image();
    expect([...decodeImage(image).deviations]).toEqual(["no-key-history", "missed-touch"]);
    expect(encodeImage(decodeImage(image))).toBe(image);
    const fields = JSON.parse(image) as Record<string, unknown>;
    delete fields["deviations"];
    expect(decodeImage(JSON.stringify(fields)).deviations.size).toBe(0);
  });

  test.each([["no-such"], [7], { name: "no-key-history" }])(
    "a file with %j for one of them is refused",
    async (wrong) => {
      const fields = JSON.parse((await testCard()).image()) as Record<string, unknown>;
      const text = JSON.stringify({ ...fields, deviations: Array.isArray(wrong) ? wrong : [wrong].flat() });
      expect(() => decodeImage(text)).toThrow(DataError);
      expect(() => decodeImage(text)).toThrow(/deviations: not one of short-rsa-answers/u);
    },
  );

  test("no-certificates: keys alone", async () => {
    const card = await testCard({ deviations: ["no-certificates"] });
    expect(await exchange(card, GET_CERTIFICATE_9A)).toBe("6A82");
    expect(await exchange(card, SIGN_9E)).toMatch(/9000$/u);
    expect(await exchange(await testCard(), GET_CERTIFICATE_9A)).toMatch(/61..$/u);
  });

  test("certificate-without-key: 9A has no key, the others do", async () => {
    const card = await testCard({ yubico: true, deviations: ["certificate-without-key"] });
    expect(await exchange(card, GET_CERTIFICATE_9A)).toMatch(/61..$/u);
    expect(await exchange(card, "00f7009a00")).toBe("6A88");
    expect(await exchange(card, "00f7009e00")).toMatch(/9000$/u);
  });

  test("no-key-history: none with a retired certificate", async () => {
    const keys = { "82": { privateKey: testKey("rsa-2048") } };
    expect(await exchange(await testCard({ keys }), GET_KEY_HISTORY)).toMatch(/9000$/u);
    expect(await exchange(await testCard({ keys, deviations: ["no-key-history"] }), GET_KEY_HISTORY)).toBe("6A82");
  });

  test("no-metadata and no-device-serial: the instruction is not known", async () => {
    const card = await VirtualPivCard.create({
      yubico: true,
      keys: { "9a": null, "9c": null, "9d": null, "9e": null },
      deviations: ["no-metadata", "no-device-serial"],
    });
    expect(await exchange(card, "00f7008000")).toBe("6D00");
    expect(await exchange(card, "00f8000000")).toBe("6D00");
    expect(await exchange(card, "00fd000000")).toBe("0507019000");
  });

  test("missed-touch: each key's first use after a reset is refused, and the PIN stays verified", async () => {
    const card = await testCard({ deviations: ["missed-touch"] });
    expect(await exchange(card, VERIFY)).toBe("9000");
    expect(await exchange(card, SIGN_9E)).toBe("6982");
    expect(await exchange(card, EMPTY_VERIFY)).toBe("9000");
    expect(await exchange(card, SIGN_9E)).toMatch(/9000$/u);
    card.reset();
    expect(await exchange(card, SIGN_9E)).toBe("6982");
  });
});

describe("what a virtual PIV card says of its PIN", () => {
  const WRONG = "0020008008393939393939ffff";

  test("neo-status-words: 630x counts the tries", async () => {
    const card = await testCard({ deviations: ["neo-status-words"] });
    expect(await exchange(card, EMPTY_VERIFY)).toBe("6303");
    expect(await exchange(card, WRONG)).toBe("6302");
    expect(await exchange(card, VERIFY)).toBe("9000");
    expect(await exchange(card, EMPTY_VERIFY)).toBe("9000");
  });

  test("refused-empty-verify: VERIFY without a PIN is no question", async () => {
    const card = await testCard({ deviations: ["refused-empty-verify"] });
    expect(await exchange(card, EMPTY_VERIFY)).toBe("6700");
    expect(await exchange(card, VERIFY)).toBe("9000");
  });

  test("never-verified-empty-verify: the PIN is verified, and is never said to be", async () => {
    const card = await testCard({ deviations: ["never-verified-empty-verify"] });
    expect(await exchange(card, VERIFY)).toBe("9000");
    expect(await exchange(card, EMPTY_VERIFY)).toBe("63C3");
  });

  test("five-pin-tries: five tries of the PIN, unless the options say how many", async () => {
    expect(await exchange(await testCard({ deviations: ["five-pin-tries"] }), EMPTY_VERIFY)).toBe("63C5");
    expect(await exchange(await testCard({ deviations: ["five-pin-tries"], tries: 2 }), EMPTY_VERIFY)).toBe("63C2");
  });
});

describe("what a virtual PIV card holds", () => {
  const GET_9A_CERTIFICATE = "00cb3fff0000055c035fc1050000";
  /** The content of 70, as this card answers it, and CertInfo. */
  const stored = async (deviation: PivDeviation): Promise<readonly [Buffer, string]> => {
    const card = await testCard({ extended: true, keys: EC_ONLY, deviations: [deviation] });
    const answer = await exchange(card, GET_9A_CERTIFICATE);
    const [certificate, info] = readTlvs(readTlvs(fromHex(answer.slice(0, -4)))[0]?.value ?? new Uint8Array());
    return [Buffer.from(certificate?.value ?? []), toHex(info?.value ?? new Uint8Array())];
  };

  test("gzip-certificates, zlib-certificates and padded-certificates: the same certificate in another form", async () => {
    const [gzip, compressed] = await stored("gzip-certificates");
    expect([gunzipSync(gzip)[0], compressed]).toEqual([0x30, "01"]);
    const [zlib, plain] = await stored("zlib-certificates");
    const inflated = inflateSync(zlib.subarray(4));
    expect([inflated[0], plain, zlib.readUInt16BE(0), zlib.readUInt16LE(2)]).toEqual([
      0x30,
      "00",
      0x0100,
      inflated.length,
    ]);
    const [padded] = await stored("padded-certificates");
    expect(padded.subarray(-64)).toEqual(Buffer.alloc(64));
    expect(padded.readUInt16BE(2) + 4 + 64).toBe(padded.length);
  });

  test.each([
    ["no-discovery-object", "00cb3fff035c017e00"],
    ["no-chuid", "00cb3fff055c035fc10200"],
  ] as const)("%s: the object is not there, nor in the card's file", async (deviation, get) => {
    const card = await testCard({ keys: EC_ONLY, deviations: [deviation] });
    expect(await exchange(card, get)).toBe("6A82");
    expect(await exchange(await testCard({ keys: EC_ONLY }), get)).toMatch(/^53|^7E/u);
    expect(JSON.parse(card.image())).not.toHaveProperty(["objects", deviation === "no-chuid" ? "5fc102" : "7e"]);
  });

  test("pin-for-each-use: no key is used twice with one PIN", async () => {
    const card = await testCard({ deviations: ["pin-for-each-use"] });
    await exchange(card, VERIFY);
    expect(await exchange(card, SIGN_9E)).toMatch(/9000$/u);
    expect(await exchange(card, SIGN_9E)).toBe("6982");
  });

  test("refused-key-use and failing-management-key: 6A80, and 6F00 in the second step", async () => {
    const card = await testCard({ deviations: ["refused-key-use", "failing-management-key"] });
    expect(await exchange(card, SIGN_9E)).toBe("6A80");
    expect(await exchange(card, "0087039b047c02810000")).toMatch(/9000$/u);
    expect(await exchange(card, "0087039b0c7c0a82080102030405060708")).toBe("6F00");
  });
});
