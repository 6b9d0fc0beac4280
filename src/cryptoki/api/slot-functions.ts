import * as slots from "../functions/slot.ts";
import type {
  CK_FLAGS,
  CK_MECHANISM_INFO,
  CK_MECHANISM_TYPE,
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
  C_GetSlotList(tokenPresent: boolean): Promise<CK_SLOT_ID[]> {
    return this.call("C_GetSlotList", slots.getSlotList, tokenPresent);
  }

  /** Never touches a card. A slot whose reader is unplugged keeps its ID, and has no token. */
  C_GetSlotInfo(slotID: CK_SLOT_ID): Promise<CK_SLOT_INFO> {
    return this.call("C_GetSlotInfo", slots.getSlotInfo, slotID);
  }

  /** Tells by its flags, without spending one, how many tries the PIN has left: CKF_USER_PIN_COUNT_LOW, FINAL_TRY, LOCKED. */
  C_GetTokenInfo(slotID: CK_SLOT_ID): Promise<CK_TOKEN_INFO> {
    return this.call("C_GetTokenInfo", slots.getTokenInfo, slotID);
  }

  /**
   * The slot of the first event that this application has not heard of: a card or a reader came or went.
   * @param flags CKF.DONT_BLOCK: throw CKR_NO_EVENT if there is none, instead of waiting.
   */
  C_WaitForSlotEvent(flags: CK_FLAGS, signal?: AbortSignal): Promise<CK_SLOT_ID> {
    return this.call("C_WaitForSlotEvent", slots.waitForSlotEvent, flags, signal);
  }

  C_GetMechanismList(slotID: CK_SLOT_ID): Promise<CK_MECHANISM_TYPE[]> {
    return this.call("C_GetMechanismList", slots.getMechanismList, slotID);
  }

  /** CKF_HW stands with mechanisms whose private-key operation is the card's; the rest is done by the host. */
  C_GetMechanismInfo(slotID: CK_SLOT_ID, type: CK_MECHANISM_TYPE): Promise<CK_MECHANISM_INFO> {
    return this.call("C_GetMechanismInfo", slots.getMechanismInfo, slotID, type);
  }
}
