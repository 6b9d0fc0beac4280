import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { type CardToken, UnsupportedError } from "../../src/card/index.ts";
import { dialectOf } from "../../src/pkcs15/dialects/table.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { privateRules } from "../../src/pkcs15/writing/private-rules.ts";
import { dataObject, odf, pin, tlv, tokenInfo } from "./directory-files.ts";
import { type CardFile, FileCard, insert } from "./file-card.ts";

const NEW = { class: "data", label: "new", private: true, application: "a", value: fromHex("c0c1") } as const;
const PINS = [
  pin({ label: "one", authId: "01", reference: "81" }),
  pin({ label: "two", authId: "02", reference: "82" }),
];

const NOTHING: Readonly<Record<string, string>> = {};

/** A card whose files all have the access rules `rules`, those named in `files` besides. */
async function cardWith(
  rules: string,
  { pins = PINS.slice(0, 1), entries = dataObject("note", "4301"), own = NOTHING } = {},
): Promise<{ card: FileCard; tokens: readonly CardToken[] }> {
  const file = (path: string, contents: string): CardFile => ({
    control: tlv("62", "820101", tlv("80", (contents.length / 2).toString(16).padStart(4, "0")), own[path] ?? rules),
    contents,
  });
  const contents = {
    "50155031": odf({ a8: "4401", a7: "4406" }),
    "50155032": tokenInfo("T"),
    "50154401": pins.join(""),
    "50154406": entries + "00".repeat(120),
    "50154301": "a0",
    "50154302": "b0",
  };
  const card = new FileCard({
    files: Object.fromEntries(Object.entries(contents).map(([path, bytes]) => [path, file(path, bytes)])),
  });
  card.script.set("002000810431323334", "9000");
  card.script.set("002000820431323334", "9000");
  const application = await pkcs15.claim(await insert(card), "thorough");
  return { card, tokens: application?.tokens ?? [] };
}

async function store(token: CardToken | undefined): Promise<void> {
  await token?.login("user", utf8("1234"));
  await token?.createObject?.(NEW);
}

describe("the first private file of a card", () => {
  test.each([
    // Update: user; read: always.
    ["8c03031000", "8c03031010"],
    ["8c03039100", "8c03039191"],
    ["8c0443ff1000", "8c0443ff1010"],
    ["8c020210", "8c03031010"],
    // Read and delete: always; update: PIN 81.
    [
      tlv("ab", "8001419000", "800102", tlv("a4", "830181")),
      tlv("ab", "8001409000", "800102", tlv("a4", "830181"), "800101", tlv("a4", "830181")),
    ],
    [
      tlv("ab", "8001019000", "800102", tlv("a4", "950108")),
      tlv("ab", "800102", tlv("a4", "950108"), "800101", tlv("a4", "950108")),
    ],
  ])("has the rules %s of the others, with reading left to the PIN: %s", async (rules, expected) => {
    const { card, tokens } = await cardWith(rules);
    await store(tokens[0]);
    expect(card.files.get("50156c00")?.control).toContain(expected);
  });

  test.each([
    ["of the card's own", "8603112233"],
    ["by which no user may update", "8c0303ff00"],
    ["by which everybody updates", "8c03030000"],
    ["by which another PIN updates", tlv("ab", "8001019000", "800102", tlv("a4", "830182"))],
    ["by which more than a PIN updates", tlv("ab", "8001019000", "800102", tlv("a4", "830181"), "9700")],
    ["that stand elsewhere", "8b032f0601"],
    ["that there are not", ""],
    ["that do not parse", "ab028001"],
  ])("is not made out of rules %s", async (_, rules) => {
    const { card, tokens } = await cardWith(rules);
    await expect(store(tokens[0])).rejects.toThrow(UnsupportedError);
    expect([...card.files.keys()].filter((path) => path.startsWith("50156c"))).toEqual([]);
  });

  test("of a card with two PINs wants rules that name one", async () => {
    const { tokens } = await cardWith("8c03031000", { pins: PINS });
    await expect(store(tokens[0])).rejects.toThrow(UnsupportedError);
    const named = tlv("ab", "8001019000", "800102", tlv("a4", "830182"));
    const second = await cardWith(named, { pins: PINS });
    await store(second.tokens[1]);
    expect(second.card.files.get("50156c00")?.control).toContain(tlv("a4", "830182"));
  });

  test("takes the rules of a private file of its own PIN, and never those of another PIN's", async () => {
    const entries = dataObject("hers", "4301", "01") + dataObject("his", "4302", "02");
    const own = { "50154301": "8603010101", "50154302": "8603020202" };
    const { card, tokens } = await cardWith("8603000000", { pins: PINS, entries, own });
    await store(tokens[1]);
    expect(card.files.get("50156c00")?.control).toContain("8603020202");
    const alone = await cardWith("8603000000", { pins: PINS, entries: dataObject("hers", "4301", "01"), own });
    await expect(store(alone.tokens[1])).rejects.toThrow(UnsupportedError);
  });
});

test("rules of any bytes make none, or rules", () => {
  fc.assert(
    fc.property(fc.constantFrom(0x8c, 0xab), fc.uint8Array({ maxLength: 40 }), fc.boolean(), (tag, value, only) => {
      const made = privateRules([{ tag, value }], 0x81, only);
      expect(made === undefined || made[0]?.tag === tag).toBe(true);
    }),
  );
});

test("a value that shares its file with others gets a file of its own when it is changed", async () => {
  const part = tlv("30", tlv("04", "4301"), "020102", "800102");
  const entry = tlv("30", tlv("30", tlv("0c", "6e"), "03020640"), tlv("30", tlv("0c", "61")), tlv("a1", part));
  const { card, tokens } = await cardWith("8c03031000", { entries: entry });
  card.files.set("50154301", { contents: "a0a1a2a3a4a5" });
  const [token] = tokens;
  await token?.login("user", utf8("1234"));
  const [object] = (await token?.objects(["data"])) ?? [];
  const changed = object && (await token?.setAttributes?.(object, { value: fromHex("d0") }));
  expect(changed?.class === "data" ? toHex(await changed.value()) : "").toBe("d0");
  expect(card.files.get("50154301")?.contents).toBe("a0a1a2a3a4a5");
});

test.each([
  ["MyEID", { historical: "MyEID" }, "01fff0", "11fff0"],
  ["IsoApplet", { aid: fromHex("f276a288bcfba69d34f31001") }, "ff90000090909000", "ff90000090909090"],
])("%s writes the PIN into rules in its own coding", (_, facts, rules, expected) => {
  const none = new Uint8Array();
  const dialect = dialectOf({ atr: none, historical: "", aid: undefined, selectAnswer: none, ...facts });
  const made = dialect.privateRules?.([{ tag: 0x86, value: fromHex(rules) }], 1);
  expect(made?.map(({ value }) => toHex(value))).toEqual([expected]);
  expect(dialect.privateRules?.([{ tag: 0x8c, value: fromHex(rules) }], 1)).toBeUndefined();
});
