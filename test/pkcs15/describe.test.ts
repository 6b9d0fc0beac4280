import { expect, test } from "@jest/globals";
import { connectCard } from "../../src/card/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { accessRules } from "../../src/pkcs15/access-rules.ts";
import { describeFiles } from "../../src/pkcs15/index.ts";
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

test.each([
  ["8c030300ff", false, ["update: always", "read: never"]],
  ["8c02011f", false, ["read: user (environment 15)"]],
  ["8c0201b0", false, ["read: user and external authentication"]],
  ["8c0301b000", false, ["8C 01 B0 00"]],
  ["8c0306ff90", true, ["create DF: never", "create EF: user"]],
  ["8b032f0602", false, ["8B 2F 06 02"]],
])("access rules %s in words", (hex, isDirectory, expected) => {
  const bytes = Buffer.from(hex, "hex");
  const rules = [{ tag: bytes[0] ?? 0, value: new Uint8Array(bytes.subarray(2)) }];
  expect(accessRules(rules, isDirectory)).toEqual(expected);
});
