import { describe, expect, test } from "@jest/globals";
import { toHex } from "../../src/bytes/index.ts";
import { Findings } from "../../src/pkcs15/objects/catalogue.ts";
import { findApplications } from "../../src/pkcs15/recognition/find.ts";
import type { CardContents } from "../../src/pkcs15/objects/contents.ts";
import { type CardFile, FileCard, insert, type Quirks, RECORDING, recordedCard } from "./file-card.ts";

async function contentsOf(card: FileCard): Promise<{ contents: CardContents; findings: Findings }> {
  const inserted = await insert(card);
  const findings = new Findings(inserted);
  const [found] = await findApplications(inserted, findings);
  if (!found) throw new Error("no application on the card");
  return { contents: found.contents, findings };
}

/** The recorded card with some of its files replaced, without an applet to be selected. */
function cardWith(files: Record<string, CardFile> = {}, quirks: Quirks = {}): FileCard {
  return new FileCard({ files: { ...RECORDING.files, ...files }, quirks });
}

describe("the recorded card", () => {
  test("is found, and its directories read, in few exchanges", async () => {
    const card = recordedCard();
    const { contents, findings } = await contentsOf(card);
    const pins = await contents.directory("authentication");
    expect(card.commands.map((command) => command.slice(0, 20))).toEqual([
      "00a404000cf276a288bc",
      "00a40800045015503100",
      "00b0000000",
      "00a40800045015440100",
      "00b0000000",
    ]);
    expect(pins).toMatchObject([
      {
        entry: { class: "pin", head: { label: "User PIN" }, reference: 1, padding: 0, storedLength: 16, minLength: 4 },
      },
    ]);
    expect(findings.list()).toEqual([]);
  });

  test("has two RSA keys and one on a curve, and certificates for two of them", async () => {
    const { contents } = await contentsOf(recordedCard());
    const keys = await contents.directory("private-keys");
    expect(keys.map(({ entry }) => entry)).toMatchObject([
      { type: "rsa", modulusBits: 2048, head: { label: "RSA cert" }, key: { id: Uint8Array.of(1), keyReference: 0 } },
      { type: "rsa", modulusBits: 2048, head: { label: "RSA decrypt" }, key: { keyReference: 1 } },
      { type: "ec", fieldBits: 256, head: { label: "EC cert", private: true }, key: { keyReference: 2 } },
    ]);
    const certificates = await contents.directory("certificates");
    expect(certificates.map(({ entry }) => entry.head.label)).toEqual(["RSA cert", "EC cert"]);
    expect(await contents.tokenInfo()).toMatchObject({ label: "JavaCard isoApplet", manufacturer: "unknown" });
  });

  test("is read no further than a directory's padding, and no file twice", async () => {
    const card = recordedCard();
    const { contents } = await contentsOf(card);
    card.commands.length = 0;
    await contents.directory("certificates");
    await contents.directory("certificates");
    expect(card.commands).toEqual(["00a40800045015440400", "00b0000000"]);
  });
});

describe("cards that select in their own way", () => {
  test.each<[string, Quirks]>([
    ["tell nothing of a file", { answers: [0x0c] }],
    ["tell FCP only", { answers: [0x04] }],
    ["know no paths", { noPath: true }],
    ["read 128 bytes at most", { maxRead: 128 }],
  ])("that %s are read all the same", async (_, quirks) => {
    const { contents, findings } = await contentsOf(cardWith({}, quirks));
    expect(await contents.directory("private-keys")).toHaveLength(3);
    expect(await contents.tokenInfo()).toMatchObject({ label: "JavaCard isoApplet" });
    expect(findings.list()).toEqual([]);
  });

  test("a card that hands out a byte at a time is not waited for", async () => {
    const card = cardWith({}, { answers: [0x00], dribble: true });
    const inserted = await insert(card);
    await expect(findApplications(inserted, new Findings(inserted))).resolves.toBeDefined();
    expect(card.commands.length).toBeLessThan(4000);
  });

  test("extended reads that the card answers in short parts are read to the end", async () => {
    // Historical bytes with card capabilities that announce extended length.
    const card = new FileCard({
      atr: "3b85800180" + "73c001c0" + "32",
      files: RECORDING.files,
      quirks: { answers: [0x0c] },
    });
    const { contents } = await contentsOf(card);
    const keys = await contents.directory("private-keys");
    expect(keys).toHaveLength(3);
  });

  test("the form that a card takes is not looked for twice", async () => {
    const card = cardWith({}, { answers: [0x0c], noPath: true });
    const { contents } = await contentsOf(card);
    card.commands.length = 0;
    await contents.directory("private-keys");
    expect(card.commands.filter((command) => command.startsWith("00a4"))).toEqual(["00a4000c024402"]);
  });

  test("a card whose applications EF.DIR alone tells is found by the path there", async () => {
    const files = Object.fromEntries(
      Object.entries(RECORDING.files).map(([path, file]) => [path.replace(/^5015/u, "4d4d"), file]),
    );
    const template = "611c4f0ca000000063504b43532d31355006" + "4d79206b6579" + "5104" + "3f004d4d";
    const odf = RECORDING.files["50155031"]?.contents.replaceAll("3f005015", "3f004d4d") ?? "";
    const card = new FileCard({
      files: { ...files, "2f00": { contents: template }, "4d4d5031": { contents: odf } },
    });
    const { contents } = await contentsOf(card);
    expect(await contents.directory("private-keys")).toHaveLength(3);
  });
});

test("a directory under a short identifier is read by it", async () => {
  // 4402 and 4403 are 02 and 03.
  const card = cardWith({ "50155031": { contents: "a0053003040102" + "a1053003040103" } });
  const { contents } = await contentsOf(card);
  expect(await contents.directory("private-keys")).toHaveLength(3);
  expect(await contents.directory("public-keys")).toHaveLength(3);
  expect(card.commands).toContain("00b0820000");
});

describe("what is wrong on a card", () => {
  test("costs the object that it is in, and is told", async () => {
    const prkdf = RECORDING.files["50154402"]?.contents ?? "";
    // The second key's identifier becomes a BOOLEAN.
    const broken = prkdf.replace("300e040102", "300e010102");
    const { contents, findings } = await contentsOf(cardWith({ "50154402": { contents: broken } }));
    const keys = await contents.directory("private-keys");
    expect(keys.map(({ entry }) => entry.head.label)).toEqual(["RSA cert", "EC cert"]);
    expect(findings.list()).toMatchObject([{ where: expect.stringContaining("at 113") as unknown }]);
  });

  test("a length that goes beyond the file costs what is behind it", async () => {
    const prkdf = RECORDING.files["50154402"]?.contents ?? "";
    const { contents, findings } = await contentsOf(
      cardWith({ "50154402": { contents: `${prkdf.slice(0, 226)}3083010000${prkdf.slice(236)}` } }),
    );
    expect(await contents.directory("private-keys")).toHaveLength(1);
    expect(findings.list()).toHaveLength(1);
  });

  test("a path to nowhere costs its directory", async () => {
    const card = cardWith();
    card.files.delete("50154404");
    const { contents, findings } = await contentsOf(card);
    expect(await contents.directory("certificates")).toEqual([]);
    expect(await contents.directory("private-keys")).toHaveLength(3);
    expect(findings.list()).toMatchObject([{ where: "certificates 3f0050154404" }]);
  });

  test("an ODF that leads to itself is read once", async () => {
    const odf = `a00a300804063f0050155031`.repeat(3);
    const card = cardWith({ "50155031": { contents: odf } });
    const { contents, findings } = await contentsOf(card);
    expect(await contents.directory("private-keys")).toEqual([]);
    expect(findings.list().length).toBeGreaterThan(0);
    expect(card.commands.length).toBeLessThan(12);
  });
});

test("indefinite lengths and lengths longer than they need be are read", async () => {
  const odf =
    "a080" + "3080" + "0406" + "3f0050154402" + "0000" + "0000" + "a883" + "00000a" + "3008" + "0406" + "3f0050154401";
  const { contents } = await contentsOf(cardWith({ "50155031": { contents: odf } }));
  expect(await contents.directory("private-keys")).toHaveLength(3);
  const [pin] = await contents.directory("authentication");
  expect(pin && toHex(pin.entry.class === "pin" ? (pin.entry.authId ?? new Uint8Array()) : new Uint8Array())).toBe(
    "ff",
  );
});
