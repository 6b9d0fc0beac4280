import type { CallOptions } from "../../async/index.ts";
import { PinError, type PinUser } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { CKU } from "../constants/ck.ts";
import { CKF_MECHANISM, CKF_SESSION } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, requireBytes, requireFlags } from "../errors.ts";
import { SessionOperation, type OperationKind } from "../sessions/operations.ts";
import type { Session } from "../sessions/session.ts";
import type { Token } from "../slots/token.ts";
import type { CK_FLAGS, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID } from "../structures.ts";
import { type Chapter, SLOT, SESSION } from "../chapter.ts";
import { type Pin, requirePin, withPin } from "../sessions/logins.ts";

/** Session management functions (PKCS#11 3.1 section 5.6). */
export interface SessionFunctions {
  /** @param flags CKF.SERIAL_SESSION always, and CKF.RW_SESSION for a read/write session. */
  C_OpenSession(slotID: CK_SLOT_ID, flags: CK_FLAGS, options?: CallOptions): Promise<CK_SESSION_HANDLE>;

  /** With the last session of a token, its login ends. */
  C_CloseSession(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;

  C_CloseAllSessions(slotID: CK_SLOT_ID, options?: CallOptions): Promise<void>;

  /** Never sends anything to a card. */
  C_GetSessionInfo(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<CK_SESSION_INFO>;

  /**
   * Cancels active operations; inactive ones are ignored.
   * @param flags Of CKF_MECHANISM: CKF.SIGN, CKF.FIND_OBJECTS ... 0 cancels none.
   */
  C_SessionCancel(session: CK_SESSION_HANDLE, flags: CK_FLAGS, options?: CallOptions): Promise<void>;

  /**
   * Saves an active digest. The state is valid in this application; no other operation can be saved.
   * @throws {CryptokiError} CKR_STATE_UNSAVEABLE during encryption, decryption, signing or verification;
   *   CKR_OPERATION_NOT_INITIALIZED if none of these is active, even during a search.
   */
  C_GetOperationState(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<Uint8Array>;

  /**
   * Goes on with a digest that was saved. Operations of this session that are under way end.
   * @param encryptionKey 0: a digest has no key.
   * @param authenticationKey 0, likewise.
   * @throws {CryptokiError} CKR_SAVED_STATE_INVALID if the session that it was saved in is with another token or in another state, or was
   *   another application's; CKR_KEY_NOT_NEEDED.
   */
  C_SetOperationState(
    session: CK_SESSION_HANDLE,
    state: Uint8Array,
    encryptionKey: CK_OBJECT_HANDLE,
    authenticationKey: CK_OBJECT_HANDLE,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * Verifies a PIN, once. The driver wipes its copies of it.
   * @param userType CKU.USER; CKU.SO; CKU.CONTEXT_SPECIFIC after the ...Init of an operation whose key has
   *   CKA_ALWAYS_AUTHENTICATE.
   * @param pin Text is sent as UTF-8. Null if the user types it on the reader (CKF_PROTECTED_AUTHENTICATION_PATH).
   * @throws {CryptokiError} CKR_PIN_INCORRECT and CKR_PIN_LOCKED, with the tries left in the cause ({@link PinError});
   *   CKR_PIN_INCORRECT with the length in the cause, and no try spent, for a PIN that is too short or too long for the
   *   card; CKR_USER_TYPE_INVALID for CKU.SO on a card without an officer's PIN.
   */
  C_Login(session: CK_SESSION_HANDLE, userType: number, pin: Pin, options?: CallOptions): Promise<void>;

  /**
   * {@link C_Login} for tokens whose users have names.
   * @param username Empty or null: no user of a token here has a name.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD for a name.
   */
  C_LoginUser(
    session: CK_SESSION_HANDLE,
    userType: number,
    pin: Pin,
    username: string | Uint8Array | null,
    options?: CallOptions,
  ): Promise<void>;

  /** Handles of private objects become invalid, and private session objects end. */
  C_Logout(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<void>;
}

function openSession(application: Application, slotID: number, flags: number, signal?: AbortSignal): Promise<number> {
  requireFlags(flags);
  if ((flags & CKF_SESSION.SERIAL_SESSION) === 0) throw new CryptokiError(CKR.SESSION_PARALLEL_NOT_SUPPORTED);
  const readWrite = (flags & CKF_SESSION.RW_SESSION) !== 0;
  return application.withToken(
    slotID,
    (token) => {
      if (!readWrite && application.logins.userOf(token) === "so") {
        throw new CryptokiError(CKR.SESSION_READ_WRITE_SO_EXISTS);
      }
      return application.sessions.open(token, readWrite).handle;
    },
    signal,
  );
}

function closeSession(application: Application, handle: number, signal?: AbortSignal): Promise<void> {
  return application.inSession(handle, (session) => application.closeSession(session), signal, true);
}

async function closeAllSessions(application: Application, slotID: number, signal?: AbortSignal): Promise<void> {
  const { card } = application.view.slot(slotID).reader;
  if (!card) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
  // A token that was never examined has no sessions, and is not examined for this.
  const tokens = card.knownTokens.filter((token) => application.view.visibleSlotId(token.slotID) === slotID);
  await Promise.all(tokens.map((token) => application.closeAllSessions(token, signal)));
}

function getSessionInfo(application: Application, handle: number): CK_SESSION_INFO {
  const session = application.sessions.get(handle);
  return {
    slotID: application.view.visibleSlotId(session.token.slotID),
    state: session.state(application.logins.userOf(session.token)),
    flags: session.flags,
    ulDeviceError: 0,
  };
}

/** The operation that C_SessionCancel ends by each flag. */
const CANCELLED: readonly (readonly [flag: number, kind: OperationKind])[] = [
  [CKF_MECHANISM.FIND_OBJECTS, "find"],
  [CKF_MECHANISM.ENCRYPT, "encrypt"],
  [CKF_MECHANISM.DECRYPT, "decrypt"],
  [CKF_MECHANISM.DIGEST, "digest"],
  [CKF_MECHANISM.SIGN, "sign"],
  [CKF_MECHANISM.SIGN_RECOVER, "sign-recover"],
  [CKF_MECHANISM.VERIFY, "verify"],
  [CKF_MECHANISM.VERIFY_RECOVER, "verify-recover"],
  [CKF_MECHANISM.MESSAGE_ENCRYPT, "message-encrypt"],
  [CKF_MECHANISM.MESSAGE_DECRYPT, "message-decrypt"],
  [CKF_MECHANISM.MESSAGE_SIGN, "message-sign"],
  [CKF_MECHANISM.MESSAGE_VERIFY, "message-verify"],
];

function sessionCancel(application: Application, handle: number, flags: number, signal?: AbortSignal): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) => {
      requireFlags(flags);
      for (const [flag, kind] of CANCELLED) if ((flags & flag) !== 0) operations.cancel(kind);
    },
    signal,
    true,
  );
}

const USERS: ReadonlyMap<number, PinUser> = new Map<number, PinUser>([
  [CKU.USER, "user"],
  [CKU.SO, "so"],
]);

function login(
  application: Application,
  handle: number,
  userType: number,
  pin: Pin,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    async (session) => {
      requirePin(pin);
      if (userType === CKU.CONTEXT_SPECIFIC) return authenticate(application, session, pin, signal);
      const user = USERS.get(userType);
      if (user === undefined) throw new CryptokiError(CKR.USER_TYPE_INVALID);
      const { token } = session;
      if (user === "so") requireNoReadOnly(application, token);
      const takesPuk = user === "so" && (token.cardToken.pukIsOfficer === true || application.unlocksBy("C_InitPIN"));
      const puk = takesPuk && (await isPuk(token, pin));
      await (puk
        ? application.logins.loginWithPuk(token, pin, signal)
        : application.logins.login(token, user, pin, signal));
      if (user !== "so") return;
      try {
        // A read-only session may have been opened during the verification.
        requireNoReadOnly(application, token);
      } catch (error) {
        await application.logout(token);
        throw error;
      }
    },
    signal,
  );
}

/** @throws {CryptokiError} CKR_SESSION_READ_ONLY_EXISTS. */
function requireNoReadOnly({ sessions }: Application, token: Token): void {
  const { total, readWrite } = sessions.count(token);
  if (readWrite < total) throw new CryptokiError(CKR.SESSION_READ_ONLY_EXISTS);
}

/** Re-authentication for the last operation with a key that needs it (PKCS#11 3.1, private key objects). */
async function authenticate(application: Application, session: Session, pin: Pin, signal?: AbortSignal): Promise<void> {
  const key = session.operations.awaitingPin;
  if (!key) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED);
  if (application.logins.userOf(session.token) !== "user") throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
  try {
    await key.authenticate(pin, signal);
  } catch (error) {
    // "C_Login returns in this case CKR_PIN_LOCKED and this also logs the user out from the token."
    if (error instanceof PinError && error.reason === "blocked") application.logins.forget(session.token);
    throw error;
  }
}

/** The length distinguishes a PUK from an officer's PIN: a secret with the length of a PUK is one. */
async function isPuk(token: Token, pin: Pin): Promise<boolean> {
  const { puk } = await token.info();
  if (!puk || pin === null) return false;
  return withPin(pin, ({ length }) => Promise.resolve(length >= puk.minLength && length <= puk.maxLength));
}

/** Tokens here have one user of each kind, without a name. */
function loginUser(
  application: Application,
  handle: number,
  userType: number,
  pin: Pin,
  username: string | Uint8Array | null,
  signal?: AbortSignal,
): Promise<void> {
  application.sessions.get(handle);
  // Callers in JavaScript have no types.
  const given = username as { readonly length: number } | null | undefined;
  if (given !== null && given?.length !== 0) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "no user of a card has a name; leave it empty, or call C_Login");
  }
  return login(application, handle, userType, pin, signal);
}

function logout(application: Application, handle: number, signal?: AbortSignal): Promise<void> {
  return application.inSession(
    handle,
    async ({ token }) => {
      if (!application.logins.userOf(token)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
      application.logins.decline(token);
      await application.logout(token);
    },
    signal,
  );
}

/** Operations with a state (PKCS#11 3.1 section 5.6.6): a search has none, nor have messages. */
const SAVABLE: ReadonlySet<OperationKind> = new Set(["encrypt", "decrypt", "digest", "sign", "verify"]);

function getOperationState(application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(
    handle,
    (session) => {
      const { operations } = session;
      const kinds = operations.active.filter((kind) => SAVABLE.has(kind));
      if (kinds.length === 0) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED);
      if (kinds.some((kind) => kind !== "digest")) {
        throw new CryptokiError(CKR.STATE_UNSAVEABLE, "only a digest by itself can be saved");
      }
      return application.savedStates.save(operations.get("digest").stream, placeOf(application, session));
    },
    signal,
  );
}

/** A digest has no keys: both handles must be 0. */
function setOperationState(
  application: Application,
  handle: number,
  state: Uint8Array,
  encryptionKey: number,
  authenticationKey: number,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    async (session) => {
      requireBytes(state, "the state");
      const { operations } = session;
      const digester = application.savedStates.restore(state, placeOf(application, session));
      if (encryptionKey !== 0 || authenticationKey !== 0) {
        throw new CryptokiError(CKR.KEY_NOT_NEEDED, "a digest has no key; give 0");
      }
      const operation = new SessionOperation(digester);
      operation.begin();
      // "The ongoing operations are abruptly cancelled", a search too.
      operations.cancelAll();
      await operations.begin("digest", () => operation);
    },
    signal,
  );
}

const placeOf = ({ logins }: Application, session: Session): { readonly token: Token; readonly state: number } => ({
  token: session.token,
  state: session.state(logins.userOf(session.token)),
});

export const SESSIONS: Chapter<SessionFunctions> = {
  title: "Sessions",
  source: "PKCS#11 3.1 section 5.6",
  functions: {
    C_OpenSession: { state: "card", parameters: [SLOT, ["flags", "flags"]], result: "handle", body: openSession },
    C_CloseSession: { state: "software", parameters: [SESSION], result: "none", body: closeSession },
    C_CloseAllSessions: { state: "software", parameters: [SLOT], result: "none", body: closeAllSessions },
    C_GetSessionInfo: {
      state: "software",
      parameters: [SESSION],
      result: "value",
      note: "never sends anything to a card",
      body: getSessionInfo,
    },
    C_SessionCancel: {
      state: "software",
      parameters: [SESSION, ["flags", "flags"]],
      result: "none",
      body: sessionCancel,
    },
    C_GetOperationState: {
      state: "software",
      parameters: [SESSION],
      result: "secret",
      note: "a digest only, within one application",
      body: getOperationState,
    },
    C_SetOperationState: {
      state: "software",
      parameters: [
        SESSION,
        ["pOperationState", "secret"],
        ["hEncryptionKey", "number"],
        ["hAuthenticationKey", "number"],
      ],
      result: "none",
      body: setOperationState,
    },
    C_Login: {
      state: "card",
      parameters: [SESSION, ["userType", "user type"], ["pPin", "pin"]],
      result: "none",
      body: login,
    },
    C_LoginUser: {
      state: "card",
      parameters: [SESSION, ["userType", "user type"], ["pPin", "pin"], ["pUsername", "text"]],
      result: "none",
      note: "users of cards have no names",
      body: loginUser,
    },
    C_Logout: { state: "card", parameters: [SESSION], result: "none", body: logout },
  },
};
