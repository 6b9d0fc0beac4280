import type { Application } from "../application.ts";
import { CK } from "../constants/ck.ts";
import { CKF_SLOT, CKF_TOKEN, CKF_WAIT } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { toCryptokiError } from "../error-map.ts";
import { afterReset } from "../sessions/after-reset.ts";
import { mechanismInfo, offeredMechanisms } from "../mechanisms/offer.ts";
import type { PinStatus } from "../../card/index.ts";
import type { CK_MECHANISM_INFO, CK_SLOT_INFO, CK_TOKEN_INFO } from "../structures.ts";
import { fitText } from "../text.ts";
import type { Slot } from "../slots/slot-table.ts";
import type { Token } from "../slots/token.ts";

const NO_VERSION = { major: 0, minor: 0 };

/** A card is in, and of its tokens the one that this slot is for. */
function isTokenPresent({ reader, index }: Slot): boolean {
  return reader.card !== undefined && (index === 0 || index < reader.card.knownTokens.length);
}

export async function getSlotList(application: Application, tokenPresent: boolean): Promise<number[]> {
  const slots = await application.slots.slots();
  return slots.filter((slot) => !tokenPresent || isTokenPresent(slot)).map(({ id }) => id);
}

export function getSlotInfo(application: Application, slotID: number): CK_SLOT_INFO {
  const slot = application.slots.slot(slotID);
  return {
    slotDescription: fitText(slot.reader.name, 64),
    manufacturerID: "",
    flags: CKF_SLOT.REMOVABLE_DEVICE | CKF_SLOT.HW_SLOT | (isTokenPresent(slot) ? CKF_SLOT.TOKEN_PRESENT : 0),
    hardwareVersion: NO_VERSION,
    firmwareVersion: NO_VERSION,
  };
}

export function getTokenInfo(application: Application, slotID: number): Promise<CK_TOKEN_INFO> {
  return application.withToken(slotID, async (token) => {
    const info = await afterReset(() => token.info());
    // Verified by this application, its tries are all there: nothing to ask.
    const pin =
      application.logins.userOf(token) === "user"
        ? undefined
        : await afterReset(() => token.cardToken.pinStatus("user"));
    const sessions = application.sessions.with(token);
    return {
      label: fitText(info.label, 32),
      manufacturerID: fitText(info.manufacturer, 32),
      model: fitText(info.model, 16),
      serialNumber: fitText(info.serialNumber, 16),
      flags:
        CKF_TOKEN.RNG |
        CKF_TOKEN.LOGIN_REQUIRED |
        CKF_TOKEN.USER_PIN_INITIALIZED |
        CKF_TOKEN.TOKEN_INITIALIZED |
        pinFlags(pin),
      ulMaxSessionCount: CK.EFFECTIVELY_INFINITE,
      ulSessionCount: sessions.length,
      ulMaxRwSessionCount: CK.EFFECTIVELY_INFINITE,
      ulRwSessionCount: sessions.filter(({ readWrite }) => readWrite).length,
      ulMaxPinLen: info.pin.maxLength,
      ulMinPinLen: info.pin.minLength,
      ulTotalPublicMemory: CK.UNAVAILABLE_INFORMATION,
      ulFreePublicMemory: CK.UNAVAILABLE_INFORMATION,
      ulTotalPrivateMemory: CK.UNAVAILABLE_INFORMATION,
      ulFreePrivateMemory: CK.UNAVAILABLE_INFORMATION,
      hardwareVersion: NO_VERSION,
      firmwareVersion: NO_VERSION,
      utcTime: "",
    };
  });
}

/** "At least once since the last successful authentication an incorrect PIN was entered", one try left, none left. */
function pinFlags(pin: PinStatus | undefined): number {
  if (pin?.triesLeft === undefined) return 0;
  if (pin.triesLeft === 0) return CKF_TOKEN.USER_PIN_LOCKED;
  return (
    (pin.triesLeft < pin.maxTries ? CKF_TOKEN.USER_PIN_COUNT_LOW : 0) |
    (pin.triesLeft === 1 ? CKF_TOKEN.USER_PIN_FINAL_TRY : 0)
  );
}

export async function waitForSlotEvent(application: Application, flags: number, signal?: AbortSignal): Promise<number> {
  const slotID = application.events.take();
  if (slotID !== undefined) return slotID;
  if ((flags & CKF_WAIT.DONT_BLOCK) !== 0) throw new CryptokiError(CKR.NO_EVENT);
  try {
    return await application.events.wait(signal);
  } catch (error) {
    if (signal?.aborted) throw new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause: error });
    throw toCryptokiError(error);
  }
}

export function getMechanismList(application: Application, slotID: number): Promise<number[]> {
  return application.withToken(slotID, (token: Token) => [...offeredMechanisms(token.cardToken)]);
}

export function getMechanismInfo(application: Application, slotID: number, type: number): Promise<CK_MECHANISM_INFO> {
  return application.withToken(slotID, (token: Token) => mechanismInfo(token.cardToken, type));
}
