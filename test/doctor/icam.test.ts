import "reflect-metadata";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import * as x509 from "@peculiar/x509";
import * as pkijs from "pkijs";
import { readCertificates, type Report } from "../../src/doctor/index.ts";
import { personaliseFromFolder } from "../../src/virtual/index.ts";
import { defects, examined, notes, unchecked } from "./examined.ts";

const besides = path.resolve("../shared/data/icam-cards");
const root = process.env["ICAM_CARDS"] ?? (existsSync(besides) ? besides : undefined);

if (root === undefined) {
  console.warn(
    "ICAM test cards: skipped. Set ICAM_CARDS to the folder of cards from github.com/GSA/gsa-icam-card-builder.",
  );
}

/** Within the validity of the cards, their signers and authorities. */
const AT = new Date("2026-11-30T12:00:00Z");
const AUTHORITIES = "CA";
const CHUID = "Card Holder Unique Identifier";
const FACE = "Cardholder Facial Image";
const PRIMARY = "Discovery Object: discovery-global-pin";

/** Read once. */
let known: Promise<Uint8Array[]> | undefined;
const authorities = (): Promise<Uint8Array[]> => (known ??= readAuthorities());

async function readAuthorities(): Promise<Uint8Array[]> {
  const folder = path.join(root ?? "", AUTHORITIES);
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(path.join(folder, name))));
  return files.flatMap((file) => readCertificates({ pkijs, x509 }, file));
}

/** Reports of the cards as they are, which several tests look at. */
const reports = new Map<string, Promise<Report>>();

function reportOf(number: string): Promise<Report> {
  const known = reports.get(number) ?? examineFolder(number);
  reports.set(number, known);
  return known;
}

async function examineFolder(
  number: string,
  { at = AT, pin = "123456" }: { at?: Date; pin?: string | undefined } = {},
): Promise<Report> {
  const name = (await readdir(root ?? "")).find((candidate) => candidate.startsWith(`${number}_`)) ?? number;
  const card = await personaliseFromFolder(path.join(root ?? "", name), { pin: "123456", globalPin: "123456" });
  return examined(card, { at, authorities: await authorities(), ...(pin !== "" && { pin }) });
}

(root === undefined ? describe.skip : describe)("the published ICAM test cards", () => {
  test.each(["01", "02", "25", "27", "28", "37", "46", "53", "54"])(
    "%s is clean, and everything was looked at",
    async (number) => {
      const report = await reportOf(number);
      expect(defects(report)).toEqual([]);
      expect(unchecked(report)).toEqual([]);
    },
  );

  test.each([
    ["04", `${CHUID}: signature-wrong`],
    ["09", `signer of ${CHUID}: certificate-expired`],
    ["17", `${FACE}: fascn-differs`],
  ])("%s has the one defect that is planted in it", async (number, defect) => {
    const report = await reportOf(number);
    expect(defects(report)).toEqual([defect]);
    expect(unchecked(report)).toEqual([]);
  });

  test.each([
    ["01", []],
    ["25", ["Discovery Object: discovery-missing"]],
    ["27", [PRIMARY]],
    ["28", [PRIMARY]],
    ["37", [PRIMARY, "Key History Object: key-history", "keys: keys-mixed"]],
    ["46", []],
    ["53", ["certificate 9E: certificate-large"]],
    ["54", []],
  ])("%s: what is unusual is a note", async (number, expected) => {
    expect(notes(await reportOf(number))).toEqual(expected);
  });

  test("which PIN is the primary one is said", async () => {
    const [application] = (await reportOf("27")).findings;
    const [global] = (await reportOf("28")).findings;
    expect(application?.finding).toMatch(/^The PIV PIN is the primary one/u);
    expect(global?.finding).toMatch(/^The card's global PIN is the primary one/u);
  });

  test("without the PIN the photo of 17 is not looked at, and that is said", async () => {
    const report = await examineFolder("17", { pin: "" });
    expect(defects(report)).toEqual([]);
    expect(unchecked(report)).toEqual(expect.arrayContaining([FACE, `hash of ${FACE}`, "key 9A", "key 9C", "key 9D"]));
    expect(unchecked(report)).not.toContain("key 9E");
  });

  test("after its last day the card has expired, and with it everything on it", async () => {
    const found = defects(await examineFolder("46", { at: new Date("2033-01-01T00:00:00Z") }));
    expect(found).toEqual(
      expect.arrayContaining([
        `${CHUID}: chuid-expired`,
        "certificate 9A: certificate-expired",
        `${FACE}: biometric-expired`,
        `signer of ${CHUID}: certificate-expired`,
      ]),
    );
  });

  test("before their first day its certificates are not valid yet", async () => {
    const found = defects(await examineFolder("46", { at: new Date("2017-12-01T00:00:00Z") }));
    expect(found).toContain("certificate 9A: certificate-not-yet-valid");
  });
});
