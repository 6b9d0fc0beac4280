import * as states from "../chapters/sessions.ts";
import * as sessions from "../chapters/sessions.ts";
import type { Pin } from "../arguments.ts";
import type { CK_FLAGS, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID } from "../structures.ts";
import { SlotFunctions } from "./slot-functions.ts";

/** Session management functions (PKCS#11 3.1 section 5.6). */
export abstract class SessionFunctions extends SlotFunctions {
  /** @param flags CKF.SERIAL_SESSION always, and CKF.RW_SESSION for a read/write session. */
  C_OpenSession(slotID: CK_SLOT_ID, flags: CK_FLAGS, signal?: AbortSignal): Promise<CK_SESSION_HANDLE> {
    return this.call("C_OpenSession", signal, sessions.openSession, slotID, flags, signal);
  }

  /** With the last session of a token, its login ends. */
  C_CloseSession(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_CloseSession", signal, sessions.closeSession, session, signal);
  }

  C_CloseAllSessions(slotID: CK_SLOT_ID, signal?: AbortSignal): Promise<void> {
    return this.call("C_CloseAllSessions", signal, sessions.closeAllSessions, slotID, signal);
  }

  /** Never touches a card. */
  C_GetSessionInfo(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<CK_SESSION_INFO> {
    return this.call("C_GetSessionInfo", signal, sessions.getSessionInfo, session);
  }

  /**
   * Ends operations that are under way; those that are not do not matter.
   * @param flags Of CKF_MECHANISM: CKF.SIGN, CKF.FIND_OBJECTS ... 0 ends none.
   */
  C_SessionCancel(session: CK_SESSION_HANDLE, flags: CK_FLAGS, signal?: AbortSignal): Promise<void> {
    return this.call("C_SessionCancel", signal, sessions.sessionCancel, session, flags, signal);
  }

  /**
   * Saves a digest that is under way. The state holds within this application; no other operation can be saved.
   * @throws {CryptokiError} CKR_STATE_UNSAVEABLE while something is encrypted, decrypted, signed or verified;
   *   CKR_OPERATION_NOT_INITIALIZED if there is nothing of the kind, whatever is searched for.
   */
  C_GetOperationState(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_GetOperationState", signal, states.getOperationState, session, signal);
  }

  /**
   * Goes on with a digest that was saved; what is under way in this session ends.
   * @param encryptionKey,authenticationKey 0: a digest has no key.
   * @throws {CryptokiError} CKR_SAVED_STATE_INVALID if the session that it was saved in is with another token or in another state, or was
   *   another application's; CKR_KEY_NOT_NEEDED.
   */
  C_SetOperationState(
    session: CK_SESSION_HANDLE,
    state: Uint8Array,
    encryptionKey: CK_OBJECT_HANDLE,
    authenticationKey: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call(
      "C_SetOperationState",
      signal,
      states.setOperationState,
      session,
      state,
      encryptionKey,
      authenticationKey,
      signal,
    );
  }

  /**
   * Verifies a PIN, once. The driver's own copies of it are wiped.
   * @param userType CKU.USER; CKU.SO; CKU.CONTEXT_SPECIFIC after the ...Init of an operation whose key has
   *   CKA_ALWAYS_AUTHENTICATE.
   * @param pin Text is sent as UTF-8. Null where the reader has keys of its own for it (CKF_PROTECTED_AUTHENTICATION_PATH).
   * @throws {CryptokiError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED, with the tries left in the cause ({@link PinError});
   *   CKR_PIN_INCORRECT with the length in the cause, and no try spent, for a PIN that is too short or too long for the card;
   *   CKR_USER_TYPE_INVALID for CKU.SO on a card without an officer's PIN.
   */
  C_Login(session: CK_SESSION_HANDLE, userType: number, pin: Pin, signal?: AbortSignal): Promise<void> {
    return this.call("C_Login", signal, sessions.login, session, userType, pin, signal);
  }

  /**
   * {@link C_Login} for tokens whose users have names.
   * @param username Empty or null: no token here has one with a name.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD for a name.
   */
  C_LoginUser(
    session: CK_SESSION_HANDLE,
    userType: number,
    pin: Pin,
    username: string | Uint8Array | null,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_LoginUser", signal, sessions.loginUser, session, userType, pin, username, signal);
  }

  /** Handles of private objects name nothing any more, and private session objects end. */
  C_Logout(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_Logout", signal, sessions.logout, session, signal);
  }
}
