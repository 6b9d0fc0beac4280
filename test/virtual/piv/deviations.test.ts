import { describe, expect, test } from "@jest/globals";
import { DataError } from "../../../src/bytes/index.ts";
import { PIV_DEVIATIONS, VirtualPivCard } from "../../../src/virtual/index.ts";
import { decodeImage, encodeImage } from "../../../src/virtual/piv/image.ts";
import { exchange } from "../exchange.ts";
import { testCard, testKey } from "../keys.ts";

const GET_KEY_HISTORY = "00cb3fff055c035fc10c00";
const GET_CERTIFICATE_9A = "00cb3fff055c035fc10500";
const VERIFY = "0020008008313233343536ffff";
const EMPTY_VERIFY = "00200080";
const SIGN_9E = `0087119e267c248200812000${"11".repeat(31)}00`;

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
