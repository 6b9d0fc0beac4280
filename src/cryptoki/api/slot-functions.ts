import * as pins from "../chapters/pin-management.ts";
import * as slots from "../chapters/slots.ts";
import { getTokenInfo } from "../chapters/slots.ts";
import * as tokens from "../chapters/pin-management.ts";
import type { Pin } from "../arguments.ts";
import type {
  CK_FLAGS,
  CK_MECHANISM_INFO,
  CK_MECHANISM_TYPE,
  CK_SESSION_HANDLE,
  CK_SLOT_ID,
  CK_SLOT_INFO,
  CK_TOKEN_INFO,
} from "../structures.ts";
import { GeneralFunctions } from "./general-functions.ts";

/** Slot and token management functions (PKCS#11 3.1 section 5.5). */
export abstract class SlotFunctions extends GeneralFunctions {
  /**
   * The slots of the readers that are plugged in: one a reader, or one a PIN where the card has several. A card that nobody
   * has looked at is looked at.
   * @param tokenPresent Only slots with a token.
   */
  C_GetSlotList(tokenPresent: boolean, signal?: AbortSignal): Promise<CK_SLOT_ID[]> {
    return this.call("C_GetSlotList", signal, slots.getSlotList, tokenPresent);
  }

  /** Never touches a card. A slot whose reader is unplugged keeps its ID, and has no token. */
  C_GetSlotInfo(slotID: CK_SLOT_ID, signal?: AbortSignal): Promise<CK_SLOT_INFO> {
    return this.call("C_GetSlotInfo", signal, slots.getSlotInfo, slotID);
  }

  /**
   * Tells by its flags, without spending one, how many tries the PIN has left: CKF_USER_PIN_COUNT_LOW, FINAL_TRY, LOCKED; and those of
   * the security officer's, where the card tells.
   */
  C_GetTokenInfo(slotID: CK_SLOT_ID, signal?: AbortSignal): Promise<CK_TOKEN_INFO> {
    return this.call("C_GetTokenInfo", signal, getTokenInfo, slotID, signal);
  }

  /**
   * The slot of the first event that this application has not heard of: a card or a reader came or went.
   * @param flags CKF.DONT_BLOCK: throw CKR_NO_EVENT if there is none, instead of waiting.
   */
  C_WaitForSlotEvent(flags: CK_FLAGS, signal?: AbortSignal): Promise<CK_SLOT_ID> {
    return this.call("C_WaitForSlotEvent", signal, slots.waitForSlotEvent, flags, signal);
  }

  C_GetMechanismList(slotID: CK_SLOT_ID, signal?: AbortSignal): Promise<CK_MECHANISM_TYPE[]> {
    return this.call("C_GetMechanismList", signal, slots.getMechanismList, slotID, signal);
  }

  /** CKF_HW stands with mechanisms whose private-key operation is the card's; the rest is done by the host. */
  C_GetMechanismInfo(slotID: CK_SLOT_ID, type: CK_MECHANISM_TYPE, signal?: AbortSignal): Promise<CK_MECHANISM_INFO> {
    return this.call("C_GetMechanismInfo", signal, slots.getMechanismInfo, slotID, type, signal);
  }

  /**
   * Makes a token new: its objects go. Nobody may have a session with it, or with another of its card; in every application its handles end.
   * @param label At most 32 bytes of UTF-8; blanks at the end are left out.
   * @throws {CryptokiError} CKR_SESSION_EXISTS; CKR_FUNCTION_NOT_SUPPORTED or CKR_TOKEN_WRITE_PROTECTED where the card has no such
   *   command, as PIV has none.
   */
  C_InitToken(slotID: CK_SLOT_ID, soPin: Pin, label: string, signal?: AbortSignal): Promise<void> {
    return this.call("C_InitToken", signal, tokens.initToken, slotID, soPin, label, signal);
  }

  /**
   * Sets the user's PIN, in a session of the security officer.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN in any other state; CKR_FUNCTION_NOT_SUPPORTED where the officer cannot, as with PIV:
   *   there, and elsewhere, {@link C_UnlockPIN} sets it with the PUK.
   */
  C_InitPIN(session: CK_SESSION_HANDLE, pin: Pin, signal?: AbortSignal): Promise<void> {
    return this.call("C_InitPIN", signal, pins.initPin, session, pin, signal);
  }

  /**
   * Changes the PIN of who is logged in, and the user's if nobody is. The login stays.
   * @param oldPin,newPin Null, both of them, to have them typed on the reader's own keys.
   * @throws {CryptokiError} CKR_SESSION_READ_ONLY; CKR_PIN_INCORRECT and CKR_PIN_LOCKED for the old PIN, with the tries left in the
   *   cause; CKR_PIN_LEN_RANGE and CKR_PIN_INVALID, for the new one, before the card sees either.
   */
  C_SetPIN(session: CK_SESSION_HANDLE, oldPin: Pin, newPin: Pin, signal?: AbortSignal): Promise<void> {
    return this.call("C_SetPIN", signal, pins.setPin, session, oldPin, newPin, signal);
  }
}
