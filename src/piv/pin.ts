import { type CommandApdu, StatusError, SW } from "../apdu/index.ts";
import { wipe } from "../bytes/index.ts";
import { isToldVerified, PinError, type PinInfo, type PinStatus, triesLeftText } from "../card/index.ts";
import { changeReference, padPins, resetRetryCounter, verify } from "./commands.ts";
import { PIN_REFERENCE, type PinReference, PUK_REFERENCE } from "./data-objects.ts";
import type { PivExchange } from "./session.ts";

/** 6 to 8 decimal digits (SP 800-73-4 part 1 section 3.2). Cards in use take other characters too, so only the length binds. */
export const PIV_PIN: PinInfo = { label: "PIV Card Holder PIN", minLength: 6, maxLength: 8 };

/** 8 bytes (SP 800-73-4 part 1 section 3.2); shorter ones, filled up as a PIN is, are found on cards in use. */
export const PIV_PUK: PinInfo = { label: "PIV PIN Unblocking Key", minLength: 6, maxLength: 8 };

/**
 * Refuses a PIN that no PIV card takes, before a card sees it. The padding byte FF cannot be a part of it.
 * @throws {PinError}
 */
export function checkPin(pin: Uint8Array): void {
  const { minLength, maxLength } = PIV_PIN;
  if (pin.length < minLength || pin.length > maxLength) {
    throw new PinError("length", `a PIV PIN has ${minLength} to ${maxLength} characters; the card was not asked`);
  }
  if (pin.some((byte) => byte < 0x20 || byte > 0x7e)) {
    throw new PinError("characters", "a PIV PIN has digits, or ASCII characters at most; the card was not asked");
  }
}

/**
 * Refuses a new PIN that no PIV card takes, before a card sees it.
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
 * Refuses a PUK of a length that no PIV card takes. It may hold any bytes (SP 800-73-4 part 1 section 3.2).
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
    await sendPins(send, { action: "VERIFY", name: "PIN", setsPin: false }, [pin], (padded) =>
      verify(reference, padded),
    );
  } catch (error) {
    throw await withTries(send, reference, error);
  }
}

/** A wrong PIN that the card refused without a number, 6300: the empty VERIFY may tell the number. */
async function withTries(send: PivExchange, reference: PinReference, error: unknown): Promise<unknown> {
  if (!(error instanceof PinError) || error.reason !== "incorrect" || error.triesLeft !== undefined) return error;
  const { triesLeft } = await readPinStatus(send, reference);
  return triesLeft === undefined ? error : pinRefused("PIN", triesLeft, error.cause);
}

/** What a PIN is changed to, once it was checked: nothing is sent before. */
export type PinChange = (send: PivExchange) => Promise<void>;

/**
 * CHANGE REFERENCE DATA (SP 800-73-4 part 2 section 3.2.2), of a PIN or the PUK.
 * @throws {PinError} for either value, before anything is sent; what is returned throws it for the old one.
 */
export function changePin(reference: number, oldPin: Uint8Array, newPin: Uint8Array): PinChange {
  const isPuk = reference === PUK_REFERENCE;
  (isPuk ? checkPuk : checkPin)(oldPin);
  (isPuk ? checkPuk : checkNewPin)(newPin);
  const asked = { action: "CHANGE REFERENCE DATA", name: isPuk ? "PUK" : "PIN", setsPin: true } as const;
  return (send) => sendPins(send, asked, [oldPin, newPin], (values) => changeReference(reference, values));
}

/**
 * RESET RETRY COUNTER with the PUK (SP 800-73-4 part 2 section 3.2.3): a new application PIN, with all its tries.
 * @throws {PinError} for either value, before anything is sent; what is returned throws it for the PUK.
 */
export function unlockPin(puk: Uint8Array, newPin: Uint8Array): PinChange {
  checkPuk(puk);
  checkNewPin(newPin);
  const asked = { action: "RESET RETRY COUNTER", name: "PUK", setsPin: true } as const;
  return (send) =>
    sendPins(send, asked, [puk, newPin], (values) => resetRetryCounter(PIN_REFERENCE.APPLICATION, values));
}

/** What was asked of the card, for the error that says what became of it. */
interface Asked {
  readonly action: string;
  /** What the card compared. */
  readonly name: "PIN" | "PUK";
  readonly setsPin: boolean;
}

/** Sends a command with PINs in it, and wipes what was made of them. */
async function sendPins(
  send: PivExchange,
  asked: Asked,
  pins: readonly Uint8Array[],
  build: (padded: Uint8Array) => CommandApdu,
): Promise<void> {
  const padded = padPins(...pins);
  try {
    const { sw } = await send(build(padded));
    if (sw !== SW.OK) throw pinFailure(sw, asked);
  } finally {
    wipe(padded);
  }
}

function pinFailure(sw: number, { action, name, setsPin }: Asked): PinError | StatusError {
  const cause = new StatusError(action, sw);
  const { triesLeft } = cause;
  if (triesLeft !== undefined || sw === SW.VERIFICATION_FAILED) return pinRefused(name, triesLeft, cause);
  if (isNotSet(sw)) {
    return new PinError("not-set", `the card has no ${name} yet; its issuer's programs set one`, undefined, { cause });
  }
  // SP 800-73-4 part 2 sections 3.2.1 to 3.2.3: 6A80 is a PIN that breaks the card's own rule on length or characters.
  if (sw === SW.WRONG_DATA) {
    const reason = setsPin ? "unacceptable" : "characters";
    return new PinError(reason, "the card does not take such a PIN; no try is spent", undefined, { cause });
  }
  return cause;
}

/** The card compared, and refused. @param triesLeft Undefined where the card does not tell. */
function pinRefused(name: Asked["name"], triesLeft: number | undefined, cause: unknown): PinError {
  if (triesLeft === 0) {
    const advice = name === "PIN" ? "unblock it with the PUK" : "only the card's issuer can help";
    return new PinError("blocked", `the ${name} is blocked; ${advice}`, 0, { cause });
  }
  const left = triesLeft === undefined ? "the card does not say how many tries are left" : triesLeftText(triesLeft);
  return new PinError("incorrect", `the ${name} is wrong; ${left}`, triesLeft, { cause });
}

/** Whether a card says that it has no such PIN, or that nobody has set it (ISO/IEC 7816-4 table 6). */
function isNotSet(sw: number): boolean {
  return sw === SW.REFERENCE_DATA_NOT_USABLE || sw === SW.REFERENCED_DATA_NOT_FOUND;
}

/**
 * How a PIN stands, by the empty VERIFY, which costs no try. SP 800-73-4 part 2 section 3.2.1 has every card answer it; cards that
 * refuse it (6700, 6982, 6985, 6A86, 6F00 were seen) do not tell.
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

/** What the card says of the PIN when it is asked without one; undefined where it does not tell. */
export async function isPinVerified(send: PivExchange, reference: PinReference): Promise<boolean | undefined> {
  return isToldVerified(await readPinStatus(send, reference));
}
