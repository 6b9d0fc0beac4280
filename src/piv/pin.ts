import { type CommandApdu, StatusError, SW } from "../apdu/index.ts";
import { wipe } from "../bytes/index.ts";
import { isToldVerified, PinError, type PinInfo, type PinStatus, triesLeftText } from "../card/index.ts";
import { changeReference, padPins, resetRetryCounter, verify } from "./commands.ts";
import { PIN_REFERENCE, type PinReference, PUK_REFERENCE } from "./data-objects.ts";
import type { PivExchange } from "./session.ts";

/**
 * 6 to 8 decimal digits (SP 800-73-4 part 1 section 3.2). Some cards accept other characters too, so only the length is
 * checked.
 */
export const PIV_PIN: PinInfo = { label: "PIV Card Holder PIN", minLength: 6, maxLength: 8 };

/** 8 bytes (SP 800-73-4 part 1 section 3.2); some cards have shorter ones, padded like a PIN. */
export const PIV_PUK: PinInfo = { label: "PIV PIN Unblocking Key", minLength: 6, maxLength: 8 };

/**
 * Refuses a PIN that PIV does not allow, before anything is sent. It cannot contain the padding byte FF.
 * @throws {PinError}
 */
export function checkPin(pin: Uint8Array): void {
  const { minLength, maxLength } = PIV_PIN;
  if (pin.length < minLength || pin.length > maxLength) {
    throw new PinError("length", `a PIV PIN has ${minLength} to ${maxLength} characters; the card was not asked`);
  }
  for (const byte of pin) {
    if (byte >= 0x20 && byte <= 0x7e) continue;
    throw new PinError("characters", "a PIV PIN has digits, or at least ASCII characters only; the card was not asked");
  }
}

/**
 * Refuses a new PIN that PIV does not allow, before anything is sent.
 * @throws {PinError}
 */
function checkNewPin(pin: Uint8Array): void {
  try {
    checkPin(pin);
  } catch (error) {
    if (!(error instanceof PinError && error.reason === "characters")) throw error;
    throw new PinError("unacceptable", error.message, undefined, { cause: error });
  }
}

/**
 * Refuses a PUK of a wrong length. It may contain any bytes (SP 800-73-4 part 1 section 3.2).
 * @throws {PinError}
 */
function checkPuk(puk: Uint8Array): void {
  const { minLength, maxLength } = PIV_PUK;
  if (puk.length >= minLength && puk.length <= maxLength) return;
  throw new PinError("length", `a PIV PUK has ${minLength} to ${maxLength} characters; the card was not asked`);
}

/**
 * VERIFY, once (SP 800-73-4 part 2 section 3.2.1).
 * @throws {PinError} if the PIN is wrong or blocked; {@link StatusError} for any other refusal.
 */
export async function verifyPin(send: PivExchange, reference: PinReference, pin: Uint8Array): Promise<void> {
  try {
    await sendPins(send, VERIFY, reference, pin);
  } catch (error) {
    throw await withTries(send, reference, error);
  }
}

/** For a wrong PIN that the card refused without a number, 6300: the empty VERIFY may return the number. */
async function withTries(send: PivExchange, reference: PinReference, error: unknown): Promise<unknown> {
  if (!(error instanceof PinError) || error.reason !== "incorrect" || error.triesLeft !== undefined) return error;
  const { triesLeft } = await readPinStatus(send, reference);
  return triesLeft === undefined ? error : pinRefused("PIN", triesLeft, error.cause);
}

/** The second step of a PIN change, after both values were checked; nothing is sent before. */
export type PinChange = (send: PivExchange) => Promise<void>;

/**
 * CHANGE REFERENCE DATA (SP 800-73-4 part 2 section 3.2.2), of a PIN or the PUK.
 * @throws {PinError} for a malformed value, before anything is sent; the returned function throws it if the old value
 *   is wrong.
 */
export function changePin(reference: number, oldPin: Uint8Array, newPin: Uint8Array): PinChange {
  const isPuk = reference === PUK_REFERENCE;
  (isPuk ? checkPuk : checkPin)(oldPin);
  (isPuk ? checkPuk : checkNewPin)(newPin);
  return (send) => sendPins(send, isPuk ? CHANGE_PUK : CHANGE_PIN, reference, oldPin, newPin);
}

/**
 * RESET RETRY COUNTER with the PUK (SP 800-73-4 part 2 section 3.2.3): sets a new application PIN with all its tries.
 * @throws {PinError} for a malformed value, before anything is sent; the returned function throws it if the PUK is
 *   wrong.
 */
export function unlockPin(puk: Uint8Array, newPin: Uint8Array): PinChange {
  checkPuk(puk);
  checkNewPin(newPin);
  return (send) => sendPins(send, UNLOCK, PIN_REFERENCE.APPLICATION, puk, newPin);
}

/** A command that presents a PIN or the PUK. */
interface PinCommand {
  readonly build: (reference: number, padded: Uint8Array) => CommandApdu;
  /** For error messages. */
  readonly action: string;
  /** The secret that the card compares. */
  readonly name: "PIN" | "PUK";
  readonly setsPin: boolean;
}

const VERIFY: PinCommand = { build: verify, action: "VERIFY", name: "PIN", setsPin: false };
const CHANGE_PIN: PinCommand = { build: changeReference, action: "CHANGE REFERENCE DATA", name: "PIN", setsPin: true };
const CHANGE_PUK: PinCommand = { ...CHANGE_PIN, name: "PUK" };
const UNLOCK: PinCommand = { build: resetRetryCounter, action: "RESET RETRY COUNTER", name: "PUK", setsPin: true };

/** Sends a command that contains PINs, and wipes the buffers. */
async function sendPins(
  send: PivExchange,
  command: PinCommand,
  reference: number,
  ...pins: readonly Uint8Array[]
): Promise<void> {
  const padded = padPins(...pins);
  try {
    const { sw } = await send(command.build(reference, padded));
    if (sw !== SW.OK) throw pinFailure(sw, command);
  } finally {
    wipe(padded);
  }
}

function pinFailure(sw: number, { action, name, setsPin }: PinCommand): PinError | StatusError {
  const cause = new StatusError(action, sw);
  const { triesLeft } = cause;
  if (triesLeft !== undefined || sw === SW.VERIFICATION_FAILED) return pinRefused(name, triesLeft, cause);
  if (isNotSet(sw)) {
    return new PinError("not-set", `the card has no ${name} yet; set one with the issuer's software`, undefined, {
      cause,
    });
  }
  // SP 800-73-4 part 2 sections 3.2.1 to 3.2.3: 6A80 means that the PIN breaks the card's own rule on length or
  // characters.
  if (sw === SW.WRONG_DATA) {
    const reason = setsPin ? "unacceptable" : "characters";
    return new PinError(reason, "the card does not accept such a PIN; no try was spent", undefined, { cause });
  }
  return cause;
}

/** The error for a wrong secret. @param triesLeft Undefined if the card does not report it. */
function pinRefused(name: PinCommand["name"], triesLeft: number | undefined, cause: unknown): PinError {
  if (triesLeft === 0) {
    const advice = name === "PIN" ? "unblock it with the PUK" : "only the card's issuer can help";
    return new PinError("blocked", `the ${name} is blocked; ${advice}`, 0, { cause });
  }
  const left = triesLeft === undefined ? "the card does not say how many tries are left" : triesLeftText(triesLeft);
  return new PinError("incorrect", `the ${name} is wrong; ${left}`, triesLeft, { cause });
}

/** Whether a status word means that the card has no such PIN, or that it is not set (ISO/IEC 7816-4 table 6). */
function isNotSet(sw: number): boolean {
  return sw === SW.REFERENCE_DATA_NOT_USABLE || sw === SW.REFERENCED_DATA_NOT_FOUND;
}

/**
 * The state of a PIN, by the empty VERIFY, which spends no try. SP 800-73-4 part 2 section 3.2.1 requires every card to
 * answer it; some refuse (6700, 6982, 6985, 6A86, 6F00 have been seen) and so do not report the state.
 */
export async function readPinStatus(
  send: PivExchange,
  reference: PinReference,
): Promise<Pick<PinStatus, "triesLeft" | "verified" | "isSet">> {
  const { sw } = await send(verify(reference));
  if (sw === SW.OK) return { triesLeft: undefined, verified: true };
  const { triesLeft } = new StatusError("VERIFY without a PIN", sw);
  return { triesLeft, verified: false, ...(isNotSet(sw) && { isSet: false }) };
}

/** The PIN's state from the answer to the empty VERIFY; undefined if the card does not report it. */
export async function isPinVerified(send: PivExchange, reference: PinReference): Promise<boolean | undefined> {
  return isToldVerified(await readPinStatus(send, reference));
}
