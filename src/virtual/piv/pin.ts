import { SW } from "../../apdu/index.ts";
import { REFERENCE_LENGTH, type ReferenceData, Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { acceptsGlobalPin, type PivContext } from "./model.ts";

/** Whether `value` is 6 to 8 decimal digits, padded with FF to 8 bytes. */
export function isWellFormedPin(value: Uint8Array): boolean {
  const digits = value.findIndex((byte) => byte === 0xff);
  const length = digits === -1 ? value.length : digits;
  return (
    value.length === REFERENCE_LENGTH &&
    length >= 6 &&
    value.every((byte, index) => (index < length ? byte >= 0x30 && byte <= 0x39 : byte === 0xff))
  );
}

/** Key references of PINs and of the PUK (SP 800-73-4 part 1 table 4a). */
const REFERENCE = { GLOBAL_PIN: 0x00, PIN: 0x80, PUK: 0x81 } as const;

/** VERIFY (SP 800-73-4 part 2 section 3.2.1). */
export function verify(context: PivContext, { p1, p2, data, last }: CardCommand): Uint8Array {
  if (p1 !== 0x00 && p1 !== 0xff) throw new Refusal(SW.INCORRECT_P1_P2);
  const pin = findPin(context, p2);
  if (p1 === 0xff) {
    if (data.length > 0) throw new Refusal(SW.WRONG_DATA);
    setVerified(context, p2, false);
  } else if (data.length === 0) {
    const { deviations } = context.contents;
    if (deviations.has("refused-empty-verify")) throw new Refusal(SW.WRONG_LENGTH);
    const isDenied = deviations.has("never-verified-empty-verify") || !isVerified(context, p2);
    if (isDenied) throw new Refusal(triesLeft(context, pin));
  } else {
    compare(context, p2, pin, data);
    setVerified(context, p2, true);
    context.session.pinVerifiedAt = last;
  }
  return new Uint8Array();
}

/** CHANGE REFERENCE DATA: the old value, then the new one (SP 800-73-4 part 2 section 3.2.2). */
export function changeReferenceData(context: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  const reference = p2 === REFERENCE.PUK ? context.contents.puk : findPin(context, p2);
  const [old, replacement] = split(data);
  if (p2 !== REFERENCE.PUK && !isWellFormedPin(replacement)) throw new Refusal(SW.WRONG_DATA);
  compare(context, p2, reference, old);
  reference.replace(replacement);
  setVerified(context, p2, true);
  return new Uint8Array();
}

/** RESET RETRY COUNTER: the PUK, then the new application PIN (SP 800-73-4 part 2 section 3.2.3). */
export function resetRetryCounter(context: PivContext, { p1, p2, data }: CardCommand): Uint8Array {
  if (p1 !== 0) throw new Refusal(SW.INCORRECT_P1_P2);
  if (p2 !== REFERENCE.PIN) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  const [puk, replacement] = split(data);
  // A YubiKey compares the PUK first: its programs block it by an empty one, with an empty PIN.
  if (!context.contents.traits.yubico && !isWellFormedPin(replacement)) throw new Refusal(SW.WRONG_DATA);
  try {
    compare(context, REFERENCE.PUK, context.contents.puk, puk);
  } catch (refusal) {
    setVerified(context, REFERENCE.PIN, false);
    throw refusal;
  }
  if (!isWellFormedPin(replacement)) throw new Refusal(SW.WRONG_DATA);
  context.contents.pin.replace(replacement);
  return new Uint8Array();
}

/** The PIN with this reference, if this card has it. */
function findPin({ contents }: PivContext, reference: number): ReferenceData {
  if (reference === REFERENCE.PIN) return contents.pin;
  if (reference === REFERENCE.GLOBAL_PIN && acceptsGlobalPin(contents)) return contents.globalPin;
  throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
}

/** A malformed PIN spends no try (6A80); a wrong one does, and cancels an earlier verification. */
function compare(context: PivContext, reference: number, stored: ReferenceData, candidate: Uint8Array): void {
  if (stored.blocked) throw new Refusal(SW.AUTHENTICATION_METHOD_BLOCKED);
  const wellFormed = reference === REFERENCE.PUK ? candidate.length === REFERENCE_LENGTH : isWellFormedPin(candidate);
  // An empty PIN costs a YubiKey's try: its programs block the PIN so before a reset.
  const isEmpty = candidate.length === REFERENCE_LENGTH && candidate.every((byte) => byte === 0xff);
  if (!wellFormed && !(context.contents.traits.yubico && isEmpty)) throw new Refusal(SW.WRONG_DATA);
  if (stored.matches(candidate)) return;
  setVerified(context, reference, false);
  throw new Refusal(triesLeft(context, stored));
}

function split(data: Uint8Array): [Uint8Array, Uint8Array] {
  if (data.length !== 2 * REFERENCE_LENGTH) throw new Refusal(SW.WRONG_DATA);
  return [data.subarray(0, REFERENCE_LENGTH), data.subarray(REFERENCE_LENGTH)];
}

function triesLeft({ contents }: PivContext, { tries }: ReferenceData): number {
  return (contents.deviations.has("neo-status-words") ? 0x6300 : 0x63c0) | Math.min(tries, 15);
}

function isVerified({ session }: PivContext, reference: number): boolean {
  return reference === REFERENCE.PIN ? session.pinVerified : session.globalPinVerified;
}

function setVerified({ session }: PivContext, reference: number, verified: boolean): void {
  if (reference === REFERENCE.PIN) session.pinVerified = verified;
  if (reference === REFERENCE.GLOBAL_PIN) session.globalPinVerified = verified;
}
