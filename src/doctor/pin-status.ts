import { SW } from "../apdu/index.ts";
import type { Check, Examination } from "./examination.ts";

export const PIN_CHECKS = {
  BLOCKED: {
    name: "pin-blocked",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.6.6",
    consequence: "It cannot be used to log in.",
    remedy: "Unblock the PIN with the PUK: cryptoki pin unlock. Only the card's issuer can help with a blocked PUK.",
  },
  NOT_SET: {
    name: "pin-not-set",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.6.6",
    consequence: "The card is not ready for use: no user can log in.",
    remedy:
      "Set the PIN: cryptoki token init on a card that is not initialised, cryptoki pin set as security officer; or have its issuer do it.",
  },
  LAST_TRY: {
    name: "pin-last-try",
    level: "note",
    section: "ISO/IEC 7816-4 section 11.6.6",
    consequence: "One more wrong PIN blocks it.",
    remedy: "Log in once with the right PIN: then all tries are there again.",
  },
  MANY_TRIES: {
    name: "pin-tries",
    level: "note",
    section: "ISO/IEC 7816-4 section 11.6.6",
    consequence: "More wrong PINs than the usual three are allowed before it is blocked.",
    remedy: "Nothing needs to be done.",
  },
  NEVER_VERIFIED: {
    name: "pin-verified-untold",
    level: "note",
    section: "ISO/IEC 7816-4 section 11.6.6",
    consequence: "Programs that check whether the PIN is verified ask the user for it again.",
    remedy: "This driver remembers its login. Other programs may ask for the PIN more often.",
  },
  OLD_STATUS: {
    name: "pin-status-words",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.6.6",
    consequence: "Programs that expect 63Cx cannot tell how many tries are left.",
    remedy: "This driver supports it. Nothing needs to be done.",
  },
  NO_STATUS: {
    name: "pin-status-unknown",
    level: "defect",
    section: "ISO/IEC 7816-4 section 11.6.6",
    consequence: "The tries left are not known before a PIN is tried.",
    remedy: "Type the PIN with care. The card cannot be changed in this respect.",
  },
} as const satisfies Record<string, Check>;

/**
 * Reports the answer to an empty VERIFY of a PIN.
 * @param section The section of the card's own standard with the command.
 */
export function judgePinStatus(examination: Examination, where: string, sw: number, section: string): void {
  const found = (check: Check, text: string): void => {
    examination.found({ ...check, section: `${section}; ${check.section}` }, where, text);
  };
  const code = sw.toString(16).toUpperCase().padStart(4, "0");
  if (sw === SW.OK) return;
  if (sw === SW.REFERENCE_DATA_NOT_USABLE || sw === SW.REFERENCED_DATA_NOT_FOUND) {
    found(PIN_CHECKS.NOT_SET, `The card answers ${code}: the PIN is not set.`);
    return;
  }
  const left = triesLeft(sw);
  if (left === undefined) {
    found(PIN_CHECKS.NO_STATUS, `The card answers an empty VERIFY with ${code} instead of the tries left.`);
    return;
  }
  if (isOldForm(sw))
    found(PIN_CHECKS.OLD_STATUS, `The card answers ${code} instead of 63C${left.toString(16).toUpperCase()}.`);
  if (left === 0) found(PIN_CHECKS.BLOCKED, "It is blocked: no tries are left.");
  if (left > USUAL_TRIES) found(PIN_CHECKS.MANY_TRIES, `${left} tries are left.`);
  if (left === 1) found(PIN_CHECKS.LAST_TRY, "One try is left.");
}

/** The usual number of tries. */
const USUAL_TRIES = 3;

/** 630x, of YubiKeys with firmware before 4 (yubico-piv-tool, ykpiv.c). */
const isOldForm = (sw: number): boolean => sw >> 4 === 0x630;

function triesLeft(sw: number): number | undefined {
  if (sw === SW.AUTHENTICATION_METHOD_BLOCKED) return 0;
  return sw >> 4 === 0x63c || isOldForm(sw) ? sw & 0x0f : undefined;
}
