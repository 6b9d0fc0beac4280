import { SW } from "../../apdu/index.ts";
import { DataError, fromUtf8, toHex } from "../../bytes/index.ts";
import { isNotFound } from "../../card/index.ts";
import { CONTAINER } from "../../piv/index.ts";
import { day, valueOf } from "../certificates.ts";
import type { Check } from "../examination.ts";
import { type PivPatient, readElements, statusText } from "./patient.ts";

export const OBJECT_CHECKS = {
  ANSWER: {
    name: "object-answer",
    level: "defect",
    section: "SP 800-73-4 part 2 section 3.1.2",
    consequence: "Programs cannot tell an absent object from an accident, and may not show the card at all.",
    remedy: "This driver handles it. Ask the card's maker for newer firmware.",
  },
  CAPABILITIES: {
    name: "ccc-data-model",
    level: "defect",
    section: "SP 800-73-4 part 1 section 3.1.1",
    consequence: "Programs that read the card capability container do not recognise the card as a PIV card.",
    remedy: "Ask the card's issuer to write the object again.",
  },
  PRINTED_EXPIRY: {
    name: "printed-expiry-differs",
    level: "defect",
    section: "SP 800-73-4 part 1 sections 3.1.2 and 3.3.1; FIPS 201-2 section 4.1.4.1",
    consequence: "The date on the card's face differs from the one that programs use.",
    remedy: "Ask the card's issuer for a new card.",
  },
} as const satisfies Record<string, Check>;

/** Registered data model number of PIV (SP 800-73-4 part 1 section 3.1.1). */
const PIV_DATA_MODEL = 0x10;
const TAG = { DATA_MODEL: 0xf5, EXPIRES: 0x04 } as const;

/** Checks the card's answers for objects of any content: present, absent, or protected by the PIN. */
export function examineAnswers({ examination, objects }: PivPatient): void {
  for (const [{ name }, answer] of objects) {
    const { sw } = answer;
    const usual = sw === SW.OK || sw === SW.SECURITY_STATUS_NOT_SATISFIED || isNotFound(sw);
    if (!usual)
      examination.found(
        OBJECT_CHECKS.ANSWER,
        name,
        `The card answers ${statusText(answer)} where 6A82 says "not found".`,
      );
  }
}

/**
 * Checks that the card capability container names the data model of PIV. Cards that their holders personalise often
 * have none.
 */
export function examineCapabilities({ examination, objects }: PivPatient): void {
  const { name } = CONTAINER.CCC;
  const value = objects.get(CONTAINER.CCC)?.value;
  if (!value) return;
  const model = valueOf(value, TAG.DATA_MODEL);
  if (model?.length === 1 && model[0] === PIV_DATA_MODEL) return;
  const said = model === undefined ? "no data model" : `the data model ${toHex(model).toUpperCase()}`;
  examination.found(OBJECT_CHECKS.CAPABILITIES, name, `It names ${said}; that of PIV is 10.`);
}

/** Compares the printed expiration date with that of the CHUID. */
export function examinePrinted({ examination, objects, altered }: PivPatient, expires: Date | undefined): void {
  const { name } = CONTAINER.PRINTED_INFORMATION;
  const answer = objects.get(CONTAINER.PRINTED_INFORMATION);
  if (answer?.sw === SW.SECURITY_STATUS_NOT_SATISFIED) examination.unchecked(name, "reading it needs the PIN: --login");
  if (!answer?.value || !expires || altered.has(CONTAINER.CHUID)) return;
  const printed = printedDate(answer.value);
  if (printed === undefined || printed === printedForm(expires)) return;
  examination.found(OBJECT_CHECKS.PRINTED_EXPIRY, name, `It says ${printed}; the CHUID says ${day(expires)}.`);
}

/** "2032DEC02". */
function printedForm(date: Date): string {
  const month = date.toUTCString().slice(8, 11).toUpperCase();
  return `${date.getUTCFullYear()}${month}${String(date.getUTCDate()).padStart(2, "0")}`;
}

function printedDate(value: Uint8Array): string | undefined {
  try {
    const field = readElements(value, "printed information").find(({ tag }) => tag === TAG.EXPIRES)?.value;
    return field && fromUtf8(field).toUpperCase();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return undefined;
  }
}
