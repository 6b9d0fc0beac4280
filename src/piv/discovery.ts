import { findTlv, readTlvs } from "../apdu/index.ts";
import { startsWith } from "../bytes/index.ts";
import { PIV_AID } from "./commands.ts";

/** Key references of PINs (SP 800-73-4 part 1 table 4). */
export const PIN_REFERENCE = { GLOBAL: 0x00, APPLICATION: 0x80 } as const;
export type PinReference = (typeof PIN_REFERENCE)[keyof typeof PIN_REFERENCE];

/** Key reference of the PUK, in the same table. */
export const PUK_REFERENCE = 0x81;

/** What the discovery object tells (SP 800-73-4 part 1 section 3.3.2). */
export interface Discovery {
  /** The application that answered is PIV: its AID is named. */
  readonly piv: boolean;
  /** The PIN that the cardholder is used to: what a login verifies. */
  readonly pin: PinReference;
}

/** A card without a discovery object has the application PIN only. */
export const NO_DISCOVERY: Discovery = { piv: false, pin: PIN_REFERENCE.APPLICATION };

/**
 * Reads the value of a discovery object: 4F the application's AID, 5F2F the PIN usage policy, whose first byte says in bit 6
 * that the global PIN satisfies the access rules too, and whose second byte 20 says that it is the primary one.
 * @throws {DataError} if it is no BER-TLV.
 */
export function readDiscovery(value: Uint8Array): Discovery {
  const objects = readTlvs(value, "discovery object");
  const [policy = 0, primary = 0] = findTlv(objects, 0x5f2f) ?? [];
  const globalIsPrimary = (policy & 0x20) !== 0 && primary === 0x20;
  return {
    piv: startsWith(findTlv(objects, 0x4f) ?? new Uint8Array(), PIV_AID.subarray(0, 5)),
    pin: globalIsPrimary ? PIN_REFERENCE.GLOBAL : PIN_REFERENCE.APPLICATION,
  };
}
