import { type CallOptions, untilAborted } from "../../async/index.ts";
import { afterReset, type CardToken, type CardTokenInfo, type PinStatus } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { CK } from "../constants/ck.ts";
import { CKF_SLOT, CKF_TOKEN, CKF_WAIT } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError, requireCount } from "../errors.ts";
import { mechanismInfo, offeredMechanisms } from "../mechanisms/availability.ts";
import type { Slot } from "../slots/slot-table.ts";
import type { Token } from "../slots/token.ts";
import {
  type CK_FLAGS,
  type CK_MECHANISM_INFO,
  type CK_MECHANISM_TYPE,
  type CK_SESSION_HANDLE,
  type CK_SLOT_ID,
  type CK_SLOT_INFO,
  type CK_TOKEN_INFO,
  fitEnd,
  fitText,
} from "../structures.ts";
import { initPin, initToken, setPin } from "./pin-management.ts";
import { type Chapter, SLOT, SESSION } from "../chapter.ts";
import type { Pin } from "../sessions/logins.ts";

/** Slot and token management functions (PKCS#11 3.1 section 5.5). */
export interface SlotFunctions {
  /**
   * The slots of the connected readers: one for each reader, or one for each PIN if the card has several. Examines new
   * cards.
   * @param tokenPresent Only slots with a token.
   */
  C_GetSlotList(tokenPresent: boolean, options?: CallOptions): Promise<CK_SLOT_ID[]>;

  /** Never sends anything to a card. A slot whose reader is unplugged keeps its ID, and has no token. */
  C_GetSlotInfo(slotID: CK_SLOT_ID, options?: CallOptions): Promise<CK_SLOT_INFO>;

  /**
   * Its flags tell how many tries the PIN has left, without spending one: CKF_USER_PIN_COUNT_LOW, FINAL_TRY, LOCKED;
   * and the security officer's, if the card reports them.
   */
  C_GetTokenInfo(slotID: CK_SLOT_ID, options?: CallOptions): Promise<CK_TOKEN_INFO>;

  /**
   * The slot of the first event that this application has not received: a card or a reader came or went.
   * @param flags CKF.DONT_BLOCK: throw CKR_NO_EVENT if there is none, instead of waiting.
   */
  C_WaitForSlotEvent(flags: CK_FLAGS, options?: CallOptions): Promise<CK_SLOT_ID>;

  C_GetMechanismList(slotID: CK_SLOT_ID, options?: CallOptions): Promise<CK_MECHANISM_TYPE[]>;

  /** CKF_HW is set for mechanisms whose private-key operation runs on the card; the host does the rest. */
  C_GetMechanismInfo(slotID: CK_SLOT_ID, type: CK_MECHANISM_TYPE, options?: CallOptions): Promise<CK_MECHANISM_INFO>;

  /**
   * Initialises a token: deletes its objects. No application may have a session with it, or with another token of its
   * card; its handles end in every application. On a card that was not initialised yet `soPin` becomes the officer's PIN:
   * up to 8 digits of a MyEID, a PUK of 16 digits of an IsoApplet, 16 hexadecimal digits of a SmartCard-HSM. After an
   * interruption the same call completes it. C_SetVariable gives what else a card needs: docs/functions.md.
   * @param label At most 32 bytes of UTF-8; trailing blanks are removed. A card that stores no label ignores it (PIV).
   * @throws {CryptokiError} CKR_SESSION_EXISTS; CKR_PIN_INCORRECT for `soPin`; CKR_PIN_LEN_RANGE and CKR_PIN_INVALID also for
   *   PINs given by C_SetVariable, before anything is changed; CKR_FUNCTION_NOT_SUPPORTED or CKR_TOKEN_WRITE_PROTECTED if the
   *   card has no such command, like PIV without Yubico's commands.
   */
  C_InitToken(slotID: CK_SLOT_ID, soPin: Pin, label: string, options?: CallOptions): Promise<void>;

  /**
   * Sets the user's PIN, in a session of the security officer.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN in any other state; CKR_FUNCTION_NOT_SUPPORTED if the officer
   *   cannot, as on PIV cards: {@link C_UnlockPIN} sets it with the PUK. A card with Yubico's commands that still has the
   *   factory's PUK, as after {@link C_InitToken}, lets the officer set it.
   */
  C_InitPIN(session: CK_SESSION_HANDLE, pin: Pin, options?: CallOptions): Promise<void>;

  /**
   * Changes the PIN of the user who is logged in, or the user's PIN before a login. The login stays.
   * @param oldPin Null, like `newPin`, to have both typed on the reader's own keys.
   * @param newPin Null if `oldPin` is null.
   * @throws {CryptokiError} CKR_SESSION_READ_ONLY; CKR_PIN_INCORRECT and CKR_PIN_LOCKED for the old PIN, with the tries left in the
   *   cause; CKR_PIN_LEN_RANGE and CKR_PIN_INVALID, for the new one, before the card sees either.
   */
  C_SetPIN(session: CK_SESSION_HANDLE, oldPin: Pin, newPin: Pin, options?: CallOptions): Promise<void>;
}

const NO_VERSION = { major: 0, minor: 0 };

/**
 * Whether the slot's card and token are present; also if the card cannot be reached now (C_GetTokenInfo reports the
 * error).
 */
function isTokenPresent({ reader, index }: Slot): boolean {
  return reader.card !== undefined && (index === 0 || index < reader.card.tokenCount);
}

async function getSlotList(application: Application, tokenPresent: boolean): Promise<number[]> {
  const slots = await application.view.slots();
  return slots.filter((slot) => !tokenPresent || isTokenPresent(slot)).map(({ id }) => id);
}

function getSlotInfo(application: Application, slotID: number): CK_SLOT_INFO {
  const slot = application.view.slot(slotID);
  return {
    slotDescription: fitText(slot.reader.name, 64),
    manufacturerID: "",
    flags: CKF_SLOT.REMOVABLE_DEVICE | CKF_SLOT.HW_SLOT | (isTokenPresent(slot) ? CKF_SLOT.TOKEN_PRESENT : 0),
    hardwareVersion: NO_VERSION,
    firmwareVersion: NO_VERSION,
  };
}

async function waitForSlotEvent(application: Application, flags: number, signal?: AbortSignal): Promise<number> {
  const slotID = application.events.take();
  if (slotID !== undefined) return slotID;
  if ((flags & CKF_WAIT.DONT_BLOCK) !== 0) throw new CryptokiError(CKR.NO_EVENT);
  return application.events.wait(signal);
}

/** The number of the last event: every caller sees every event. */
export function hasNewEvent(application: Application, lastEvent: number): number {
  requireCount(lastEvent, "the last event", Number.MAX_SAFE_INTEGER);
  if (application.events.count === lastEvent) throw new CryptokiError(CKR.NO_EVENT);
  return application.events.count;
}

function getMechanismList(application: Application, slotID: number, signal?: AbortSignal): Promise<number[]> {
  return application.withToken(slotID, (token: Token) => [...offeredMechanisms(token.cardToken)], signal);
}

function getMechanismInfo(
  application: Application,
  slotID: number,
  type: number,
  signal?: AbortSignal,
): Promise<CK_MECHANISM_INFO> {
  return application.withToken(slotID, (token: Token) => mechanismInfo(token.cardToken, type), signal);
}

function getTokenInfo(application: Application, slotID: number, signal?: AbortSignal): Promise<CK_TOKEN_INFO> {
  const read = <T>(from: () => Promise<T>): Promise<T> => untilAborted(afterReset(from), signal, cancelled);
  return application.withToken(
    slotID,
    async (token) => {
      const { cardToken } = token;
      const info = await read(() => token.info());
      const user = application.logins.userOf(token);
      // This application verified it, so all its tries are left.
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

/** A recognised card was initialised, and its holder has a PIN, unless the card says otherwise. */
function tokenFlags(
  { pinPad, changedBy }: CardToken,
  { writeProtected, initialised, needsLogin = true }: CardTokenInfo,
  userPin: PinStatus | undefined,
): number {
  const isPinSet = userPin?.isSet !== false;
  // A card that only its user changes is empty before it has a PIN. On others the officer logs in to set one.
  const isInitialised = initialised ?? (isPinSet || changedBy !== "user");
  return (
    (isInitialised ? CKF_TOKEN.TOKEN_INITIALIZED : 0) |
    (isInitialised && needsLogin ? CKF_TOKEN.LOGIN_REQUIRED : 0) |
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

export const SLOTS: Chapter<SlotFunctions> = {
  title: "Slots and tokens",
  source: "PKCS#11 3.1 section 5.5",
  functions: {
    C_GetSlotList: { state: "card", parameters: [["tokenPresent", "boolean"]], result: "value", body: getSlotList },
    C_GetSlotInfo: {
      state: "software",
      parameters: [SLOT],
      result: "value",
      note: "never sends anything to a card",
      body: getSlotInfo,
    },
    C_GetTokenInfo: { state: "card", parameters: [SLOT], result: "value", body: getTokenInfo },
    C_WaitForSlotEvent: {
      state: "software",
      parameters: [["flags", "flags"]],
      result: "value",
      body: waitForSlotEvent,
    },
    C_GetMechanismList: { state: "card and software", parameters: [SLOT], result: "value", body: getMechanismList },
    C_GetMechanismInfo: {
      state: "card and software",
      parameters: [SLOT, ["type", "mechanism type"]],
      result: "value",
      body: getMechanismInfo,
    },
    C_InitToken: {
      state: "card",
      parameters: [SLOT, ["pPin", "pin"], ["pLabel", "text"]],
      result: "none",
      note: "where the card has such a command: MyEID, IsoApplet, SmartCard-HSM",
      body: initToken,
    },
    C_InitPIN: {
      state: "card",
      parameters: [SESSION, ["pPin", "pin"]],
      result: "none",
      note: "where the card has such a command: a MyEID's first PIN; IsoApplet and SmartCard-HSM at any time",
      body: initPin,
    },
    C_SetPIN: {
      state: "card",
      parameters: [SESSION, ["pOldPin", "pin"], ["pNewPin", "pin"]],
      result: "none",
      body: setPin,
    },
  },
};
