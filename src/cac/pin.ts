import { type CommandApdu, StatusError, SW } from "../apdu/index.ts";
import { secretBytes, wipe } from "../bytes/index.ts";
import {
  type PinBlock,
  PinError,
  type PinInfo,
  type PinPadReader,
  type PinStatus,
  triesLeftText,
  UnsupportedError,
} from "../card/index.ts";
import { changeReference, verify } from "./commands.ts";
import type { CacExchange } from "./session.ts";

/** 4 to 8 decimal digits. */
export const CAC_PIN: PinInfo = { label: "PIN", minLength: 4, maxLength: 8 };

/** A PIN's length on the wire, padded with FF. */
const PIN_LENGTH = 8;

/**
 * Refuses a PIN that no CAC accepts, before anything is sent.
 * @throws {PinError}
 */
function checkPin(pin: Uint8Array): void {
  const { minLength, maxLength } = CAC_PIN;
  if (pin.length < minLength || pin.length > maxLength) {
    throw new PinError("length", `a CAC's PIN has ${minLength} to ${maxLength} digits; the card was not asked`);
  }
  if (!isDigits(pin)) throw new PinError("characters", "a CAC's PIN has digits only; the card was not asked");
}

/** A new PIN must be longer: FIPS 201-3 section 4.3.1. */
const NEW_MIN_LENGTH = 6;

function checkNewPin(pin: Uint8Array): void {
  const { maxLength } = CAC_PIN;
  if (pin.length >= NEW_MIN_LENGTH && pin.length <= maxLength && isDigits(pin)) return;
  throw new PinError(
    "unacceptable",
    `a CAC's new PIN has ${NEW_MIN_LENGTH} to ${maxLength} digits; the card was not asked`,
  );
}

const isDigits = (pin: Uint8Array): boolean => pin.every((digit) => digit >= 0x30 && digit <= 0x39);

function padPins(...pins: readonly Uint8Array[]): Uint8Array {
  const padded = secretBytes(PIN_LENGTH * pins.length).fill(0xff);
  for (const [index, pin] of pins.entries()) padded.set(pin, PIN_LENGTH * index);
  return padded;
}

/** Sends a PIN that was checked. */
export type PinCommand = (send: CacExchange) => Promise<void>;

/**
 * VERIFY, once (GSC-IS 2.1 section 5.3.3.6).
 * @throws {PinError} for a PIN that no card accepts; the returned function throws it for a wrong or blocked one,
 *   {StatusError} otherwise.
 */
export function verifyPin(pin: Uint8Array): PinCommand {
  checkPin(pin);
  return (send) => sendPins(send, "VERIFY", [pin], verify);
}

/**
 * CHANGE REFERENCE DATA.
 * @param p1 The value that the card needs.
 * @throws {PinError} for PINs that no card accepts; the returned function throws it for a wrong old PIN,
 *   {UnsupportedError} if the card does not support the command.
 */
export function changePin(oldPin: Uint8Array, newPin: Uint8Array, p1: number): PinCommand {
  checkPin(oldPin);
  checkNewPin(newPin);
  return (send) => sendPins(send, "CHANGE REFERENCE DATA", [oldPin, newPin], (pins) => changeReference(pins, p1));
}

async function sendPins(
  send: CacExchange,
  action: string,
  pins: readonly Uint8Array[],
  build: (padded: Uint8Array) => CommandApdu,
): Promise<void> {
  const padded = padPins(...pins);
  try {
    expectAccepted(action, (await send(build(padded))).sw);
  } finally {
    wipe(padded);
  }
}

/** How a reader with a keypad formats the PIN. */
const PAD_BLOCK: PinBlock = {
  format: "ascii",
  size: PIN_LENGTH,
  withLength: false,
  minDigits: CAC_PIN.minLength,
  maxDigits: CAC_PIN.maxLength,
};

/** VERIFY with a PIN that is typed on the reader. Errors as for {@link verifyPin} and {@link PinPadReader.verify}. */
export function verifyOnPad(reader: PinPadReader): PinCommand {
  const command = verify(padPins(new Uint8Array()));
  return async () => {
    expectAccepted("VERIFY", await reader.verify(command, PAD_BLOCK));
  };
}

/** CHANGE REFERENCE DATA likewise: the old PIN, and the new one twice. */
export function changeOnPad(reader: PinPadReader, p1: number): PinCommand {
  const command = changeReference(padPins(new Uint8Array(), new Uint8Array()), p1);
  const places = { old: 0, fresh: PIN_LENGTH, asksOld: true };
  return async () => {
    expectAccepted("CHANGE REFERENCE DATA", await reader.modify(command, PAD_BLOCK, places));
  };
}

function expectAccepted(action: string, sw: number): void {
  if (sw !== SW.OK) throw pinFailure(action, sw);
}

/** Status words for an unsupported command. */
const UNKNOWN: ReadonlySet<number> = new Set([
  SW.INSTRUCTION_NOT_SUPPORTED,
  SW.FUNCTION_NOT_SUPPORTED,
  SW.COMMAND_NOT_ALLOWED,
]);

function pinFailure(action: string, sw: number): Error {
  const cause = new StatusError(action, sw);
  const { triesLeft } = cause;
  if (triesLeft === 0)
    return new PinError("blocked", "the PIN is blocked; only the card's issuer can help", 0, { cause });
  if (triesLeft !== undefined) {
    return new PinError("incorrect", `the PIN is wrong; ${triesLeftText(triesLeft)}`, triesLeft, { cause });
  }
  if (action !== "VERIFY" && UNKNOWN.has(sw))
    return new UnsupportedError("the card does not allow a PIN change", { cause });
  // 6300 has no number; libcacard answers 6985 to a wrong PIN (vcard_emul_login).
  if (sw === SW.VERIFICATION_FAILED || (action === "VERIFY" && sw === SW.CONDITIONS_NOT_SATISFIED)) {
    return new PinError("incorrect", "the PIN is wrong", undefined, { cause });
  }
  if (sw === SW.WRONG_DATA) {
    return new PinError("unacceptable", "the card does not accept such a PIN; no try was spent", undefined, { cause });
  }
  return cause;
}

/** The state of the PIN, by the empty VERIFY, which spends no try; empty if the card does not report it. */
export async function readPinStatus(send: CacExchange): Promise<Pick<PinStatus, "triesLeft" | "verified">> {
  const { sw } = await send(verify());
  return { triesLeft: new StatusError("VERIFY without a PIN", sw).triesLeft, verified: sw === SW.OK };
}
