import { SW } from "../../../apdu/index.ts";
import { concat } from "../../../bytes/index.ts";
import type { ReferenceData } from "../../reference-data.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import type { CardPin } from "../contents.ts";
import { deviates, type IsoContext } from "../make.ts";

/** Reference of the only PIN, and of the PUK that unblocks it. */
export const PIN = 1;
/** Bytes of PIN and PUK; a shorter PIN is filled up with zeros. */
export const PIN_LENGTH = 16;

/** VERIFY; without data it tells the tries that are left, also of a PIN that is verified. */
export function verify(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== PIN) throw new Refusal(SW.INCORRECT_P1_P2);
  const pin = thePin(context);
  if (data.length === 0 && deviates(context, "pin-status-refused")) throw new Refusal(SW.WRONG_LENGTH);
  if (data.length === 0) throw new Refusal(triesLeft(pin.data));
  compare(context, pin, pin.data, filled(pin, data));
  context.session.verified.add(PIN);
  return new Uint8Array();
}

/** CHANGE REFERENCE DATA: the old PIN and the new one, each filled up. */
export function changeReferenceData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || p2 !== PIN) throw new Refusal(SW.INCORRECT_P1_P2);
  if (data.length !== 2 * PIN_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  const pin = thePin(context);
  compare(context, pin, pin.data, data.subarray(0, PIN_LENGTH));
  pin.data.replace(data.subarray(PIN_LENGTH));
  return new Uint8Array();
}

/** RESET RETRY COUNTER: the PUK, then the new PIN. */
export function resetRetryCounter(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const pin = thePin(context);
  if (data.length < PIN_LENGTH + pin.minLength || data.length > 2 * PIN_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  if (p1 !== 0 || p2 !== PIN) throw new Refusal(SW.INCORRECT_P1_P2);
  const puk = pin.puk === undefined ? undefined : context.contents.pins.get(pin.puk);
  if (!puk) throw new Refusal(SW.TRIES_LEFT);
  compare(context, pin, puk.data, data.subarray(0, PIN_LENGTH));
  pin.data.replace(filled(pin, data.subarray(PIN_LENGTH)));
  return new Uint8Array();
}

function thePin({ contents }: IsoContext): CardPin {
  const pin = contents.pins.get(PIN);
  if (!pin) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return pin;
}

function filled({ minLength }: CardPin, value: Uint8Array): Uint8Array {
  if (value.length < minLength || value.length > PIN_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  return concat(value, new Uint8Array(PIN_LENGTH - value.length));
}

/** A wrong PIN ends what an earlier right one opened; a blocked one has 63C0 for an answer, as any wrong one. */
function compare({ session }: IsoContext, pin: CardPin, data: ReferenceData, candidate: Uint8Array): void {
  if (data.matches(candidate)) return;
  if (data === pin.data) session.verified.delete(PIN);
  throw new Refusal(triesLeft(data));
}

const triesLeft = ({ tries }: ReferenceData): number => SW.TRIES_LEFT | Math.min(tries, 15);

/** @throws {Refusal} 6982 before the PIN. */
export function requirePin({ session }: IsoContext): void {
  if (!session.verified.has(PIN)) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}
