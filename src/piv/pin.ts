import { type CommandApdu, StatusError, SW } from "../apdu/index.ts";
import { wipe } from "../bytes/index.ts";
import { PinError, type PinInfo, type PinStatus, triesLeftText } from "../card/index.ts";
import { changeReference, padPins, resetRetryCounter, verify } from "./commands.ts";
import { PIN_REFERENCE, type PinReference, PUK_REFERENCE } from "./discovery.ts";
import type { PivExchange } from "./session.ts";

/** 6 to 8 decimal digits (SP 800-73-4 part 1 section 3.2). Cards in use take other characters too, so only the length binds. */
export const PIV_PIN: PinInfo = { label: "PIV Card Holder PIN", minLength: 6, maxLength: 8 };

/** 8 bytes (SP 800-73-4 part 1 section 3.2); shorter ones, filled up as a PIN is, are found on cards in use. */
export const PIV_PUK: PinInfo = { label: "PIV PIN Unblocking Key", minLength: 6, maxLength: 8 };

/** The number of tries that most issuers set. */
export const USUAL_TRIES = 3;

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
  await sendPins(send, { action: "VERIFY", name: "PIN", setsPin: false }, [pin], (padded) => verify(reference, padded));
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
  if (triesLeft === 0) {
    const advice = name === "PIN" ? "unblock it with the PUK" : "only the card's issuer can help";
    return new PinError("blocked", `the ${name} is blocked; ${advice}`, 0, { cause });
  }
  if (triesLeft !== undefined) {
    return new PinError("incorrect", `the ${name} is wrong; ${triesLeftText(triesLeft)}`, triesLeft, { cause });
  }
  // SP 800-73-4 part 2 sections 3.2.1 to 3.2.3: 6A80 is a PIN that breaks the card's own rule on length or characters.
  if (sw === SW.WRONG_DATA) {
    const reason = setsPin ? "unacceptable" : "characters";
    return new PinError(reason, "the card does not take such a PIN; no try is spent", undefined, { cause });
  }
  return cause;
}

/** How a PIN stands, by the empty VERIFY, which costs no try. */
export async function readPinStatus(
  send: PivExchange,
  reference: PinReference,
): Promise<Pick<PinStatus, "triesLeft" | "verified">> {
  const { sw } = await send(verify(reference));
  const refused = sw === SW.OK ? undefined : new StatusError("VERIFY without a PIN", sw);
  const triesLeft = refused?.triesLeft;
  if (refused && triesLeft === undefined) throw refused;
  return { triesLeft, verified: sw === SW.OK };
}
