import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { X509Certificate } from "node:crypto";
import { describe, expect, jest, test } from "@jest/globals";
import { fromUtf8, utf8 } from "../../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { piv } from "../../../src/piv/index.ts";
import { personaliseFromFolder } from "../../../src/virtual/index.ts";
import { plugIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

/** The published ICAM test cards (github.com/GSA/gsa-icam-card-builder), which are not a part of this project. */
const BESIDE = fileURLToPath(new URL("../../../../shared/data/icam-cards", import.meta.url));
const FOLDER = process.env["ICAM_CARDS"] ?? (existsSync(BESIDE) ? BESIDE : undefined);
const CARDS = ["01", "37", "46", "53"];

/** Files of certificates by number, and the CKA_ID of each. */
const CERTIFICATES = new Map([
  [3, 1],
  [4, 2],
  [5, 3],
  [6, 4],
  [14, 5],
  [15, 6],
  [16, 7],
  [17, 8],
  [18, 9],
]);
const DATA = new Map([
  [2, "Security Object"],
  [7, "Card Capability Container"],
  [8, "Card Holder Unique Identifier"],
  [9, "Cardholder Fingerprints"],
  [10, "Cardholder Facial Image"],
  [11, "Printed Information"],
]);

async function readWholeCard(): Promise<{ certificates: Map<number, Uint8Array>; data: Map<string, Uint8Array> }> {
  await using pcsc = new Pcscd();
  const cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
  await cryptoki.C_Initialize();
  const [slot] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot ?? -1, CKF_SESSION.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, utf8("123456"));
  const find = async (objectClass: number): Promise<readonly number[]> => {
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass });
    const found = await cryptoki.C_FindObjects(session, 100);
    await cryptoki.C_FindObjectsFinal(session);
    return found;
  };
  const certificates = new Map<number, Uint8Array>();
  for (const object of await find(CKO.CERTIFICATE)) {
    const { [CKA.ID]: id, [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(session, object, [
      CKA.ID,
      CKA.VALUE,
    ]);
    certificates.set(id[0] ?? 0, value);
  }
  const data = new Map<string, Uint8Array>();
  for (const object of await find(CKO.DATA)) {
    const read = await cryptoki.C_GetAttributeValue(session, object, [CKA.LABEL, CKA.VALUE]);
    data.set(read[CKA.LABEL], read[CKA.VALUE]);
  }
  await cryptoki.C_Finalize();
  return { certificates, data };
}

if (FOLDER === undefined) {
  test("ICAM cards: skipped, because ICAM_CARDS names no folder with the published test cards", () => {
    console.warn("The ICAM test cards were not read: set ICAM_CARDS to a folder that holds them.");
    expect(process.env["ICAM_CARDS"]).toBeUndefined();
  });
} else {
  describe.each(CARDS)("ICAM card %s", (number) => {
    test("is read in full through pcscd", async () => {
      const name = (await readdir(FOLDER)).find((candidate) => candidate.startsWith(`${number}_`)) ?? number;
      const folder = path.join(FOLDER, name);
      const plugged = await plugIn(await personaliseFromFolder(folder), "Virtual PCD");
      const { certificates, data } = await readWholeCard().finally(() => plugged[Symbol.asyncDispose]());
      const files = (await readdir(folder)).sort();

      for (const [file, id] of CERTIFICATES) {
        const pem = files.find((candidate) => candidate.startsWith(`${file} - `) && candidate.endsWith(".crt"));
        const expected =
          pem && new Uint8Array(new X509Certificate(fromUtf8(await readFile(path.join(folder, pem)))).raw);
        expect({ id, value: certificates.get(id) }).toEqual({ id, value: expected });
      }
      for (const [file, label] of DATA) {
        const content = files.find((candidate) => candidate.startsWith(`${file} - `));
        const expected = content && new Uint8Array(await readFile(path.join(folder, content)));
        expect({ label, value: data.get(label) }).toEqual({ label, value: expected });
      }
    });
  });
}
