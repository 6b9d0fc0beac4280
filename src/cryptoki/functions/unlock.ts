import type { Application } from "../application.ts";
import { requireBytes, requireCount } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { type Pin, requirePin, withPin } from "../sessions/pin.ts";
import type { Session } from "../sessions/session.ts";
import { cannot } from "./cannot.ts";
import { requireReadWrite } from "./card-objects.ts";
import { settingPin } from "./pin.ts";

/** Ten minutes: somebody reads the challenge to somebody else on the telephone. */
const LONGEST = 600_000;

const UNSUPPORTED = "this card's PIN is not unblocked by challenge and response";

/** Takes the card for this application; with no time, gives it back. */
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
      if (!cardToken.unlockChallenge || !cardToken.unlockWithResponse) throw await cannot(token, UNSUPPORTED);
      await card.reservation.take(application, timeout, () => card.hold(signal), signal);
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
      if (!cardToken.unlockChallenge) throw await cannot(session.token, UNSUPPORTED);
      return cardToken.unlockChallenge(signal);
    },
    signal,
    true,
  );
}

/** Whatever the card says to the response, it is everybody's again. */
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
      if (!token.cardToken.unlockWithResponse) throw await cannot(token, UNSUPPORTED);
      try {
        await settingPin(token, () =>
          withPin(pin, async (copy) => token.cardToken.unlockWithResponse?.(response, copy, signal)),
        );
      } finally {
        token.card.reservation.release(application);
      }
    },
    signal,
    true,
  );
}

/** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED, also when the time has run out. */
function requireBegun(application: Application, { token }: Session): void {
  if (token.card.reservation.isHeldBy(application)) return;
  throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "C_UnlockBegin first, and answer within its time");
}
