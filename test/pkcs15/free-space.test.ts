import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardObject, CardToken } from "../../src/card/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { odf, padded, pin, text, tlv, tokenInfo } from "./directory-files.ts";
import { type CardFile, FileCard, insert } from "./file-card.ts";

const number = (value: number): string => toHex(Uint8Array.of(value));
const part = (file: string, index: number, length: number): string =>
  tlv("30", tlv("04", file), tlv("02", number(index)), tlv("80", number(length)));
const free = (file: string, index: number, length: number, authId?: string): string =>
  tlv("30", part(file, index, length), authId === undefined ? "" : tlv("04", authId));
const object = (label: string, index: number, length: number, authId?: string): string =>
  tlv(
    "30",
    tlv("30", text(label), authId === undefined ? "03020640" : `030206c0${tlv("04", authId)}`),
    tlv("30", text("a")),
    tlv("a1", part(authId === undefined ? "4300" : "4301", index, length)),
  );

/** Two files with values one behind the other, of public objects and of private ones, with room behind them. */
function partsCard(unused?: string, files: Readonly<Record<string, CardFile>> = {}): FileCard {
  const card = new FileCard({
    files: {
      "50155031": { contents: padded(odf({ a8: "4401", a7: "4406" }), 64) },
      "50155032": { contents: tokenInfo("T") },
      "50154401": { contents: pin({ label: "PIN", authId: "01", reference: "81" }) },
      "50154406": { contents: padded(object("note", 0, 4) + object("secret", 0, 4, "01"), 250) },
      "50154300": { contents: padded("a0a1a2a3", 64) },
      "50154301": { contents: padded("b0b1b2b3", 64) },
      ...(unused !== undefined && { "50155033": { contents: padded(unused, 96) } }),
      ...files,
    },
  });
  card.script.set("002000810431323334", "9000");
  return card;
}

async function open(card: FileCard, login = true): Promise<CardToken> {
  card.reset();
  const [token] = (await pkcs15.claim(await insert(card), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  if (login) await token.login("user", utf8("1234"));
  return token;
}

async function values(card: FileCard): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for (const one of await (await open(card, false)).objects()) {
    if (one.class === "data") found.push([one.label, toHex(await one.value())]);
  }
  return Object.fromEntries(found);
}

const unusedOf = (card: FileCard): string => card.files.get("50155033")?.contents ?? "";
const listed = (...spaces: readonly string[]): string => padded(spaces.join(""), 96);
const made = (card: FileCard): string[] => [...card.files.keys()].filter((path) => path.startsWith("50156c"));
const NEW = { class: "data", label: "new", private: false, application: "a", value: fromHex("d0d1d2") } as const;
const named = async (token: CardToken, label: string): Promise<CardObject> => {
  const found = (await token.objects()).find((one) => one.label === label);
  if (!found) throw new Error(`no ${label}`);
  return found;
};
const BEFORE = { note: "a0a1a2a3", secret: "b0b1b2b3" };

describe("a part of a file that EF.UnusedSpace names", () => {
  test("holds the next object, and is not named any more", async () => {
    const card = partsCard(free("4300", 4, 60));
    await (await open(card)).createObject?.(NEW);
    expect(await values(card)).toEqual({ ...BEFORE, new: "d0d1d2" });
    expect(unusedOf(card)).toBe(listed(free("4300", 7, 57)));
    expect(made(card)).toEqual([]);
  });

  test("that is just as long is taken off the list", async () => {
    const card = partsCard(free("4300", 10, 3) + free("4300", 20, 2));
    await (await open(card)).createObject?.(NEW);
    expect(unusedOf(card)).toBe(listed(free("4300", 20, 2)));
    expect((card.files.get("50154300")?.contents ?? "").slice(20, 26)).toBe("d0d1d2");
  });

  test("holds a private object where private ones of the same PIN are, and no public one", async () => {
    const card = partsCard(free("4300", 4, 60) + free("4301", 4, 60, "01"));
    await (await open(card)).createObject?.({ ...NEW, private: true });
    expect(unusedOf(card)).toBe(listed(free("4300", 4, 60), free("4301", 7, 57, "01")));
    const other = partsCard(free("4301", 4, 60, "01"));
    await (await open(other)).createObject?.(NEW);
    expect(unusedOf(other)).toBe(listed(free("4301", 4, 60, "01")));
    expect(made(other)).toEqual(["50156c00"]);
  });

  test.each([
    ["has an object in it", free("4300", 2, 60)],
    ["is too short", free("4300", 4, 2)],
    ["is in an unknown file", free("4399", 0, 60)],
    ["is another PIN's", free("4300", 4, 60, "02")],
    ["has no bounds", tlv("30", tlv("30", tlv("04", "4300")))],
    ["is listed beside what does not parse", free("4300", 4, 60) + tlv("30", "0500")],
    ["is behind the end of its file", free("4300", 64, 60)],
  ])("that %s is left alone", async (_, unused) => {
    const card = partsCard(unused);
    await (await open(card)).createObject?.(NEW);
    expect(await values(card)).toEqual({ ...BEFORE, new: "d0d1d2" });
    expect(unusedOf(card)).toBe(listed(unused));
    expect(made(card)).toEqual(["50156c00"]);
  });

  test("is named again when its object goes, with what it adjoins", async () => {
    const card = partsCard(free("4300", 7, 57));
    card.files.set("50154406", {
      contents: padded(object("note", 0, 4) + object("more", 4, 3) + object("far", 20, 2, "01"), 250),
    });
    const token = await open(card);
    await token.destroyObject?.(await named(token, "more"));
    expect(unusedOf(card)).toBe(listed(free("4300", 4, 60)));
    await token.destroyObject?.(await named(token, "far"));
    expect(unusedOf(card)).toBe(listed(free("4300", 4, 60), free("4301", 20, 2, "01")));
    expect(await values(card)).toEqual({ note: "a0a1a2a3" });
  });

  test("is named again when its object's value is stored elsewhere", async () => {
    const card = partsCard("");
    const token = await open(card);
    await token.setAttributes?.(await named(token, "note"), { value: fromHex("ee") });
    expect(await values(card)).toEqual({ ...BEFORE, note: "ee" });
    expect(unusedOf(card)).toBe(listed(free("4300", 0, 4)));
  });

  test("is where the card's EF.DIR says that the list is", async () => {
    const places = tlv("73", tlv("30", tlv("04", "3f0050155031")), tlv("a1", tlv("04", "3f005015503a")));
    const template = tlv("61", tlv("4f", "a000000063504b43532d3135"), tlv("51", "3f005015"), places);
    const card = partsCard(undefined, {
      "2f00": { contents: template },
      "5015503a": { contents: padded(free("4300", 4, 60), 96) },
    });
    await (await open(card)).createObject?.(NEW);
    expect(made(card)).toEqual([]);
    expect(card.files.get("5015503a")?.contents.startsWith(free("4300", 7, 57))).toBe(true);
  });
});

test.each([
  ["stored", (token: CardToken) => token.createObject?.(NEW)],
  ["deleted", async (token: CardToken) => token.destroyObject?.(await named(token, "note"))],
])("a card that is pulled while an object is %s has no object in a part that is named as free", async (_, work) => {
  const reference = partsCard(free("4300", 4, 60));
  const token = await open(reference);
  await token.objects();
  reference.commands.length = 0;
  await work(token);
  const exchanges = reference.commands.length;
  const after = await values(reference);
  for (let at = 0; at < exchanges; at++) {
    const card = partsCard(free("4300", 4, 60));
    const pulled = await open(card);
    await pulled.objects();
    let left = at;
    card.before = () => {
      if (left-- > 0) return undefined;
      throw new Error("the card is gone");
    };
    await expect(work(pulled)).rejects.toThrow();
    card.before = undefined;
    const found = await values(card);
    expect([BEFORE, after]).toContainEqual(found);
    // The next object goes where none is.
    await (await open(card)).createObject?.({ ...NEW, label: "next", value: fromHex("e0e1e2e3e4") });
    expect(await values(card)).toEqual({ ...found, next: "e0e1e2e3e4" });
  }
});
