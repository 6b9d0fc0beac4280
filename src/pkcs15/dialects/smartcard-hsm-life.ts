import { contextTag, derOctetString, derSequence, encodeDer } from "../../asn1/index.ts";
import { StatusError, SW } from "../../apdu/index.ts";
import type { CallOptions } from "../../async/index.ts";
import { secretUtf8, utf8, wipe } from "../../bytes/index.ts";
import { type Card, PinError, UnsupportedError } from "../../card/index.ts";
import { randomBytes } from "../../crypto/index.ts";
import { selected } from "../files/card-session.ts";
import { verify } from "../files/commands.ts";
import type { TokenLife, Variables } from "../initialising/life.ts";
import { encodeNewPin } from "../pins/pin-encoding.ts";
import { pinFailure } from "../pins/pins.ts";
import { derFlags, derNumber } from "../syntax/fields.ts";
import { writeFailure } from "../writing/allocation.ts";
import { initialiseDevice, selectApplet, writeFile } from "./smartcard-hsm-commands.ts";
import { INITIALISATION_CODE, USER_PIN } from "./smartcard-hsm-pins.ts";

const TOKEN_INFO = Uint8Array.of(0x2f, 0x03);
/** Bit of TokenFlags: prnGeneration. */
const RANDOM_NUMBERS = 2;
const DEFAULT_TRIES = 3;
/** Most tries of a PIN by its length; longer ones have ten (OpenSC, sc-hsm-tool.c, initialize). */
const MOST_TRIES: ReadonlyMap<number, number> = new Map([
  [6, 3],
  [7, 5],
]);

/**
 * SmartCard-HSM: INITIALIZE DEVICE. The SO PIN is the initialisation code, 16 hexadecimal digits. Variables: `pin`, the user's
 * PIN (default: an unknown one, until C_InitPIN), `pin-tries` (1 to 10, default 3; at most 3 for a PIN of 6 characters, 5 for
 * 7), `dkek-shares` (0 to 255, default: no key can leave the card; 0: with a key of the card's own, for this card only).
 */
export const SMARTCARD_HSM_LIFE: TokenLife = {
  make: "SmartCard-HSM",
  manufacturer: "www.CardContact.de",
  officer: INITIALISATION_CODE,
  initToken,
};

async function initToken(
  card: Card,
  soPin: Uint8Array,
  label: string,
  variables: Variables,
  options?: CallOptions,
): Promise<void> {
  const code = encodeNewPin(INITIALISATION_CODE, soPin);
  let pin: Uint8Array = new Uint8Array();
  try {
    pin = userPin(variables.get("pin"));
    const tries = number(variables, "pin-tries", 1, MOST_TRIES.get(pin.length) ?? 10) ?? DEFAULT_TRIES;
    const command = initialiseDevice({ pin, code, tries, dkekShares: number(variables, "dkek-shares", 0, 255) });
    try {
      await card.exclusively(async ({ send }) => {
        const answer = await send(selectApplet());
        if (!selected(answer)) throw new StatusError("SELECT of the SmartCard-HSM", answer.sw);
        const { sw } = await send(command);
        if (sw !== SW.OK) throw initialisationFailure(sw);
        const login = await send(verify(USER_PIN.reference, pin));
        if (login.sw !== SW.OK) throw pinFailure(USER_PIN, login.sw, 0x20);
        for (const part of writeFile(TOKEN_INFO, tokenInfo(label))) {
          const written = await send(part);
          if (written.sw !== SW.OK) throw writeFailure("UPDATE BINARY of TokenInfo", written.sw);
        }
      }, options);
    } finally {
      wipe(command.data ?? new Uint8Array());
    }
  } finally {
    wipe(code, pin);
  }
}

/** The card answers a wrong code as it answers conditions that are not satisfied. */
function initialisationFailure(sw: number): Error {
  const cause = new StatusError("INITIALIZE DEVICE", sw);
  if (sw === SW.AUTHENTICATION_METHOD_BLOCKED) return new PinError("blocked", "SO PIN is blocked", 0, { cause });
  const { triesLeft } = cause;
  if (sw === SW.CONDITIONS_NOT_SATISFIED || sw === SW.SECURITY_STATUS_NOT_SATISFIED || triesLeft !== undefined) {
    return new PinError("incorrect", "SO PIN is wrong: the card was initialised with another one", triesLeft, {
      cause,
    });
  }
  return writeFailure("INITIALIZE DEVICE", sw);
}

function userPin(text: string | undefined): Uint8Array {
  if (text === undefined) return randomBytes(15).map((octet) => 0x30 + (octet % 10));
  const characters = secretUtf8(text);
  try {
    return encodeNewPin(USER_PIN, characters);
  } finally {
    wipe(characters);
  }
}

/** @throws {UnsupportedError} for a value that is no number from `least` to `most`. */
function number(variables: Variables, name: string, least: number, most: number): number | undefined {
  const text = variables.get(name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d{1,3}$/u.test(text) || value < least || value > most) {
    throw new UnsupportedError(`${name} is a number from ${least} to ${most} on this card`);
  }
  return value;
}

/** EF.TokenInfo with a label (OpenSC, card-sc-hsm.c, sc_hsm_initialize). */
export function tokenInfo(label: string): Uint8Array {
  return derSequence(
    derNumber(0),
    derOctetString(new Uint8Array()),
    encodeDer(contextTag(0, "primitive"), utf8(label)),
    derFlags([RANDOM_NUMBERS]),
  );
}
