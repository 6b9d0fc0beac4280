import { utf8 } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { type Pin, requirePin, withPin } from "../sessions/pin.ts";
import type { Token } from "../slots/token.ts";
import { cannot } from "./cannot.ts";

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
      if (!cardToken.initToken) throw await cannot(token, "this card is initialised by other programs");
      await withPin(soPin, async (copy) => cardToken.initToken?.(copy, label.trimEnd(), application.variables, signal));
      application.slots.renew(token.card);
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
      if (!cardToken.resetToken) throw await cannot(token, "this card's user has no way to reset it");
      await withPin(pin, async (copy) => cardToken.resetToken?.(copy, application.variables, signal));
      application.slots.renew(token.card);
    },
    signal,
  );
}

/** In every application its sessions and handles end; the card forgets who was logged in, as far as it can be told to. */
export async function reinitialize(application: Application, slotID: number, signal?: AbortSignal): Promise<void> {
  const inserted = application.view.slot(slotID).reader.card;
  // A card that no profile recognised has no token to ask for, and may only have answered wrongly once.
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
 * "A token cannot be initialized if Cryptoki detects that any application has an open session with it." With it end the sessions with
 * the others of its card.
 */
function requireNoSession(application: Application, { card }: Token): void {
  if (card.knownTokens.some((token) => application.slots.inUse(token))) throw new CryptokiError(CKR.SESSION_EXISTS);
}
