import type { Card, CardApplication } from "../card/index.ts";
import { describeFiles, inspectPkcs15, type Pkcs15Inspection, readEndOfFile } from "../pkcs15/index.ts";
import { SW } from "../apdu/index.ts";
import { storageProblem } from "./certificates.ts";
import type { Check, Examination } from "./examination.ts";
import { SLOT_CHECKS } from "./piv/slots.ts";

export const PKCS15_CHECKS = {
  DIRECTORY: {
    name: "directory",
    level: "defect",
    section: "ISO/IEC 7816-15 section 8",
    consequence:
      "Entries that do not parse or refer to something missing are skipped. Everything else on the card can be used.",
    remedy: "Have the card personalised again if you need a skipped object.",
  },
  END_OF_FILE: {
    name: "end-of-file",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.3.3",
    consequence: "Programs that read until the card reports the end of the file never finish.",
    remedy: "This driver reads the file's length. Other programs need a version that does so too.",
  },
  PUK_NOT_LISTED: {
    name: "puk-not-listed",
    level: "note",
    section: "ISO/IEC 7816-15 section 8.9",
    consequence: "The PIN may be unblocked, but programs that look for its PUK in the directory find none.",
    remedy: "This driver offers it anyway: cryptoki pin unlock. If the card has no PUK, only its issuer can help.",
  },
  PADDED: {
    name: "certificate-padded",
    level: "note",
    section: "ISO/IEC 7816-15 section 8.6",
    consequence: "Programs that take the whole file for the certificate refuse it.",
    remedy: "This driver reads it. Nothing needs to be done if all programs do.",
  },
  NO_CHAINING: {
    name: "chaining-missing",
    level: "note",
    section: "ISO/IEC 7816-4 section 5.3.3",
    consequence:
      "Data that are too long for a short command reach the card only with extended length, which not every reader supports.",
    remedy:
      "Nothing needs to be done if keys and files can be used. Otherwise use a reader that supports extended length.",
  },
  NO_GET_RESPONSE: {
    name: "get-response-missing",
    level: "note",
    section: "ISO/IEC 7816-4 section 11.7.1",
    consequence:
      "Answers of more than 256 bytes reach the program only with extended length, which not every reader supports.",
    remedy:
      "Nothing needs to be done if keys and files can be used. Otherwise use a reader that supports extended length.",
  },
} as const satisfies Record<string, Check>;

/** A certificate is stored unchanged, in DER. */
const STORAGE = { ...SLOT_CHECKS.STORAGE, section: "ISO/IEC 7816-15 section 8.6" };

/** Checks the directories of a card with ISO/IEC 7816-15, and how its files end. */
export async function examinePkcs15(card: Card, application: CardApplication, examination: Examination): Promise<void> {
  const description = await describeFiles(card);
  const said = new Set<string>();
  for (const { where, problem } of [...(application.findings?.() ?? []), ...(description?.findings ?? [])]) {
    if (said.has(`${where}: ${problem}`)) continue;
    said.add(`${where}: ${problem}`);
    examination.found(PKCS15_CHECKS.DIRECTORY, where, `${problem}.`);
  }
  for (const { path, content, problem } of description?.files ?? []) {
    if (problem !== undefined) examination.found(PKCS15_CHECKS.DIRECTORY, path, `${content}: ${problem}.`);
  }
  const inspection = await inspectPkcs15(card);
  if (inspection) judgeInspection(inspection, examination);
  const end = await readEndOfFile(card);
  if (!end) return;
  const silent = [end.atEnd, end.behindEnd].some(({ sw, length }) => sw === SW.OK && length === 0);
  if (silent) {
    const text = `Reading at the end of the file answers 9000 without data, instead of 6282 or 6B00 for the end.`;
    examination.found(PKCS15_CHECKS.END_OF_FILE, end.path, text);
  }
}

function judgeInspection(inspection: Pkcs15Inspection, examination: Examination): void {
  for (const { label, stored } of inspection.certificates) judgeStorage(`certificate ${label}`, stored, examination);
  for (const pin of inspection.pinsWithoutPuk) {
    examination.found(
      PKCS15_CHECKS.PUK_NOT_LISTED,
      `PIN ${pin}`,
      "Its entry does not forbid unblocking, but no entry of a PUK belongs to it.",
    );
  }
  const { chaining, getResponse } = inspection;
  if (chaining === SW.CHAINING_NOT_SUPPORTED) {
    examination.found(PKCS15_CHECKS.NO_CHAINING, "card", "It answers 6884 to a SELECT in two parts.");
  } else if (chaining !== SW.OK) {
    const why = chaining === undefined ? "no file could be selected for it" : `a SELECT in two parts was refused`;
    examination.unchecked("command chaining", why);
  }
  if (getResponse === SW.INSTRUCTION_NOT_SUPPORTED) {
    examination.found(
      PKCS15_CHECKS.NO_GET_RESPONSE,
      "card",
      "It answers GET RESPONSE with 6D00: it does not support the command.",
    );
  }
}

function judgeStorage(where: string, stored: Uint8Array, examination: Examination): void {
  const isGzip = stored[0] === 0x1f && stored[1] === 0x8b;
  const odd = isGzip ? "It is compressed with gzip, which only PIV allows." : storageProblem(stored);
  if (odd === undefined) return;
  examination.found(!isGzip && stored[0] === 0x30 ? PKCS15_CHECKS.PADDED : STORAGE, where, odd);
}
