import { findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { PivContents } from "./contents.ts";
import { TAG } from "./data-object.ts";
import type { PivSession } from "./session.ts";

/** What a command works on: the lasting contents and the state since reset. */
export interface PivContext {
  readonly contents: PivContents;
  readonly session: PivSession;
}

/** Tag of the PIN usage policy in the discovery object, and its bit for the global PIN (SP 800-73-4 part 1 section 3.3.2). */
const PIN_USAGE_POLICY = 0x5f2f;
const GLOBAL_PIN = 0x20;

/** Whether the discovery object says that the global PIN opens what the application PIN opens. */
export function acceptsGlobalPin({ objects }: PivContents): boolean {
  try {
    const policy = findTlv(readTlvs(objects.get(TAG.DISCOVERY) ?? new Uint8Array()), PIN_USAGE_POLICY);
    return ((policy?.[0] ?? 0) & GLOBAL_PIN) !== 0;
  } catch {
    // The administrator may write anything there; what does not parse says nothing.
    return false;
  }
}

/** Whether a PIN that counts for this application is verified. */
function isPinVerified({ contents, session }: PivContext): boolean {
  return session.pinVerified || (session.globalPinVerified && acceptsGlobalPin(contents));
}

/** @throws {Refusal} 6982 unless a PIN is verified. */
export function requirePin(context: PivContext): void {
  if (!isPinVerified(context)) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}

/** @throws {Refusal} 6982 unless the card management key was authenticated. */
export function requireAdministrator({ session }: PivContext): void {
  if (!session.administrator) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}
