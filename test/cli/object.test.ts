import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

const BOTH = { env: { ...OFFICER.env, ...PIN.env } };
let folder: CardFolder;
beforeAll(async () => {
  folder = await CardFolder.create({ yubico: true, keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
});
afterAll(() => {
  folder[Symbol.dispose]();
});
const onCard = (args: readonly string[], given: Given = BOTH): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, "object", ...args], given);
const hex = (text: string): Uint8Array => Buffer.from(text, "hex");

describe("on a PIV card", () => {
  test("list and read name the objects as PIV has them, without a PIN", async () => {
    const listed = json(await onCard(["list", "--json"], { env: {} })) as { name: string; length: number }[];
    expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining(["chuid", "discovery"]));
    const chuid = listed.find(({ name }) => name === "chuid");
    const read = await onCard(["read", "chuid"], { env: {} });
    expect(read).toMatchObject({ code: 0, stderr: "" });
    expect(read.bytes.length).toBe(chuid?.length);
    // FASC-N comes first in a CHUID (SP 800-73-4 part 1 table 9).
    expect(read.bytes[0]).toBe(0x30);
    expect((await onCard(["read", "CHUID", "--encoding", "hex"])).stdout.trim()).toBe(
      Buffer.from(read.bytes).toString("hex"),
    );
    expect((await onCard(["list"])).stdout).toMatch(/^chuid +Card Holder Unique Identifier +\d+$/mu);
  });

  test("write, read back, ask before overwriting, delete", async () => {
    const first = folder.file("first.bin", hex("c10100c20100f300fe00"));
    const second = folder.file("second.bin", hex("c10101c20100f300fe00"));
    const write = ["write", "--so", "security-object"];
    expect(json(await onCard([...write, first, "--json"]))).toMatchObject({
      written: true,
      name: "security-object",
      length: 10,
    });
    // The same once more is no question.
    expect(await onCard([...write, first])).toMatchObject({ code: 0 });
    expect(jsonError(await onCard([...write, second, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/there is a data object security-object already.*--yes/u),
    });
    expect(await onCard([...write, second], { ...BOTH, typed: "no\n" })).toMatchObject({ code: 2 });
    expect(Buffer.from((await onCard(["read", "security-object"])).bytes).toString("hex")).toBe("c10100c20100f300fe00");
    expect(await onCard([...write, "--yes", second])).toMatchObject({ code: 0 });
    const out = folder.file("out.bin");
    await onCard(["read", "security-object", "--output", out]);
    expect(readFileSync(out, "hex")).toBe("c10101c20100f300fe00");
    expect(await onCard(["delete", "--so", "security-object"])).toMatchObject({ code: 2 });
    expect(await onCard(["delete", "--so", "--yes", "security-object"])).toMatchObject({ code: 0 });
    expect(await onCard(["read", "security-object"])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("object list"),
    });
  });

  test("an object that only the PIN shows is written and deleted with the management key", async () => {
    const file = folder.file("printed.bin", hex("0103414441fe00"));
    const write = ["write", "--so", "printed-information", file];
    expect(jsonError(await onCard([...write, "--json"], OFFICER))).toMatchObject({
      message: expect.stringContaining("only the PIN shows it"),
    });
    expect(await onCard([...write, "--yes"], OFFICER)).toMatchObject({ code: 0 });
    expect(json(await onCard(["read", "printed-information", "--json"]))).toMatchObject({ length: 7 });
    const names = async (...more: string[]): Promise<string[]> =>
      (json(await onCard(["list", "--json", ...more])) as { name: string }[]).map(({ name }) => name);
    expect(await names()).not.toContain("printed-information");
    expect(await names("--login")).toContain("printed-information");
    expect(await onCard(["delete", "--so", "--yes", "printed-information"], OFFICER)).toMatchObject({ code: 0 });
    expect(await names("--login")).not.toContain("printed-information");
  });

  test.each<[string[], number, RegExp]>([
    [["read", "chuids"], 2, /a PIV card has no data object chuids; it has/u],
    [["read", "iris-images"], 3, /there is no data object iris-images/u],
    [["write", "--so", "ccc", "letter.txt"], 1, /no data objects in BER-TLV/u],
    [["write", "--so", "ccc", "wrapped.bin"], 1, /leave out the outer tag 53/u],
    [["write", "--so", "--private", "ccc", "good.bin"], 2, /PIV says what its data objects are/u],
    [["write", "--so", "--yes", "discovery", "good.bin"], 1, /cannot be written or deleted/u],
    [["write", "security-object", "good.bin"], 4, /--so/u],
  ])("refuses %j", async (args, exitCode, message) => {
    folder.file("letter.txt", "Dear Ada, this is no TLV");
    folder.file("wrapped.bin", hex("5305c1010099"));
    folder.file("good.bin", hex("c10100"));
    const last = args.at(-1) ?? "";
    const line = last.includes(".") ? [...args.slice(0, -1), folder.file(last)] : args;
    expect(jsonError(await onCard([...line, "--json"]))).toMatchObject({
      exitCode,
      message: expect.stringMatching(message),
    });
  });

  test("a full card says so", async () => {
    const file = folder.file("big.bin", Buffer.concat([hex("70828000"), Buffer.alloc(0x8000)]));
    expect(jsonError(await onCard(["write", "--so", "security-object", file, "--json"]))).toMatchObject({
      name: "CKR_DEVICE_MEMORY",
      message: expect.stringContaining("not enough memory in the file or on the card"),
    });
  });
});

test("on a PKCS #15 card objects have labels", async () => {
  const card = folder.file("pkcs15.json");
  await cryptoki(["virtual", "create", card, "--profile", "pkcs15"]);
  const onToken = (...args: string[]): Promise<Outcome> =>
    cryptoki(["--virtual", card, "--token", "pkcs11:token=Virtual%20eID%20%28PIN%29", "object", ...args], BOTH);
  const notes = folder.file("notes.txt", "one");
  expect(await onToken("write", "Notes", "--application", "letters", notes)).toMatchObject({ code: 0 });
  expect(json(await onToken("list", "--json"))).toContainEqual({
    name: "Notes",
    label: "Notes",
    length: 3,
    private: false,
  });
  folder.file("notes.txt", "three");
  expect(await onToken("write", "Notes", notes)).toMatchObject({ code: 2 });
  expect(await onToken("write", "--yes", "Notes", notes)).toMatchObject({ code: 0, stderr: "" });
  expect((await onToken("read", "Notes")).stdout).toBe("three");
  expect(await onToken("write", "--private", "Secrets", notes)).toMatchObject({ code: 0 });
  expect((await onToken("read", "Secrets")).stdout).toBe("three");
  expect(await onToken("delete", "--yes", "Notes")).toMatchObject({ code: 0 });
  expect(await onToken("read", "Notes")).toMatchObject({ code: 3 });
});
