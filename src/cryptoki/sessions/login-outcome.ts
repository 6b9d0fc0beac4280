import { PinError, type PinUser } from "../../card/index.ts";
import { CHANNELS, type LoginOutcome } from "../../channels/index.ts";
import type { Token } from "../slots/token.ts";

/** Publishes the card's verdict on a PIN: accepted without an error. Nothing of the PIN. */
export function publishLogin({ slotID: slot }: Token, user: PinUser, error?: unknown): void {
  if (!CHANNELS.login.hasSubscribers) return;
  CHANNELS.login.publish({ time: Date.now(), slot, user, ...verdict(error) });
}

function verdict(error: unknown): Pick<LoginOutcome, "outcome" | "triesLeft"> {
  if (error === undefined) return { outcome: "accepted" };
  if (!(error instanceof PinError)) return { outcome: "failed" };
  const { reason, triesLeft } = error;
  return { outcome: reason, ...(triesLeft !== undefined && { triesLeft }) };
}
