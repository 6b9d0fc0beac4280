import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type { Pcsc } from "../../pcsc/index.ts";
import * as addedSlots from "../chapters/extensions.ts";
import type { CryptoEngine } from "../engines.ts";
import * as engines from "../chapters/extensions.ts";
import * as pins from "../chapters/pin-management.ts";
import * as slots from "../chapters/slots.ts";
import * as tokens from "../chapters/pin-management.ts";
import * as unlocking from "../chapters/pin-management.ts";
import * as variables from "../chapters/extensions.ts";
import type { Pin } from "../arguments.ts";
import type { CK_MECHANISM_TYPE, CK_SESSION_HANDLE, CK_SLOT_ID } from "../structures.ts";
import type { CK_TRACE_CALLBACK } from "../trace/tracer.ts";
import { ParallelFunctions } from "./parallel-functions.ts";

/**
 * What smart cards need and PKCS#11 has not: functions with the names and the purposes of Net iD's extensions ("PKCS#11 extensions",
 * Pointsharp), so that applications written for those find them. They stand in the interface "Vendor cryptoki".
 */
export abstract class Extensions extends ParallelFunctions {
  /**
   * What the driver tells of itself, at any time: "netid-system-info", "netid-soft-token-type"; and what {@link C_SetVariable} set.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is no such variable.
   */
  C_GetVariable(name: string, signal?: AbortSignal): Promise<string> {
    return this.callAnyTime("C_GetVariable", signal, (of) => variables.getVariable(this.application, of), name);
  }

  /**
   * Sets what {@link C_InitToken} and {@link C_ResetToken} want to know besides their arguments, which depends on the card.
   * @param value Null takes it back. All end with C_Finalize.
   */
  C_SetVariable(name: string, value: string | null, signal?: AbortSignal): Promise<void> {
    return this.call("C_SetVariable", signal, variables.setVariable, name, value);
  }

  /**
   * Has the token in a slot looked at anew, with the card that it is on: after it was changed by other means, for one. In every application
   * the sessions with it are closed, logins end, those of single sign-on too, and object handles name nothing any more.
   */
  C_Reinitialize(slotID: CK_SLOT_ID, signal?: AbortSignal): Promise<void> {
    return this.call("C_Reinitialize", signal, tokens.reinitialize, slotID, signal);
  }

  /**
   * Whether anything happened in the slots, for any number of callers: {@link C_WaitForSlotEvent} tells each event to one of them only.
   * @param lastEvent What the last call gave; 0 at first.
   * @returns The number of the last event.
   * @throws {CryptokiError} CKR_NO_EVENT if that is `lastEvent`.
   */
  C_HasNewEvent(lastEvent: number, signal?: AbortSignal): Promise<number> {
    return this.call("C_HasNewEvent", signal, slots.hasNewEvent, lastEvent);
  }

  /**
   * Begins to unblock a PIN by challenge and response. The card is this application's alone until {@link C_UnlockWithResponse}, the end of
   * its sessions with the token, or the time given: others wait for three seconds, and are told CKR_DEVICE_ERROR.
   * @param timeout Milliseconds, at most ten minutes. 0 gives the card back.
   * @throws {CryptokiError} CKR_FUNCTION_NOT_SUPPORTED where the card does not unblock so; CKR_DEVICE_ERROR while somebody else has it.
   */
  C_UnlockBegin(slotID: CK_SLOT_ID, timeout: number, signal?: AbortSignal): Promise<void> {
    return this.call("C_UnlockBegin", signal, unlocking.unlockBegin, slotID, timeout, signal);
  }

  /**
   * What the card wants an answer to.
   * @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED before {@link C_UnlockBegin}, and when its time has run out.
   */
  C_UnlockGetChallenge(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_UnlockGetChallenge", signal, unlocking.unlockGetChallenge, session, signal);
  }

  /**
   * Answers the challenge, and sets the user's PIN if the answer is right.
   * @throws {CryptokiError} CKR_PIN_INCORRECT for the response; CKR_OPERATION_NOT_INITIALIZED as {@link C_UnlockGetChallenge}.
   */
  C_UnlockWithResponse(
    session: CK_SESSION_HANDLE,
    response: Uint8Array,
    pin: Pin,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_UnlockWithResponse", signal, unlocking.unlockWithResponse, session, response, pin, signal);
  }

  /**
   * Unblocks the user's PIN with the PUK, and sets it. Needs a read/write session, and no login.
   * @param puk,pin Null, both of them, to have them typed on the reader's own keys.
   * @throws {CryptokiError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED speak of the PUK, with its tries left in the cause
   *   ({@link PinError}); CKR_PIN_LEN_RANGE and CKR_PIN_INVALID before the card sees either.
   */
  C_UnlockPIN(session: CK_SESSION_HANDLE, puk: Pin, pin: Pin, signal?: AbortSignal): Promise<void> {
    return this.call("C_UnlockPIN", signal, pins.unlockPin, session, puk, pin, signal);
  }

  /**
   * Makes a token new on its user's own word, where {@link C_InitToken} wants the security officer's. Nobody may have a session with it.
   * @throws {CryptokiError} CKR_SESSION_EXISTS; CKR_FUNCTION_NOT_SUPPORTED where the card has nothing of the kind.
   */
  C_ResetToken(slotID: CK_SLOT_ID, pin: Pin, signal?: AbortSignal): Promise<void> {
    return this.call("C_ResetToken", signal, tokens.resetToken, slotID, pin, signal);
  }

  /**
   * Adds readers that the machine knows nothing of: of a telephone, over a network, in memory. They have slots beside the others, in every
   * application that shares these slots, until {@link C_RemoveSlot} or C_Finalize of this one.
   * @param reader Stays the caller's to close.
   * @returns The slots of the readers that it has now.
   */
  C_AddSlot(reader: Pcsc, signal?: AbortSignal): Promise<CK_SLOT_ID[]> {
    return this.call("C_AddSlot", signal, addedSlots.addSlot, reader, signal);
  }

  /**
   * Takes away what {@link C_AddSlot} added with this slot; what was open there ends as if the cards were taken out.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED for a slot that this application did not add.
   */
  C_RemoveSlot(slotID: CK_SLOT_ID, signal?: AbortSignal): Promise<void> {
    return this.call("C_RemoveSlot", signal, addedSlots.removeSlot, slotID);
  }

  /**
   * Has an engine of the application's own compute in place of the host: what is done with public keys of RSA and ECC (verify, encrypt,
   * wrap), and random numbers, also those that keys of a session are made of. What a card does with its private keys stays the card's.
   * @param mechanism Null for random numbers.
   * @param engine Null takes it away. All go with C_Finalize.
   * @throws {CryptokiError} CKR_MECHANISM_INVALID for an engine that would not be called: for another mechanism (a hash, a cipher with
   *   secret keys, the generation of keys), or without the function for it.
   */
  C_AddEngine(mechanism: CK_MECHANISM_TYPE | null, engine: CryptoEngine | null, signal?: AbortSignal): Promise<void> {
    return this.call("C_AddEngine", signal, engines.addEngine, mechanism, engine);
  }

  /**
   * Has every call told to `callback` when it has ended, secrets concealed, and what is found wrong on a card when it is found; null
   * ends that. At any time.
   * @param callback Its first line tells width and byte order of CK_ULONG: "PKCS11 - Little endian build (32-bits CK_ULONG)".
   *   The option ulongBits decides the width.
   */
  C_SetTraceCallback(callback: CK_TRACE_CALLBACK | null, signal?: AbortSignal): Promise<void> {
    return this.callAnyTime(
      "C_SetTraceCallback",
      signal,
      (given) => {
        if (given !== null && typeof given !== "function") throw new CryptokiError(CKR.ARGUMENTS_BAD);
        this.tracer.listen(given ?? undefined);
      },
      callback,
    );
  }
}
