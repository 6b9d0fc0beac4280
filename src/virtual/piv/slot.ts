/** When a private key wants the PIN (SP 800-73-4 part 1 table 4b): never, once verified, or just before each use. */
export type PinPolicy = "never" | "once" | "always";

/** When a key wants a touch, on a card with Yubico's commands: never, for each use, or not again for 15 seconds. Nobody has to touch a virtual card. */
export type TouchPolicy = "never" | "always" | "cached";

/** Key references of asymmetric keys (SP 800-73-4 part 1 table 4b). */
export const SLOT = { AUTHENTICATION: 0x9a, SIGNATURE: 0x9c, KEY_MANAGEMENT: 0x9d, CARD_AUTHENTICATION: 0x9e } as const;
/** Key reference of the card management key. */
export const MANAGEMENT_KEY = 0x9b;
const FIRST_RETIRED = 0x82;
const LAST_RETIRED = 0x95;

/** The four keys of the standard. */
const MAIN_SLOTS: readonly number[] = Object.values(SLOT);

/** A retired key management key, 82 to 95. */
export function isRetired(slot: number): boolean {
  return slot >= FIRST_RETIRED && slot <= LAST_RETIRED;
}

/** Whether `slot` names an asymmetric key. */
export function isSlot(slot: number): boolean {
  return MAIN_SLOTS.includes(slot) || isRetired(slot);
}

/** Whether keys here establish keys (decrypt, ECDH) rather than sign. */
export function establishesKeys(slot: number): boolean {
  return slot === SLOT.KEY_MANAGEMENT || isRetired(slot);
}

/** What the standard says of the PIN for the key in `slot`. */
export function standardPinPolicy(slot: number): PinPolicy {
  if (slot === SLOT.CARD_AUTHENTICATION) return "never";
  return slot === SLOT.SIGNATURE ? "always" : "once";
}

/** Tag of the data object that holds the certificate for the key in `slot`. */
export function certificateTag(slot: number): number {
  if (isRetired(slot)) return 0x5fc10d + slot - FIRST_RETIRED;
  switch (slot) {
    case SLOT.AUTHENTICATION:
      return 0x5fc105;
    case SLOT.SIGNATURE:
      return 0x5fc10a;
    case SLOT.KEY_MANAGEMENT:
      return 0x5fc10b;
    default:
      return 0x5fc101;
  }
}
