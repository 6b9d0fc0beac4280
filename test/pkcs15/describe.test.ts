import { expect, test } from "@jest/globals";
import { connectCard } from "../../src/card/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { accessRules } from "../../src/pkcs15/access/rules.ts";
import { describeFiles } from "../../src/pkcs15/index.ts";
import { odf, pin, privateKey, tlv, tokenInfo } from "./directory-files.ts";
import { type CardFile, FileCard, insert } from "./file-card.ts";
import { VirtualPkcs15Card } from "../../src/virtual/index.ts";
import { testCard } from "../virtual/keys.ts";

const READER = "Memory Reader";

async function describe(card: Parameters<MemoryReaders["insert"]>[1]) {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const pcsc = readers.client();
  try {
    await using connected = await connectCard(pcsc, READER);
    return await describeFiles(connected);
  } finally {
    await pcsc.close();
  }
}

test("every file that the directories name, with its size and access, and what is in it", async () => {
  const description = await describe(await VirtualPkcs15Card.create());
  const files = description?.files ?? [];
  const odf = files.find(({ content }) => content.includes("EF(ODF)"));
  expect(odf).toMatchObject({ path: expect.stringMatching(/5031$/u), structure: "transparent" });
  expect(odf?.size).toBeGreaterThan(0);
  // The rules of this make of card are its own.
  expect(odf?.access).toEqual([expect.stringMatching(/^86 /u)]);
  const contents = files.map(({ content }) => content).join("\n");
  for (const expected of [
    "EF(TokenInfo)",
    "directory of authentication",
    "directory of private-keys",
    'certificate "',
  ]) {
    expect(contents).toContain(expected);
  }
  expect(files.filter(({ problem }) => problem !== undefined)).toEqual([]);
  expect(files.map(({ path }) => path)).toEqual([...files.map(({ path }) => path)].sort());
  expect(new Set(files.map(({ path }) => path)).size).toBe(files.length);
});

test("a card of another kind has no such files", async () => {
  expect(await describe(await testCard())).toBeUndefined();
});

test("rules that stand in EF.ARR are looked up there, each record once", async () => {
  const file = (contents: string, rules: string): CardFile => ({
    control: tlv("62", "820101", tlv("80", (contents.length / 2).toString(16).padStart(4, "0")), rules),
    contents,
  });
  const card = new FileCard({
    files: {
      "50155031": file(odf({ a8: "4401", a0: "4402" }), "8b032f0601"),
      "50155032": file(tokenInfo("T"), "8b032f0601"),
      "50154401": file(pin({ label: "PIN", authId: "01", reference: "81" }), "8b032f0602"),
      // Its own DF's, a record that is not there, and a file that is not there.
      "50154402": file(privateKey({ label: "k", id: "01", authId: "01" }), "8b03001301"),
      "2f00": file("", "8b032f0609"),
      "2f06": { contents: "", records: ["8001019000", "8001029700"] },
      "50150013": { contents: "", records: ["800103a403830181"] },
    },
  });
  const description = await describeFiles(await insert(card));
  const access = Object.fromEntries((description?.files ?? []).map(({ path, access: rules }) => [path, rules]));
  expect(access).toMatchObject({
    "3F00/5015/5031": ["read: always"],
    "3F00/5015/5032": ["read: always"],
    "3F00/5015/4401": ["update: never"],
    "3F00/5015/4402": ["update: user (PIN 81)", "read: user (PIN 81)"],
    "3F00/2F00": ["according to record 9 of EF.ARR 2F06"],
  });
  expect(card.commands.filter((command) => command.startsWith("00b20104"))).toHaveLength(2);
});

test.each([
  ["8c030300ff", false, ["update: always", "read: never"]],
  ["8c02011f", false, ["read: user (environment 15)"]],
  ["8c0201b0", false, ["read: user and external authentication"]],
  ["8c0301b000", false, ["8C 01 B0 00"]],
  ["8c0306ff90", true, ["create DF: never", "create EF: user"]],
  ["8b032f0602", false, ["according to record 2 of EF.ARR 2F06"]],
  ["8b0105", false, ["according to record 5 of EF.ARR"]],
  ["8b062f0601020304", false, ["according to record 2 of EF.ARR 2F06"]],
  ["8b022f06", false, ["8B 2F 06"]],
  ["8603010203", false, ["86 01 02 03"]],
  ["ab0880010190008001029700", false, ["read: always", "update: never"]],
  [
    "ab0e800103a406830181950108800140",
    false,
    ["update: user (PIN 81)", "read: user (PIN 81)", "delete: no condition given"],
  ],
  [
    "ab0b800106a406830101950180",
    true,
    ["create DF: external authentication (key 01)", "create EF: external authentication (key 01)"],
  ],
  [
    "ab0e800101af08 9e0110 9e0120 b400".replaceAll(" ", ""),
    false,
    ["read: (user and external authentication and secure messaging)"],
  ],
  ["ab0c800101 9e0111 a0049e01209700".replaceAll(" ", ""), false, ["AB 80 01 01 9E 01 11 A0 04 9E 01 20 97 00"]],
  ["ab0884012a900084018890 00".replaceAll(" ", ""), false, ["command INS 2A: always", "command INS 88: always"]],
  ["ab03800180", false, ["mode 80: no condition given"]],
  ["ab028001", false, ["AB 80 01"]],
])("access rules %s in words", (hex, isDirectory, expected) => {
  const bytes = Buffer.from(hex, "hex");
  const rules = [{ tag: bytes[0] ?? 0, value: new Uint8Array(bytes.subarray(2)) }];
  expect(accessRules(rules, isDirectory)).toEqual(expected);
});
