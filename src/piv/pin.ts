import { StatusError, SW } from "../apdu/index.ts";
import { wipe } from "../bytes/index.ts";
import { PinError, type PinInfo, type PinStatus } from "../card/index.ts";
import { padPin, verify } from "./commands.ts";
import type { PinReference } from "./discovery.ts";
import type { PivExchange } from "./session.ts";

/** 6 to 8 decimal digits (SP 800-73-4 part 1 section 3.2). Cards in use take other characters too, so only the length binds. */
export const PIV_PIN: PinInfo = { label: "PIV Card Holder PIN", minLength: 6, maxLength: 8 };

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
 * VERIFY, once (SP 800-73-4 part 2 section 3.2.1).
 * @throws {PinError} if the PIN is wrong or blocked; {@link StatusError} for any other refusal.
 */
export async function verifyPin(send: PivExchange, reference: PinReference, pin: Uint8Array): Promise<void> {
  const padded = padPin(pin);
  try {
    const { sw } = await send(verify(reference, padded));
    if (sw !== SW.OK) throw pinFailure(sw);
  } finally {
    wipe(padded);
  }
}

function pinFailure(sw: number): PinError | StatusError {
  const cause = new StatusError("VERIFY", sw);
  const { triesLeft } = cause;
  if (triesLeft === 0) {
    return new PinError("blocked", "the PIN is blocked; unblock it with the PUK", 0, { cause });
  }
  if (triesLeft !== undefined) {
    const tries = triesLeft === 1 ? "1 try is" : `${triesLeft} tries are`;
    return new PinError("incorrect", `the PIN is wrong; ${tries} left`, triesLeft, { cause });
  }
  // SP 800-73-4 part 2 section 3.2.1: 6A80 is a PIN that breaks the card's own rule on length or characters.
  if (sw === SW.WRONG_DATA) {
    return new PinError("characters", "the card does not take such a PIN; no try is spent", undefined, { cause });
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
