import { CardError, PinError, type PinRole } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { type Pin, requirePin, withPin } from "../sessions/pin.ts";
import type { Token } from "../slots/token.ts";
import { cannot } from "./cannot.ts";
import { requireReadWrite } from "./card-objects.ts";

/** Sets the user's PIN for the security officer, or with the PUK that was given in an officer's place. */
export function initPin(application: Application, handle: number, pin: Pin, signal?: AbortSignal): Promise<void> {
  return application.inSession(
    handle,
    ({ token }) => {
      requirePin(pin);
      return token.loginQueue.run(() => {
        // "An attempt to call it from a session in any other state fails with error CKR_USER_NOT_LOGGED_IN."
        if (application.logins.userOf(token) !== "so") {
          throw new CryptokiError(CKR.USER_NOT_LOGGED_IN, "C_Login with CKU.SO first");
        }
        // Not before the turn: a logout wipes it.
        const puk = application.logins.pukOf(token);
        return puk ? unlockForOfficer(application, token, puk, pin, signal) : initialise(token, pin, signal);
      }, signal);
    },
    signal,
  );
}

async function initialise(token: Token, pin: Pin, signal?: AbortSignal): Promise<void> {
  const { cardToken } = token;
  if (!cardToken.initPin) {
    throw await cannot(token, "this card's security officer sets no PIN; C_UnlockPIN does, with the PUK");
  }
  await settingPin(token, () => withPin(pin, async (copy) => cardToken.initPin?.(copy, signal)));
}

/**
 * Runs `work`, which sets the user's PIN. What applications keep of the old one is forgotten, unless the card refused or was not asked:
 * each of them would spend a try on it.
 */
export async function settingPin(token: Token, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof CardError || error instanceof CryptokiError)) token.dropKeptPins();
    throw error;
  }
  token.dropKeptPins();
}

/** A PUK that was refused is not tried again: its officer is logged out. One that the card did not look at stays. */
async function unlockForOfficer(
  { logins }: Application,
  token: Token,
  puk: Uint8Array,
  pin: Pin,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await unlock(token, puk, pin, signal);
    logins.dropPuk(token);
  } catch (error) {
    if (error instanceof PinError && (error.reason === "incorrect" || error.reason === "blocked")) logins.forget(token);
    throw error;
  }
}

/** Changes the PIN of who is logged in; the user's, if nobody is. */
export function setPin(
  application: Application,
  handle: number,
  oldPin: Pin,
  newPin: Pin,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    (session) => {
      requirePin(oldPin, "the old PIN");
      requirePin(newPin, "the new PIN");
      requireReadWrite(session);
      const { token } = session;
      const { logins } = application;
      return token.loginQueue.run(() => {
        const user = logins.userOf(token);
        if (!user && application.unlocksBy("C_SetPIN")) return unlock(token, oldPin, newPin, signal);
        logins.dropKeptPin(token);
        const role = logins.pukOf(token) ? "puk" : (user ?? "user");
        const work = (): Promise<void> => change(token, role, oldPin, newPin, signal);
        return role === "user" ? settingPin(token, work) : work();
      }, signal);
    },
    signal,
  );
}

async function change(token: Token, role: PinRole, oldPin: Pin, newPin: Pin, signal?: AbortSignal): Promise<void> {
  const { cardToken } = token;
  const { pinPad } = cardToken;
  try {
    if (oldPin === null && newPin === null && pinPad?.changePin) {
      await pinPad.changePin(role, signal);
    } else {
      if (!cardToken.changePin) throw await cannot(token, "this card's PINs stay as they are");
      await withPin(oldPin, (old) => withPin(newPin, async (fresh) => cardToken.changePin?.(role, old, fresh, signal)));
    }
  } catch (error) {
    // The card may have changed it behind the caller.
    if (signal?.aborted) await token.logoutIfUnused().catch(() => undefined);
    throw error;
  }
  // The card may hold the new PIN as verified now, and no application has logged in. The change is made, whatever it answers.
  await token.logoutIfUnused().catch(() => undefined);
}

/** Unblocks the user's PIN with the PUK, and sets it. */
export function unlockPin(
  application: Application,
  handle: number,
  puk: Pin,
  pin: Pin,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    (session) => {
      requirePin(puk, "the PUK");
      requirePin(pin);
      requireReadWrite(session);
      const { token } = session;
      return token.loginQueue.run(() => unlock(token, puk, pin, signal), signal);
    },
    signal,
  );
}

async function unlock(token: Token, puk: Pin, pin: Pin, signal?: AbortSignal): Promise<void> {
  const { cardToken } = token;
  const { pinPad } = cardToken;
  if (puk === null && pin === null && pinPad?.unlockPin) {
    const onPad = pinPad.unlockPin.bind(pinPad);
    return settingPin(token, () => onPad(signal));
  }
  if (!cardToken.unlockPin) throw await cannot(token, "no PUK unblocks this card's PIN");
  await settingPin(token, () =>
    withPin(puk, (key) => withPin(pin, async (fresh) => cardToken.unlockPin?.(key, fresh, signal))),
  );
}
