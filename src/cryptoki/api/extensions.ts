import * as pins from "../functions/pin.ts";
import * as tokens from "../functions/token.ts";
import type { Pin } from "../sessions/pin.ts";
import type { CK_SESSION_HANDLE, CK_SLOT_ID } from "../structures.ts";
import { ParallelFunctions } from "./parallel-functions.ts";

/**
 * What smart cards need and PKCS#11 has not: functions with the names and the purposes of Net iD's extensions ("PKCS#11 extensions",
 * Pointsharp), so that applications written for those find them. They stand in the interface "Vendor cryptoki".
 */
export abstract class Extensions extends ParallelFunctions {
  /**
   * Unblocks the user's PIN with the PUK, and sets it. Needs a read/write session, and no login.
   * @param puk,pin Null, both of them, to have them typed on the reader's own keys.
   * @throws {CryptokiError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED speak of the PUK, with its tries left in the cause
   *   ({@link PinError}); CKR_PIN_LEN_RANGE and CKR_PIN_INVALID before the card sees either.
   */
  C_UnlockPIN(session: CK_SESSION_HANDLE, puk: Pin, pin: Pin, signal?: AbortSignal): Promise<void> {
    return this.call("C_UnlockPIN", pins.unlockPin, session, puk, pin, signal);
  }

  /**
   * Makes a token new on its user's own word, where {@link C_InitToken} wants the security officer's. Nobody may have a session with it.
   * @throws {CryptokiError} CKR_SESSION_EXISTS; CKR_FUNCTION_NOT_SUPPORTED where the card has nothing of the kind.
   */
  C_ResetToken(slotID: CK_SLOT_ID, pin: Pin, signal?: AbortSignal): Promise<void> {
    return this.call("C_ResetToken", tokens.resetToken, slotID, pin, signal);
  }
}
