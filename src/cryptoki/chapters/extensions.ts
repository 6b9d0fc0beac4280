import type { CallOptions } from "../../async/index.ts";
import type { Pcsc } from "../../pcsc/types.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import type { CryptoEngine } from "../engines.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import {
  reinitialize,
  resetToken,
  setPuk,
  unlockBegin,
  unlockGetChallenge,
  unlockPin,
  unlockWithResponse,
} from "./pin-management.ts";
import { destroyPrivateKey } from "./object-changes.ts";
import { hasNewEvent } from "./slots.ts";
import type { CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SLOT_ID } from "../structures.ts";
import type { CK_TRACE_CALLBACK } from "../trace/tracer.ts";
import { type Chapter, type Module, SLOT, SESSION } from "../chapter.ts";
import type { Pin } from "../sessions/logins.ts";

/**
 * Functions for smart cards that PKCS#11 lacks: with the names and purposes of Net iD's extensions ("PKCS#11
 * extensions", Pointsharp), so that applications written for those work. They belong to the interface "Vendor
 * cryptoki".
 */
export interface ExtensionFunctions {
  /**
   * The driver's own variables, at any time: "netid-system-info", "netid-soft-token-type"; and those set by {@link
   * C_SetVariable}.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is no such variable.
   */
  C_GetVariable(name: string, options?: CallOptions): Promise<string>;

  /**
   * Sets additional inputs of C_InitToken and {@link C_ResetToken}, which depend on the card: docs/functions.md lists them.
   * @param value Null removes it. All end with C_Finalize.
   */
  C_SetVariable(name: string, value: string | null, options?: CallOptions): Promise<void>;

  /**
   * Recognises the card in a slot anew, for example after a change by other means. In every application the sessions
   * with its tokens are closed, logins end, also those of single sign-on, and object handles become invalid.
   */
  C_Reinitialize(slotID: CK_SLOT_ID, options?: CallOptions): Promise<void>;

  /**
   * Reports whether there was an event in the slots, to any number of callers: {@link C_WaitForSlotEvent} reports each
   * event to only one of them.
   * @param lastEvent The last call's result; 0 at first.
   * @returns The number of the last event.
   * @throws {CryptokiError} CKR_NO_EVENT if that is `lastEvent`.
   */
  C_HasNewEvent(lastEvent: number, options?: CallOptions): Promise<number>;

  /**
   * Begins to unblock a PIN by challenge and response. The card is reserved for this application until {@link
   * C_UnlockWithResponse}, the end of its sessions with the token, or the timeout: others wait for three seconds, and
   * then get CKR_DEVICE_ERROR.
   * @param timeout Milliseconds, at most ten minutes. 0 releases the card.
   * @throws {CryptokiError} CKR_FUNCTION_NOT_SUPPORTED if the card does not support it; CKR_DEVICE_ERROR while another
   *   caller has reserved the card.
   */
  C_UnlockBegin(slotID: CK_SLOT_ID, timeout: number, options?: CallOptions): Promise<void>;

  /**
   * The card's challenge.
   * @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED before {@link C_UnlockBegin}, and after its timeout.
   */
  C_UnlockGetChallenge(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<Uint8Array>;

  /**
   * Answers the challenge, and sets the user's PIN if the response is right.
   * @throws {CryptokiError} CKR_PIN_INCORRECT for the response; CKR_OPERATION_NOT_INITIALIZED as {@link
   *   C_UnlockGetChallenge}.
   */
  C_UnlockWithResponse(
    session: CK_SESSION_HANDLE,
    response: Uint8Array,
    pin: Pin,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * Unblocks the user's PIN with the PUK, and sets it. Needs a read/write session, and no login.
   * @param puk Null, like `pin`, to have both typed on the reader's own keys.
   * @param pin The new PIN; null if `puk` is null.
   * @throws {CryptokiError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED speak of the PUK, with its tries left in the cause
   *   (`PinError`); CKR_PIN_LEN_RANGE and CKR_PIN_INVALID before the card sees either.
   */
  C_UnlockPIN(session: CK_SESSION_HANDLE, puk: Pin, pin: Pin, options?: CallOptions): Promise<void>;

  /**
   * Changes the PUK. Needs a read/write session, and no login.
   * @throws {CryptokiError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED speak of the old PUK, with its tries left in the cause (`PinError`);
   *   CKR_PIN_LEN_RANGE and CKR_PIN_INVALID of the new one, before the card sees either.
   */
  C_SetPUK(session: CK_SESSION_HANDLE, oldPuk: Pin, newPuk: Pin, options?: CallOptions): Promise<void>;

  /**
   * Deletes a private key of the card. The security officer, who must be logged in on a PIV card, sees no private keys; the public key
   * names it. Needs a read/write session.
   * @throws {CryptokiError} CKR_KEY_HANDLE_INVALID unless the handle is of a public key of the card that has a private key;
   *   CKR_ACTION_PROHIBITED if the card deletes no keys; CKR_USER_NOT_LOGGED_IN.
   */
  C_DestroyPrivateKey(session: CK_SESSION_HANDLE, publicKey: CK_OBJECT_HANDLE, options?: CallOptions): Promise<void>;

  /**
   * Reinitialises a token by its user, where C_InitToken needs the security officer: its objects are deleted, and the user's
   * PIN stays. No application may have a session with it.
   * @param pin Null for a card that is reset without a PIN: a YubiKey.
   * @throws {CryptokiError} CKR_SESSION_EXISTS; CKR_PIN_INCORRECT and CKR_PIN_LOCKED for `pin`, with the tries left in the
   *   cause; CKR_FUNCTION_NOT_SUPPORTED if the card does not support it.
   */
  C_ResetToken(slotID: CK_SLOT_ID, pin: Pin, options?: CallOptions): Promise<void>;

  /**
   * Adds readers that the resource manager does not know: of a telephone, over a network, in memory. Their slots appear
   * in every application that shares these slots, until {@link C_RemoveSlot} or C_Finalize of this one.
   * @param reader The caller closes it.
   * @returns The slots of the readers that it has now.
   */
  C_AddSlot(reader: Pcsc, options?: CallOptions): Promise<CK_SLOT_ID[]>;

  /**
   * Removes the readers that {@link C_AddSlot} added with this slot; sessions end as if the cards were removed.
   * @throws {CryptokiError} CKR_ACTION_PROHIBITED for a slot that this application did not add.
   */
  C_RemoveSlot(slotID: CK_SLOT_ID, options?: CallOptions): Promise<void>;

  /**
   * Lets an engine of the application compute instead of the host: operations with public RSA and EC keys (verify,
   * encrypt, wrap), and random numbers, also for generated session keys. Private key operations of a card stay on the
   * card.
   * @param mechanism Null for random numbers.
   * @param engine Null removes it. All end with C_Finalize.
   * @throws {CryptokiError} CKR_MECHANISM_INVALID for an engine that would not be called: for another mechanism (a
   *   hash, a cipher with secret keys, key generation), or without the required function.
   */
  C_AddEngine(mechanism: CK_MECHANISM_TYPE | null, engine: CryptoEngine | null, options?: CallOptions): Promise<void>;

  /**
   * Reports every call to `callback` when it has ended, secrets concealed, and every finding on a card when it is
   * found; null ends that. At any time.
   * @param callback Its first line states width and byte order of CK_ULONG: "PKCS11 - Little endian build (32-bits
   *   CK_ULONG)". The option ulongBits determines the width.
   */
  C_SetTraceCallback(callback: CK_TRACE_CALLBACK | null, options?: CallOptions): Promise<void>;
}

/** The driver's own variables, at any time. */
const OWN: ReadonlyMap<string, () => string> = new Map([
  ["netid-system-info", systemInfo],
  // Software keys belong to sessions here, not to a token.
  ["netid-soft-token-type", (): string => "none"],
]);

function systemInfo(): string {
  // Only Node has this object.
  const machine =
    typeof process === "undefined" ? [] : [`${process.platform} ${process.arch}`, `Node ${process.version}`];
  return ["cryptoki", ...machine].join("; ");
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is none of this name. */
function getVariable(application: Application | undefined, name: string): string {
  const value = OWN.get(name)?.() ?? application?.variables.get(name);
  if (value === undefined) throw new CryptokiError(CKR.ARGUMENTS_BAD, "no variable of this name is set");
  return value;
}

const MAX_VARIABLES = 256;
const MAX_NAME = 256;
const MAX_VALUE = 65_536;

function setVariable(application: Application, name: string, value: string | null): void {
  const { variables } = application;
  if (typeof name !== "string" || name.length === 0 || name.length > MAX_NAME || OWN.has(name)) {
    throw new CryptokiError(
      CKR.ARGUMENTS_BAD,
      `a variable has a name of at most ${MAX_NAME} characters, not the driver's own`,
    );
  }
  if (value === null) {
    variables.delete(name);
    return;
  }
  if (typeof value !== "string" || value.length > MAX_VALUE) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, `a variable is text of at most ${MAX_VALUE} characters`);
  }
  if (variables.size >= MAX_VARIABLES && !variables.has(name)) throw new CryptokiError(CKR.HOST_MEMORY);
  variables.set(name, value);
}

function setTraceCallback({ tracer }: Module, callback: CK_TRACE_CALLBACK | null): void {
  const given: unknown = callback;
  if (given !== null && typeof given !== "function") throw new CryptokiError(CKR.ARGUMENTS_BAD);
  tracer.listen(callback ?? undefined);
}

async function addSlot(application: Application, reader: Pcsc, signal?: AbortSignal): Promise<number[]> {
  const given: unknown = reader;
  if (typeof given !== "object" || given === null || !("changes" in given) || !("connect" in given)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "a reader has the functions of Pcsc: changes and connect");
  }
  const source = await application.slots.add(reader);
  if (signal?.aborted) {
    await application.slots.remove(source);
    throw cancelled(signal.reason);
  }
  application.added.add(source);
  return source.readers.filter(({ plugged }) => plugged).map((added) => added.slotID(0));
}

async function removeSlot(application: Application, slotID: number): Promise<void> {
  const { reader } = application.view.slot(slotID);
  const source = [...application.added].find(({ readers }) => readers.includes(reader));
  if (!source) throw new CryptokiError(CKR.ACTION_PROHIBITED, "this application did not add this slot");
  application.added.delete(source);
  await application.slots.remove(source);
}

function addEngine(application: Application, mechanism: number | null, engine: CryptoEngine | null): void {
  if (mechanism !== null && (!Number.isInteger(mechanism) || mechanism < 0)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "an engine is for a mechanism (CKM), or for random numbers (null)");
  }
  const given: unknown = engine;
  if (given !== null && (typeof given !== "object" || !("name" in given))) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "an engine is an object with a name and the functions that it has");
  }
  application.engines.set(mechanism, engine ?? undefined);
}

const PUBLIC_KEY = ["hPublicKey", "object"] as const;

export const EXTENSIONS: Chapter<ExtensionFunctions> = {
  title: "Extensions",
  source: "Net iD PKCS#11 extensions, Pointsharp",
  vendor: true,
  functions: {
    C_GetVariable: {
      state: "software",
      parameters: [["name", "text"]],
      result: "secret",
      anyTime: ({ application }, name) => getVariable(application, name),
    },
    C_SetVariable: {
      state: "software",
      parameters: [
        ["name", "text"],
        ["value", "secret"],
      ],
      result: "none",
      body: setVariable,
    },
    C_Reinitialize: { state: "card", parameters: [SLOT], result: "none", body: reinitialize },
    C_HasNewEvent: { state: "software", parameters: [["lastEvent", "number"]], result: "value", body: hasNewEvent },
    C_UnlockBegin: {
      state: "card",
      parameters: [SLOT, ["timeout", "number"]],
      result: "none",
      note: "where the card unblocks by challenge and response",
      body: unlockBegin,
    },
    C_UnlockGetChallenge: { state: "card", parameters: [SESSION], result: "bytes", body: unlockGetChallenge },
    C_UnlockWithResponse: {
      state: "card",
      parameters: [SESSION, ["pResponse", "secret"], ["pPin", "pin"]],
      result: "none",
      body: unlockWithResponse,
    },
    C_UnlockPIN: {
      state: "card",
      parameters: [SESSION, ["pPuk", "pin"], ["pPin", "pin"]],
      result: "none",
      body: unlockPin,
    },
    C_SetPUK: {
      state: "card",
      parameters: [SESSION, ["pOldPuk", "pin"], ["pNewPuk", "pin"]],
      result: "none",
      body: setPuk,
    },
    C_DestroyPrivateKey: { state: "card", parameters: [SESSION, PUBLIC_KEY], result: "none", body: destroyPrivateKey },
    C_ResetToken: {
      state: "card",
      parameters: [SLOT, ["pPin", "pin"]],
      result: "none",
      note: "where the card has such a command: MyEID with the SO PIN, IsoApplet with the PIN",
      body: resetToken,
    },
    C_AddSlot: { state: "card", parameters: [["addSlot", "value"]], result: "value", body: addSlot },
    C_RemoveSlot: { state: "software", parameters: [SLOT], result: "none", body: removeSlot },
    C_AddEngine: {
      state: "software",
      parameters: [
        ["type", "mechanism type"],
        ["engine", "value"],
      ],
      result: "none",
      body: addEngine,
    },
    C_SetTraceCallback: {
      state: "software",
      parameters: [["callback", "value"]],
      result: "none",
      anyTime: setTraceCallback,
    },
  },
};
