import { findTlv, readTlvs } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import { RETIRED_KEYS } from "./keys.ts";

/** What the key history object tells of retired key management keys (SP 800-73-4 part 1 section 3.3.3). */
export interface KeyHistory {
  /** Retired keys whose certificates are on the card: 82 and following. */
  readonly onCard: number;
  /** Retired keys whose certificates are elsewhere: the ones after those. */
  readonly offCard: number;
}

/**
 * Reads the value of a key history object.
 * @throws {DataError} for counts of more than 20 keys.
 */
export function readKeyHistory(value: Uint8Array): KeyHistory {
  const objects = readTlvs(value, "key history object");
  const [onCard = 0] = findTlv(objects, 0xc1) ?? [];
  const [offCard = 0] = findTlv(objects, 0xc2) ?? [];
  if (onCard + offCard > RETIRED_KEYS) {
    throw new DataError(`key history object: ${onCard} and ${offCard} retired keys, ${RETIRED_KEYS} at most`);
  }
  return { onCard, offCard };
}
