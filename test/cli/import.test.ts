import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { generateKeyPairSync } from "node:crypto";
import { TAG } from "../../src/asn1/index.ts";
import { CardFolder } from "./card.ts";
import { cryptoki, json, jsonError, type Outcome } from "./program.ts";

/** The management key that every new card has (SP 800-73 does not fix one; vendors do). */
const OFFICER = { CRYPTOKI_SO_PIN: "010203040506070801020304050607080102030405060708" };

let folder: CardFolder;
beforeAll(async () => {
  folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": "p-256", "9d": null, "9e": null } });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], { env });

const read = async (id: string): Promise<Uint8Array> => (await onCard(["read", "--id", id, "--format", "der"])).bytes;

describe("import", () => {
  test("a certificate, which takes the place of the one that was there", async () => {
    const other = folder.file("other.der", await read("02"));
    const imported = await onCard(["import", "--so", "--id", "01", other, "--json"], OFFICER);
    expect(imported).toMatchObject({ code: 0, stderr: "" });
    expect(json(imported)).toMatchObject({ type: "cert", id: "01" });
    expect(await read("01")).toEqual(await read("02"));
  });

  test.each(["991399000000Z", "no date, here", "0000000000\u001b\u0000Z"])(
    "a certificate that is valid from %j on, which read shows as it stands there",
    async (odd) => {
      const der = Buffer.from(await read("02"));
      der.write(odd, der.indexOf(Buffer.of(TAG.UTC_TIME, odd.length)) + 2, "latin1");
      const file = folder.file("odd.der", der);
      expect(await onCard(["import", "--so", "--id", "01", file], OFFICER)).toMatchObject({ code: 0, stderr: "" });
      const { certificate } = json(await onCard(["read", "--id", "01", "--json"])) as { certificate: object };
      expect(certificate).toMatchObject({ notBefore: odd, notAfter: expect.stringMatching(/^20\d\d-.*Z$/u) });
      const { code, stdout } = await onCard(["read", "--id", "01", "--format", "text"]);
      expect(code).toBe(0);
      // eslint-disable-next-line no-control-regex -- none of them reaches a terminal
      const shown = odd.replace(/[\u0000-\u001f]/gu, "\ufffd");
      expect(stdout).toMatch(new RegExp(`^valid +${shown} to 20\\d\\d-\\d\\d-\\d\\d$`, "mu"));
      for (const list of [["objects"], ["objects", "--json"], ["card", "dump"]]) {
        expect((await onCard(list)).stderr).toBe("");
      }
    },
  );

  test("a data object, by its object identifier", async () => {
    const security = "2.16.840.1.101.3.7.2.144.0";
    const file = folder.file("note", Buffer.from("53070105484f4c4445", "hex"));
    const imported = await onCard(
      ["import", "--so", "--type", "data", "--object-id", security, file, "--json"],
      OFFICER,
    );
    expect([imported.code, imported.stderr]).toEqual([0, ""]);
    const { label } = json(imported) as { label: string };
    const back = await onCard(["read", "--type", "data", "--label", label]);
    expect([back.code, back.stderr]).toEqual([0, ""]);
    expect(Buffer.from(back.bytes).toString("hex")).toContain("484f4c4445");
  });

  test("without the management key the card stays as it is", async () => {
    const before = await read("02");
    const file = folder.file("one.der", await read("01"));
    const refused = await onCard(["import", "--so", "--id", "02", file, "--json"], {
      CRYPTOKI_SO_PIN: "00".repeat(24),
    });
    expect(refused.code).toBe(4);
    expect(jsonError(refused)).toMatchObject({ name: "CKR_PIN_INCORRECT" });
    expect(await read("02")).toEqual(before);
  });

  test("without --so it is said who writes on such a card", async () => {
    const file = folder.file("two.der", await read("02"));
    const refused = await onCard(["import", "--id", "01", file, "--json"], { CRYPTOKI_PIN: "123456" });
    expect(jsonError(refused)).toMatchObject({ exitCode: 4, message: expect.stringContaining("--so") });
    const kept = await onCard(["delete", "--type", "cert", "--id", "01"], { CRYPTOKI_PIN: "123456" });
    expect(kept).toMatchObject({ code: 4, stderr: expect.stringContaining("--so") });
  });

  test("what is in the file is told, if it is not what was announced", async () => {
    const key = folder.file(
      "key.pem",
      generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "pkcs8" }),
    );
    const refused = await onCard(["import", "--so", "--id", "01", key], OFFICER);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("holds no certificate") });
    const unable = await onCard(["import", "--so", "--type", "private", "--id", "01", key], OFFICER);
    expect(unable.code).not.toBe(0);
  });
});

describe("delete", () => {
  test("a certificate goes, its key stays", async () => {
    const gone = await onCard(["delete", "--so", "--type", "cert", "--id", "02", "--json"], OFFICER);
    expect(json(gone)).toMatchObject({ deleted: true, id: "02" });
    expect((await onCard(["read", "--id", "02"])).code).toBe(3);
  });

  test("says what it needs to know", async () => {
    expect(await onCard(["delete", "--so", "--id", "01"], OFFICER)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--type"),
    });
    expect((await onCard(["delete", "--so", "--type", "cert", "--id", "77"], OFFICER)).code).toBe(3);
  });
});
