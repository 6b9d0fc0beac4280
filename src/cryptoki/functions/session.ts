import type { Application } from "../application.ts";
import { CKF_SESSION } from "../constants/ckf.ts";
import { CKR } from "../constants/ckr.ts";
import { CKU } from "../constants/cku.ts";
import { CryptokiError } from "../error.ts";
import { PinError, type PinUser } from "../../card/index.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_SESSION_INFO } from "../structures.ts";

export function openSession(application: Application, slotID: number, flags: number): Promise<number> {
  if ((flags & CKF_SESSION.SERIAL_SESSION) === 0) throw new CryptokiError(CKR.SESSION_PARALLEL_NOT_SUPPORTED);
  const readWrite = (flags & CKF_SESSION.RW_SESSION) !== 0;
  return application.withToken(slotID, (token) => {
    if (!readWrite && application.logins.userOf(token) === "so") {
      throw new CryptokiError(CKR.SESSION_READ_WRITE_SO_EXISTS);
    }
    return application.sessions.open(token, readWrite).handle;
  });
}

export function closeSession(application: Application, handle: number): Promise<void> {
  return application.inSession(handle, (session) => application.closeSession(session));
}

export function closeAllSessions(application: Application, slotID: number): Promise<void> {
  const { reader } = application.slots.slot(slotID);
  // Without a card there are no sessions, and nothing is asked of a card that nobody has looked at.
  const token = reader.card?.knownTokens.find((known) => known.slotID === slotID);
  if (!reader.card) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
  return token ? application.closeAllSessions(token) : Promise.resolve();
}

export function getSessionInfo(application: Application, handle: number): CK_SESSION_INFO {
  const session = application.sessions.get(handle);
  return {
    slotID: session.token.slotID,
    state: session.state(application.logins.userOf(session.token)),
    flags: session.flags,
    ulDeviceError: 0,
  };
}

const USERS: ReadonlyMap<number, PinUser> = new Map<number, PinUser>([
  [CKU.USER, "user"],
  [CKU.SO, "so"],
]);

export function login(
  application: Application,
  handle: number,
  userType: number,
  pin: string | Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    async (session) => {
      requirePin(pin);
      if (userType === CKU.CONTEXT_SPECIFIC) return authenticate(application, session, pin, signal);
      const user = USERS.get(userType);
      if (user === undefined) throw new CryptokiError(CKR.USER_TYPE_INVALID);
      if (user === "so" && application.sessions.with(session.token).some(({ readWrite }) => !readWrite)) {
        throw new CryptokiError(CKR.SESSION_READ_ONLY_EXISTS);
      }
      return application.logins.login(session.token, user, pin, signal);
    },
    signal,
  );
}

/** Re-authentication for the operation that began last with a key that wants it (PKCS#11 3.1, private key objects). */
async function authenticate(
  application: Application,
  session: Session,
  pin: string | Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const operation = session.operations.awaitingPin;
  if (!operation) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED);
  if (application.logins.userOf(session.token) !== "user") throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
  try {
    await application.logins.authenticate(session.token, pin, signal);
  } catch (error) {
    // "C_Login returns in this case CKR_PIN_LOCKED and this also logs the user out from the token."
    if (error instanceof PinError && error.reason === "blocked") application.logins.forget(session.token);
    throw error;
  }
  operation.key.authenticate();
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD: null would mean a PIN pad, which no reader here has. */
function requirePin(pin: unknown): void {
  if (typeof pin === "string" || pin instanceof Uint8Array) return;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "the PIN is a string or a Uint8Array");
}

export function logout(application: Application, handle: number): Promise<void> {
  return application.inSession(handle, async ({ token }) => {
    if (!application.logins.userOf(token)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
    await application.logout(token);
  });
}
