import { findTlv, SW, type Tlv } from "../../apdu/index.ts";
import { Refusal } from "../refusal.ts";
import type { PivKey } from "./contents.ts";
import { type PinPolicy, standardPinPolicy, type TouchPolicy } from "./slot.ts";

/** The policies that a command of Yubico's gives a new key for `slot`: AA for the PIN, AB for the touch; both may be left out. */
export function readPolicies(fields: readonly Tlv[], slot: number): Pick<PivKey, "pinPolicy" | "touchPolicy"> {
  return {
    pinPolicy: readPinPolicy(findTlv(fields, 0xaa), slot),
    touchPolicy: readTouchPolicy(findTlv(fields, 0xab)),
  };
}

/** The one byte of `value`, or undefined if it has another length. */
export const onlyByte = (value: Uint8Array | undefined): number | undefined =>
  value?.length === 1 ? value[0] : undefined;

/** Yubico's PIN policy: 0 as the slot has it, 1 never, 2 once, 3 always. */
function readPinPolicy(value: Uint8Array | undefined, slot: number): PinPolicy {
  const policies: readonly PinPolicy[] = [standardPinPolicy(slot), "never", "once", "always"];
  const policy = policies[value === undefined ? 0 : (onlyByte(value) ?? -1)];
  if (policy === undefined) throw new Refusal(SW.WRONG_DATA);
  return policy;
}

/** Yubico's touch policy: 0 and 1 never, 2 always, 3 cached. */
function readTouchPolicy(value: Uint8Array | undefined): TouchPolicy {
  const policies: readonly TouchPolicy[] = ["never", "never", "always", "cached"];
  const policy = policies[value === undefined ? 0 : (onlyByte(value) ?? -1)];
  if (policy === undefined) throw new Refusal(SW.WRONG_DATA);
  return policy;
}
