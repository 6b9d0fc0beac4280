import { existsSync } from "node:fs";
import { cp, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, fromHex } from "../../../src/bytes/index.ts";
import { encodeTlv } from "../../../src/apdu/index.ts";
import { personaliseFromFolder } from "../../../src/virtual/index.ts";
import { CardFolder } from "../../cli/card.ts";
import { cryptoki } from "../../cli/program.ts";
import { exchange, send } from "../exchange.ts";

const besides = path.resolve("../shared/data/icam-cards");
const root = process.env["ICAM_CARDS"] ?? (existsSync(besides) ? besides : undefined);

if (root === undefined) {
  console.warn(
    "ICAM test cards: skipped. Set ICAM_CARDS to the folder of cards from github.com/GSA/gsa-icam-card-builder.",
  );
}

/** Number of the files, tag, whether it is a certificate. */
const OBJECTS = [
  [2, "5FC106", false],
  [3, "5FC105", true],
  [4, "5FC10A", true],
  [5, "5FC10B", true],
  [6, "5FC101", true],
  [7, "5FC107", false],
  [8, "5FC102", false],
  [9, "5FC103", false],
  [10, "5FC108", false],
  [11, "5FC109", false],
  [13, "5FC10C", false],
  [14, "5FC10D", true],
  [18, "5FC111", true],
] as const;

async function folderOf(prefix: string): Promise<string> {
  const names = await readdir(root ?? "");
  return path.join(root ?? "", names.find((name) => name.startsWith(prefix)) ?? prefix);
}

(root === undefined ? describe.skip : describe)("a card from the folder of an ICAM test card", () => {
  test.each(["01_", "37_", "46_", "53_"])("%s is read back in full", async (prefix) => {
    const folder = await folderOf(prefix);
    const names = await readdir(folder);
    const card = await personaliseFromFolder(folder, { pin: "654321" });
    await exchange(card, "0020008008363534333231FFFF");
    for (const [number, tag, isCertificate] of OBJECTS) {
      const command = { cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, data: fromHex(`5C03${tag}`), ne: 256 };
      const { data, sw } = await send(card, command);
      const name = names.find((file) => file.startsWith(`${number} - `) && (!isCertificate || file.endsWith(".crt")));
      if (name === undefined) {
        expect(sw).toBe(0x6a82);
        continue;
      }
      const content = await readFile(path.join(folder, name));
      const expected = isCertificate
        ? concat(encodeTlv(0x70, new X509Certificate(content).raw), fromHex("710100FE00"))
        : content;
      expect(data).toEqual(encodeTlv(0x53, expected));
    }
  });

  test("is made as it says also where a certificate belongs to another key", async () => {
    using copy = new CardFolder();
    const folder = path.join(copy.path, "mixed");
    await cp(await folderOf("01_"), folder, { recursive: true });
    const names = await readdir(folder);
    const certificate = (number: number): string =>
      path.join(folder, names.find((name) => name.startsWith(`${number} - `) && name.endsWith(".crt")) ?? "");
    await cp(certificate(4), certificate(3));
    expect((await cryptoki(["virtual", "create", copy.card, "--icam", folder])).code).toBe(0);
    const { bytes } = await cryptoki(["--virtual", copy.card, "read", "--id", "01", "--format", "der"]);
    expect(bytes).toEqual(new X509Certificate(await readFile(certificate(4))).raw);
  });

  test("has the PINs that the options give, both where its global PIN is the primary one", async () => {
    using place = new CardFolder();
    const args = ["--icam", await folderOf("28_"), "--pin", "222222", "--global-pin", "111111"];
    expect((await cryptoki(["virtual", "create", place.card, ...args])).code).toBe(0);
    const login = (pin: string): Promise<{ code: number }> =>
      cryptoki(["--virtual", place.card, "objects", "--login"], { env: { CRYPTOKI_PIN: pin } });
    expect((await login("111111")).code).toBe(0);
    expect((await login("222222")).code).not.toBe(0);
    const card = await personaliseFromFolder(await folderOf("28_"), { pin: "222222", globalPin: "111111" });
    expect(await exchange(card, "0020008008323232323232FFFF")).toBe("9000");
  });

  test("an empty discovery object is none, and a global PIN counts where it says so", async () => {
    const without = await personaliseFromFolder(await folderOf("25_"));
    expect(await exchange(without, "00CB3FFF035C017E00")).toBe("6A82");
    expect(await exchange(without, "00200000")).toBe("6A88");
    expect(await exchange(await personaliseFromFolder(await folderOf("28_")), "00200000")).toBe("63C3");
  });
});
