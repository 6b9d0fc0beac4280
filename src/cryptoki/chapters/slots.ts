import { untilAborted } from "../../async/index.ts";
import { afterReset, type CardToken, type CardTokenInfo, type PinStatus } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { requireCount } from "../arguments.ts";
import { CK } from "../constants/ck.ts";
import { CKF_SLOT, CKF_TOKEN, CKF_WAIT } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import { mechanismInfo, offeredMechanisms } from "../mechanisms/availability.ts";
import type { Slot } from "../slots/slot-table.ts";
import type { Token } from "../slots/token.ts";
import { type CK_MECHANISM_INFO, type CK_SLOT_INFO, type CK_TOKEN_INFO, fitEnd, fitText } from "../structures.ts";

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

export function getTokenInfo(application: Application, slotID: number, signal?: AbortSignal): Promise<CK_TOKEN_INFO> {
  const read = <T>(from: () => Promise<T>): Promise<T> => untilAborted(afterReset(from), signal, cancelled);
  return application.withToken(
    slotID,
    async (token) => {
      const { cardToken } = token;
      const info = await read(() => token.info());
      const user = application.logins.userOf(token);
      // Verified by this application, its tries are all there: nothing to ask.
      const userPin = user === "user" ? undefined : await read(() => token.pinStatus("user"));
      const officerPin = user === "so" ? undefined : await read(() => token.pinStatus("so"));
      const sessions = application.sessions.count(token);
      return {
        label: await token.label(),
        manufacturerID: fitText(info.manufacturer, 32),
        model: fitText(info.model, 16),
        serialNumber: fitEnd(info.serialNumber, 16),
        flags:
          CKF_TOKEN.RNG |
          CKF_TOKEN.DUAL_CRYPTO_OPERATIONS |
          tokenFlags(cardToken, info, userPin) |
          pinFlags(userPin, USER) |
          pinFlags(officerPin, OFFICER),
        ulMaxSessionCount: CK.EFFECTIVELY_INFINITE,
        ulSessionCount: sessions.total,
        ulMaxRwSessionCount: CK.EFFECTIVELY_INFINITE,
        ulRwSessionCount: sessions.readWrite,
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
    },
    signal,
  );
}

/** A card that a profile knows was initialised, and its holder has a PIN, unless the card says otherwise. */
function tokenFlags(
  { pinPad, changedBy }: CardToken,
  { writeProtected }: CardTokenInfo,
  userPin: PinStatus | undefined,
): number {
  const isPinSet = userPin?.isSet !== false;
  // A card that only its user changes holds nothing before it has a PIN. On others the officer logs in, to set one.
  const isInitialised = isPinSet || changedBy !== "user";
  return (
    (isInitialised ? CKF_TOKEN.TOKEN_INITIALIZED | CKF_TOKEN.LOGIN_REQUIRED : 0) |
    (isPinSet ? CKF_TOKEN.USER_PIN_INITIALIZED : 0) |
    (writeProtected ? CKF_TOKEN.WRITE_PROTECTED : 0) |
    (pinPad ? CKF_TOKEN.PROTECTED_AUTHENTICATION_PATH : 0)
  );
}

interface PinFlags {
  readonly low: number;
  readonly finalTry: number;
  readonly locked: number;
}

const USER: PinFlags = {
  low: CKF_TOKEN.USER_PIN_COUNT_LOW,
  finalTry: CKF_TOKEN.USER_PIN_FINAL_TRY,
  locked: CKF_TOKEN.USER_PIN_LOCKED,
};
const OFFICER: PinFlags = {
  low: CKF_TOKEN.SO_PIN_COUNT_LOW,
  finalTry: CKF_TOKEN.SO_PIN_FINAL_TRY,
  locked: CKF_TOKEN.SO_PIN_LOCKED,
};

/** "At least once since the last successful authentication an incorrect PIN was entered", one try left, none left. */
function pinFlags(status: PinStatus | undefined, flags: PinFlags): number {
  if (status?.triesLeft === undefined) return 0;
  if (status.triesLeft === 0) return flags.locked;
  const countLow = status.countLow ?? status.triesLeft < (status.maxTries ?? 0);
  return (countLow ? flags.low : 0) | (status.triesLeft === 1 ? flags.finalTry : 0);
}
