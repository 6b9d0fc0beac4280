import { utf8 } from "../../bytes/index.ts";
import { CardError, PinError, type PinRole, UnsupportedError } from "../../card/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, isGone, requireBytes, requireCount, toCryptokiError } from "../errors.ts";
import type { Session } from "../sessions/session.ts";
import type { Token } from "../slots/token.ts";
import { requireReadWrite } from "./card-objects.ts";
import { unsupportedError } from "./key-use.ts";
import { type Pin, requirePin, withPin } from "../sessions/logins.ts";

/** Sets the user's PIN for the security officer, or with the PUK that was given instead of an officer's PIN. */
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
        // Only in its turn: a logout before it wipes the PUK.
        const puk = application.logins.pukOf(token);
        return puk
          ? unlockForOfficer(application, token, puk, pin, signal)
          : initialise(application, token, pin, signal);
      }, signal);
    },
    signal,
  );
}

async function initialise({ variables }: Application, token: Token, pin: Pin, signal?: AbortSignal): Promise<void> {
  const { cardToken } = token;
  if (!cardToken.initPin) {
    throw await unsupportedError(
      token,
      "this card's security officer cannot set the PIN; C_UnlockPIN does, with the PUK",
    );
  }
  await settingPin(token, () => withPin(pin, async (copy) => cardToken.initPin?.(copy, { variables, signal })));
}

/**
 * Runs `work`, which sets the user's PIN. Applications then forget their copies of the old one, unless the card refused
 * or was not asked: each of them would spend a try on it.
 */
async function settingPin(token: Token, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof CardError || error instanceof CryptokiError)) token.dropKeptPins();
    throw error;
  }
  token.dropKeptPins();
}

/** A refused PUK is not tried again: its officer is logged out. One that the card did not check is kept. */
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

/** Changes the PIN of the logged-in user; without a login the user's. */
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
      await pinPad.changePin(role, { signal });
    } else {
      if (!cardToken.changePin) throw await unsupportedError(token, "this card's PINs stay as they are");
      await withPin(oldPin, (old) =>
        withPin(newPin, async (fresh) => cardToken.changePin?.(role, old, fresh, { signal })),
      );
    }
  } catch (error) {
    // The card may have completed the change after an abort.
    if (signal?.aborted) await token.logoutIfUnused().catch(() => undefined);
    throw error;
  }
  // The card may now hold the new PIN as verified without a login of any application. The result of the change does not
  // depend on this.
  await token.logoutIfUnused().catch(() => undefined);
}

/** Changes the PUK, which no login comes before. */
export function setPuk(
  application: Application,
  handle: number,
  oldPuk: Pin,
  newPuk: Pin,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    (session) => {
      requirePin(oldPuk, "the old PUK");
      requirePin(newPuk, "the new PUK");
      requireReadWrite(session);
      const { token } = session;
      return token.loginQueue.run(() => change(token, "puk", oldPuk, newPuk, signal), signal);
    },
    signal,
  );
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
    return settingPin(token, () => onPad({ signal }));
  }
  if (!cardToken.unlockPin) throw await unsupportedError(token, "this card's PIN cannot be unblocked with a PUK");
  await settingPin(token, () =>
    withPin(puk, (key) => withPin(pin, async (fresh) => cardToken.unlockPin?.(key, fresh, { signal }))),
  );
}

/** CK_TOKEN_INFO.label, in bytes. */
const LABEL_LENGTH = 32;

export function initToken(
  application: Application,
  slotID: number,
  soPin: Pin,
  label: string,
  signal?: AbortSignal,
): Promise<void> {
  return application.withToken(
    slotID,
    async (token) => {
      requirePin(soPin, "the security officer's PIN");
      if (typeof label !== "string" || utf8(label).length > LABEL_LENGTH) {
        throw new CryptokiError(CKR.ARGUMENTS_BAD, `the label is text of at most ${LABEL_LENGTH} bytes of UTF-8`);
      }
      requireNoSession(application, token);
      const { cardToken } = token;
      if (!cardToken.initToken) throw await unsupportedError(token, "this card is initialised by other programs");
      await renewing(application, token, () =>
        withPin(soPin, async (copy) => cardToken.initToken?.(copy, label.trimEnd(), application.variables, { signal })),
      );
    },
    signal,
  );
}

export function resetToken(application: Application, slotID: number, pin: Pin, signal?: AbortSignal): Promise<void> {
  return application.withToken(
    slotID,
    async (token) => {
      requirePin(pin);
      requireNoSession(application, token);
      const { cardToken } = token;
      const erase = pin === null ? cardToken.erase?.bind(cardToken) : undefined;
      if (!erase && !cardToken.resetToken)
        throw await unsupportedError(token, "this card's user has no way to reset it");
      await renewing(
        application,
        token,
        () =>
          erase?.({ signal }) ??
          withPin(pin, async (copy) => cardToken.resetToken?.(copy, application.variables, { signal })),
      );
    },
    signal,
  );
}

/**
 * Runs `work`, which makes the token new, and has the card recognised anew: also after an error that may have come in the midst of it, when
 * the card is not what it was.
 */
async function renewing({ slots }: Application, { card }: Token, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof PinError || error instanceof UnsupportedError || isGone(error)) throw error;
    // Before the card counts as another one.
    const told = toCryptokiError(error);
    slots.renew(card);
    throw told;
  }
  slots.renew(card);
}

/** Ends its sessions and handles in every application; the card forgets the login, if it can. */
export async function reinitialize(application: Application, slotID: number, signal?: AbortSignal): Promise<void> {
  const inserted = application.view.slot(slotID).reader.card;
  // A card that no profile recognised has no token, and perhaps answered wrongly only once.
  if (inserted?.knownTokens.length === 0) {
    application.slots.renew(inserted);
    return;
  }
  return application.withToken(
    slotID,
    async ({ card }) => {
      await Promise.allSettled(
        card.knownTokens.filter(({ loggedIn }) => loggedIn.size > 0).map(({ cardToken }) => cardToken.logout()),
      );
      application.slots.renew(card);
    },
    signal,
  );
}

/**
 * "A token cannot be initialized if Cryptoki detects that any application has an open session with it." This also
 * covers the sessions with the other tokens of its card.
 */
function requireNoSession(application: Application, { card }: Token): void {
  if (card.knownTokens.some((token) => application.slots.inUse(token))) throw new CryptokiError(CKR.SESSION_EXISTS);
}

/** Ten minutes: the user may read the challenge to a help desk on the telephone. */
const LONGEST = 600_000;

const UNSUPPORTED = "this card's PIN is not unblocked by challenge and response";

/** Reserves the card for this application; releases it if the timeout is 0. */
export function unlockBegin(
  application: Application,
  slotID: number,
  timeout: number,
  signal?: AbortSignal,
): Promise<void> {
  requireCount(timeout, "the time", LONGEST);
  return application.withToken(
    slotID,
    async (token) => {
      const { card, cardToken } = token;
      if (timeout === 0) {
        card.reservation.release(application);
        return;
      }
      if (!cardToken.unlockChallenge || !cardToken.unlockWithResponse) throw await unsupportedError(token, UNSUPPORTED);
      await card.reservation.acquire(application, timeout, () => card.hold(signal), signal);
    },
    signal,
    true,
  );
}

export function unlockGetChallenge(
  application: Application,
  handle: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    async (session) => {
      requireBegun(application, session);
      const { cardToken } = session.token;
      if (!cardToken.unlockChallenge) throw await unsupportedError(session.token, UNSUPPORTED);
      return cardToken.unlockChallenge({ signal });
    },
    signal,
    true,
  );
}

/** Whatever the card answers, the reservation ends. */
export function unlockWithResponse(
  application: Application,
  handle: number,
  response: Uint8Array,
  pin: Pin,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    async (session) => {
      const { token } = session;
      requireBytes(response, "the response");
      requirePin(pin);
      requireReadWrite(session);
      requireBegun(application, session);
      if (!token.cardToken.unlockWithResponse) throw await unsupportedError(token, UNSUPPORTED);
      try {
        await settingPin(token, () =>
          withPin(pin, async (copy) => token.cardToken.unlockWithResponse?.(response, copy, { signal })),
        );
      } finally {
        token.card.reservation.release(application);
      }
    },
    signal,
    true,
  );
}

/** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED, also after the timeout. */
function requireBegun(application: Application, { token }: Session): void {
  if (token.card.reservation.isHeldBy(application)) return;
  throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "call C_UnlockBegin first, and answer within its timeout");
}
