import type { Card, CardApplication } from "../card/index.ts";
import { describeFiles, readEndOfFile } from "../pkcs15/index.ts";
import type { Check, Examination } from "./examination.ts";

export const PKCS15_CHECKS = {
  DIRECTORY: {
    name: "directory",
    level: "defect",
    section: "ISO/IEC 7816-15 section 8",
    consequence: "What does not parse, or leads nowhere, is left out. Everything else on the card can be used.",
    remedy: "Have the card personalised again if something on it is missed.",
  },
  END_OF_FILE: {
    name: "end-of-file",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.3.3",
    consequence: "Programs that read until the card says that the file ends never finish.",
    remedy: "This driver reads as many bytes as the file has. Other programs need a version that does so too.",
  },
} as const satisfies Record<string, Check>;

const OK = 0x9000;

/** The directories of a card with ISO/IEC 7816-15, and how its files end. */
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
  const end = await readEndOfFile(card);
  if (!end) return;
  const silent = [end.atEnd, end.behindEnd].some(({ sw, length }) => sw === OK && length === 0);
  if (silent) {
    const text = `Reading at the end of the file answers 9000 without data, where 6282 or 6B00 says that it ends.`;
    examination.found(PKCS15_CHECKS.END_OF_FILE, end.path, text);
  }
}
