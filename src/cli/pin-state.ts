import { CKF_TOKEN } from "../cryptoki/index.ts";

/** How the user's PIN stands, as far as the flags of CK_TOKEN_INFO tell. */
export type PinState = "ok" | "count low" | "final try" | "locked" | "not set" | "not initialised";

/** @param flags Of CK_TOKEN_INFO. */
export function pinState(flags: number): PinState {
  if ((flags & CKF_TOKEN.USER_PIN_LOCKED) !== 0) return "locked";
  if ((flags & CKF_TOKEN.USER_PIN_FINAL_TRY) !== 0) return "final try";
  if ((flags & CKF_TOKEN.USER_PIN_COUNT_LOW) !== 0) return "count low";
  if ((flags & CKF_TOKEN.TOKEN_INITIALIZED) === 0) return "not initialised";
  return (flags & CKF_TOKEN.USER_PIN_INITIALIZED) === 0 ? "not set" : "ok";
}
