import { PIN_FLAG, type PinEntry } from "../syntax/authentication.ts";
import { Flags } from "../syntax/fields.ts";
import type { ObjectHead } from "../syntax/object.ts";

/** The user PIN's identifier in the entries of keys and protected data. */
export const USER_PIN_ID = Uint8Array.of(1);
const CODE_ID = Uint8Array.of(2);

function head(label: string, authId: Uint8Array | undefined): ObjectHead {
  return { label, private: false, modifiable: false, authId, userConsent: undefined, accessRules: [] };
}

/**
 * Letters are allowed like digits: the applet compares bytes (OpenSC, pkcs15-sc-hsm.c: reference, 6 to 15 characters).
 */
export const USER_PIN: PinEntry = {
  class: "pin",
  head: head("UserPIN", CODE_ID),
  authId: USER_PIN_ID,
  flags: Flags.of(PIN_FLAG.CASE_SENSITIVE, PIN_FLAG.INITIALIZED),
  type: "utf8",
  minLength: 6,
  storedLength: 0,
  maxLength: 15,
  reference: 0x81,
  padding: undefined,
  path: undefined,
};

/**
 * The initialisation code, called SO PIN: 8 bytes, written as 16 digits of 0 to F (OpenSC, card-sc-hsm.c,
 * sc_hsm_encode_sopin). No command verifies it alone: it sets the user's PIN by RESET RETRY COUNTER, like a PUK
 * (sc_hsm_init_pin).
 */
export const INITIALISATION_CODE: PinEntry = {
  class: "pin",
  head: head("SOPIN", undefined),
  authId: CODE_ID,
  flags: Flags.of(PIN_FLAG.UNBLOCKING, PIN_FLAG.UNBLOCK_DISABLED, PIN_FLAG.INITIALIZED),
  type: "hexadecimal",
  minLength: 16,
  storedLength: 8,
  maxLength: 16,
  reference: 0x88,
  padding: undefined,
  path: undefined,
};

/** Replaces the AODF of other cards: each card has the same two PINs. */
export const SMARTCARD_HSM_PINS: readonly PinEntry[] = [USER_PIN, INITIALISATION_CODE];
