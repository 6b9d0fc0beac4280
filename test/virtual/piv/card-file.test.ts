import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DataError } from "../../../src/bytes/index.ts";
import { loadCard, saveCard } from "../../../src/virtual/index.ts";
import { decodeImage, encodeImage } from "../../../src/virtual/piv/image.ts";
import { exchange } from "../exchange.ts";
import { testCard, testKey } from "../keys.ts";
import { shareOf } from "../../seeded-random.ts";

let folder: string;
beforeAll(async () => (folder = await mkdtemp(path.join(os.tmpdir(), "virtual-card-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const make = (): ReturnType<typeof testCard> =>
  testCard({ tries: 5, yubico: true, extended: true, keys: { "82": { privateKey: testKey("p-384", "82") } } });

describe("a card kept in a file", () => {
  test("is the same card again, readable by its owner only", async () => {
    const file = path.join(folder, "same.json");
    const card = await make();
    await saveCard(card, file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = await loadCard(file);
    expect(again.image()).toBe(card.image());
    expect(again.atr).toEqual(card.atr);
    expect(await readdir(folder)).toEqual(["same.json"]);
  });

  test("remembers a spent try before it answers, and a new PIN", async () => {
    const file = path.join(folder, "pin.json");
    await saveCard(await make(), file);
    const card = await loadCard(file);
    expect(await exchange(card, "0020008008393939393939FFFF")).toBe("63C4");
    expect(await exchange(await loadCard(file), "00200080")).toBe("63C4");
    expect(await exchange(card, "0024008010313233343536FFFF363534333231FFFF")).toBe("9000");
    expect(await exchange(await loadCard(file), "0020008008363534333231FFFF")).toBe("9000");
  });

  test("is not written for what does not last", async () => {
    const file = path.join(folder, "idle.json");
    await saveCard(await make(), file);
    const card = await loadCard(file);
    const before = await stat(file);
    expect(await exchange(card, "0020008008313233343536FFFF")).toBe("9000");
    await exchange(card, "00CB3FFF055C035FC10200");
    expect((await stat(file)).ino).toBe(before.ino);
  });

  test("answers 6581 when the file cannot be written", async () => {
    const gone = await mkdtemp(path.join(folder, "gone-"));
    const file = path.join(gone, "card.json");
    await saveCard(await make(), file);
    const card = await loadCard(file);
    await rm(gone, { recursive: true });
    expect(await exchange(card, "0020008008393939393939FFFF")).toBe("6581");
  });

  test("is refused where it is no card", async () => {
    const file = path.join(folder, "bad.json");
    await writeFile(file, "{}");
    await expect(loadCard(file)).rejects.toThrow(DataError);
    await writeFile(file, Uint8Array.of(0xff, 0xfe));
    await expect(loadCard(file)).rejects.toThrow(DataError);
    await writeFile(file, " ".repeat((4 << 20) + 1));
    await expect(loadCard(file)).rejects.toThrow("more than 4194304 bytes");
    await expect(loadCard(path.join(folder, "none.json"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("the image of a card", () => {
  test("reads back what it wrote", async () => {
    const image = (await make()).image();
    expect(encodeImage(decodeImage(image))).toBe(image);
  });

  test("any other JSON value in any place is refused or understood, never anything else", async () => {
    const image = JSON.parse((await make()).image()) as Record<string, unknown>;
    const places = pathsOf(image);
    const values = fc.oneof(fc.jsonValue(), fc.constantFrom("", "00", -1, 16, 1.5, null, [], {}, "never", "3des"));
    fc.assert(
      fc.property(fc.constantFrom(...places), values, (place, value) => {
        const text = JSON.stringify(withValue(image, place, value));
        try {
          decodeImage(text);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: shareOf(300) },
    );
  });

  test("a field too many or too few is refused by name", async () => {
    const image = JSON.parse((await make()).image()) as Record<string, unknown>;
    expect(() => decodeImage(JSON.stringify({ ...image, extra: 1 }))).toThrow('unknown field "extra"');
    expect(() => decodeImage(JSON.stringify(withValue(image, ["pin", "value"], undefined)))).toThrow(
      'virtual PIV card.pin: no field "value"',
    );
  });

  test("a refusal does not repeat what is in the file", () => {
    expect(() => decodeImage('{"pin": "secret')).toThrow(/^virtual PIV card: not JSON$/u);
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
