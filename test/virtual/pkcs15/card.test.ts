import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { supportsExtendedLength } from "../../../src/apdu/index.ts";
import { DataError } from "../../../src/bytes/index.ts";
import { loadCard, saveCard } from "../../../src/virtual/index.ts";
import { decodeImage, encodeImage } from "../../../src/virtual/iso7816/image.ts";
import { exchange } from "../exchange.ts";
import { testKey, testPkcs15Card } from "../keys.ts";
import { shareOf } from "../../seeded-random.ts";

let folder: string;
beforeAll(async () => (folder = await mkdtemp(path.join(os.tmpdir(), "virtual-pkcs15-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a new card", () => {
  test.each([true, false])("tells in its answer to reset whether it takes extended length: %s", async (extended) => {
    const card = await testPkcs15Card({ extended });
    expect(supportsExtendedLength(card.atr)).toBe(extended);
    expect(await exchange(card, "00A4040000000CA000000063504B43532D31350000")).toMatch(extended ? /9000$/u : /^6700$/u);
  });

  test.each([
    ["a PIN that is too short", { pin: "123" }],
    ["a PUK of another length", { puk: "1234567" }],
    ["letters", { signaturePin: "abcdef" }],
    ["no tries", { tries: 0 }],
    ["a serial number of another length", { serial: new Uint8Array(10) }],
    ["a key of another type", { keys: { "authentication-rsa": testKey("p-256") } }],
  ])("is refused with %s", async (_, options) => {
    await expect(testPkcs15Card(options)).rejects.toThrow(DataError);
  });
});

describe("a card kept in a file", () => {
  test("is the same card again, and keeps what changes before it answers", async () => {
    const file = path.join(folder, "card.json");
    const card = await testPkcs15Card();
    await saveCard(card, file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = await loadCard(file);
    expect(again.atr).toEqual(card.atr);
    expect(again.image()).toBe(card.image());
    expect(await exchange(again, "0020000108393939393939FFFF")).toBe("63C2");
    expect(await exchange(await loadCard(file), "00200001")).toBe("63C2");
    await exchange(again, "0020000108313233343536FFFF");
    await exchange(again, "00A4080C0450154601");
    await exchange(again, "00D6000002AABB");
    expect(await readFile(file, "utf8")).toBe(again.image());
  });

  test("reads back what it wrote", async () => {
    const image = (await testPkcs15Card()).image();
    expect(encodeImage(decodeImage(image))).toBe(image);
  });

  test("any other JSON value in any place is refused or understood, never anything else", async () => {
    const image = JSON.parse((await testPkcs15Card()).image()) as Record<string, unknown>;
    const places = pathsOf(image);
    const values = fc.oneof(fc.jsonValue(), fc.constantFrom("", "00", -1, 16, 1.5, null, [], {}, "df", "key"));
    fc.assert(
      fc.property(fc.constantFrom(...places), values, (place, value) => {
        try {
          decodeImage(JSON.stringify(withValue(image, place, value)));
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: shareOf(200) },
    );
  });
});

function pathsOf(value: unknown, prefix: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [prefix];
  return [prefix, ...Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...prefix, name]))];
}

function withValue(object: unknown, [name, ...rest]: readonly string[], value: unknown): unknown {
  if (name === undefined) return value;
  const fields = object as Record<string, unknown>;
  return { ...fields, [name]: withValue(fields[name], rest, value) };
}
