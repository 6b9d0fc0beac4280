import { SW } from "../../../apdu/index.ts";
import { REFERENCE_LENGTH } from "../../reference-data.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import type { CardPin } from "../contents.ts";
import { deviates, type IsoContext } from "../make.ts";

/** VERIFY; without data it tells the state and costs no try. It knows no P1 = FF, as OsEID does not ({@link logout}). */
export function verify(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const pin = findPin(context, p2);
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (data.length === 0) {
    if (deviates(context, "pin-status-refused")) throw new Refusal(SW.WRONG_LENGTH);
    if (!context.session.verified.has(p2)) throw new Refusal(triesLeft(pin));
    return new Uint8Array();
  }
  compare(context, p2, data);
  context.session.verified.add(p2);
  context.session.fresh.add(p2);
  return new Uint8Array();
}

/** CHANGE REFERENCE DATA: the old value, then the new one (section 11.6.7). */
export function changeReferenceData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const pin = findPin(context, p2);
  const [old, replacement] = split(data);
  checkForm(pin, replacement);
  compare(context, p2, old);
  pin.data.replace(replacement);
  return new Uint8Array();
}

/** RESET RETRY COUNTER: the PUK of the PIN in P2, then the new PIN (section 11.6.10). */
export function resetRetryCounter(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const pin = findPin(context, p2);
  if (pin.puk === undefined) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  const [puk, replacement] = split(data);
  checkForm(pin, replacement);
  compare(context, pin.puk, puk);
  pin.data.replace(replacement);
  forget(context, p2);
  return new Uint8Array();
}

/** MyEID's way to forget a PIN, or all of them by reference 0 (OpenSC, card-myeid.c, myeid_logout). */
export function logout(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0 || data.length > 0 || deviates(context, "logout-refused")) throw new Refusal(SW.INCORRECT_P1_P2);
  if (p2 !== 0) findPin(context, p2);
  for (const reference of p2 === 0 ? context.contents.pins.keys() : [p2]) forget(context, reference);
  return new Uint8Array();
}

function findPin({ contents }: IsoContext, reference: number): CardPin {
  const pin = contents.pins.get(reference);
  if (!pin) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  return pin;
}

/** A value that cannot be right costs no try (6A80); a wrong one does, and ends what an earlier right one opened. */
function compare(context: IsoContext, reference: number, candidate: Uint8Array): void {
  const pin = findPin(context, reference);
  if (pin.data.blocked) throw new Refusal(SW.AUTHENTICATION_METHOD_BLOCKED);
  if (candidate.length !== REFERENCE_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  if (pin.data.matches(candidate)) return;
  forget(context, reference);
  throw new Refusal(triesLeft(pin));
}

function forget({ session }: IsoContext, reference: number): void {
  session.verified.delete(reference);
  session.fresh.delete(reference);
}

/** Characters, as many as the PIN wants, filled up with FF. */
function checkForm({ minLength }: CardPin, value: Uint8Array): void {
  const padding = value.findIndex((byte) => byte === 0xff);
  const length = padding === -1 ? value.length : padding;
  if (length < minLength || value.subarray(length).some((byte) => byte !== 0xff)) throw new Refusal(SW.WRONG_DATA);
}

/** 6983 for none, as card and terminal writers expect it of a blocked PIN. */
function triesLeft({ data }: CardPin): number {
  return data.blocked ? SW.AUTHENTICATION_METHOD_BLOCKED : SW.TRIES_LEFT | Math.min(data.tries, 15);
}

function split(data: Uint8Array): [Uint8Array, Uint8Array] {
  if (data.length !== 2 * REFERENCE_LENGTH) throw new Refusal(SW.WRONG_LENGTH);
  return [data.subarray(0, REFERENCE_LENGTH), data.subarray(REFERENCE_LENGTH)];
}
