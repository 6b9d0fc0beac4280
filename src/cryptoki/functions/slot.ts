import type { Application } from "../application.ts";
import { requireCount } from "../arguments.ts";
import { CKF_SLOT, CKF_WAIT } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { mechanismInfo, offeredMechanisms } from "../mechanisms/offer.ts";
import type { CK_MECHANISM_INFO, CK_SLOT_INFO } from "../structures.ts";
import { fitText } from "../text.ts";
import type { Slot } from "../slots/slot-table.ts";
import type { Token } from "../slots/token.ts";

const NO_VERSION = { major: 0, minor: 0 };

/** A card is in, and of its tokens the one that this slot is for; also if the card cannot be reached now (C_GetTokenInfo tells). */
function isTokenPresent({ reader, index }: Slot): boolean {
  return reader.card !== undefined && (index === 0 || index < reader.card.tokenCount);
}

export async function getSlotList(application: Application, tokenPresent: boolean): Promise<number[]> {
  const slots = await application.view.slots();
  return slots.filter((slot) => !tokenPresent || isTokenPresent(slot)).map(({ id }) => id);
}

export function getSlotInfo(application: Application, slotID: number): CK_SLOT_INFO {
  const slot = application.view.slot(slotID);
  return {
    slotDescription: fitText(slot.reader.name, 64),
    manufacturerID: "",
    flags: CKF_SLOT.REMOVABLE_DEVICE | CKF_SLOT.HW_SLOT | (isTokenPresent(slot) ? CKF_SLOT.TOKEN_PRESENT : 0),
    hardwareVersion: NO_VERSION,
    firmwareVersion: NO_VERSION,
  };
}

export async function waitForSlotEvent(application: Application, flags: number, signal?: AbortSignal): Promise<number> {
  const slotID = application.events.take();
  if (slotID !== undefined) return slotID;
  if ((flags & CKF_WAIT.DONT_BLOCK) !== 0) throw new CryptokiError(CKR.NO_EVENT);
  return application.events.wait(signal);
}

/** The number of the last event: every caller sees every event, whatever others have taken note of. */
export function hasNewEvent(application: Application, lastEvent: number): number {
  requireCount(lastEvent, "the last event", Number.MAX_SAFE_INTEGER);
  if (application.events.count === lastEvent) throw new CryptokiError(CKR.NO_EVENT);
  return application.events.count;
}

export function getMechanismList(application: Application, slotID: number, signal?: AbortSignal): Promise<number[]> {
  return application.withToken(slotID, (token: Token) => [...offeredMechanisms(token.cardToken)], signal);
}

export function getMechanismInfo(
  application: Application,
  slotID: number,
  type: number,
  signal?: AbortSignal,
): Promise<CK_MECHANISM_INFO> {
  return application.withToken(slotID, (token: Token) => mechanismInfo(token.cardToken, type), signal);
}
