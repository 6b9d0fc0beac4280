import { encodeTlv, findTlv, readTlvs } from "../apdu/index.ts";
import { concat, DataError } from "../bytes/index.ts";
import { RETIRED_KEYS } from "./keys.ts";

/** What the key history object tells of retired key management keys (SP 800-73-4 part 1 section 3.3.3). */
export interface KeyHistory {
  /** Retired keys whose certificates are on the card: 82 and following. */
  readonly onCard: number;
  /** Retired keys whose certificates are elsewhere: the ones after those. */
  readonly offCard: number;
  /** Where those are. */
  readonly url?: Uint8Array;
}

const TAG = { ON_CARD: 0xc1, OFF_CARD: 0xc2, URL: 0xf3, ERROR_DETECTION: 0xfe } as const;

/**
 * Reads the value of a key history object.
 * @throws {DataError} for counts of more than 20 keys.
 */
export function readKeyHistory(value: Uint8Array): KeyHistory {
  const objects = readTlvs(value, "key history object");
  const [onCard = 0] = findTlv(objects, TAG.ON_CARD) ?? [];
  const [offCard = 0] = findTlv(objects, TAG.OFF_CARD) ?? [];
  const url = findTlv(objects, TAG.URL);
  if (onCard + offCard > RETIRED_KEYS) {
    throw new DataError(`key history object: ${onCard} and ${offCard} retired keys, ${RETIRED_KEYS} at most`);
  }
  return { onCard, offCard, ...(url && { url }) };
}

/** The value of a key history object. */
export function encodeKeyHistory({ onCard, offCard, url }: KeyHistory): Uint8Array {
  return concat(
    encodeTlv(TAG.ON_CARD, Uint8Array.of(onCard)),
    encodeTlv(TAG.OFF_CARD, Uint8Array.of(offCard)),
    encodeTlv(TAG.URL, url ?? new Uint8Array()),
    encodeTlv(TAG.ERROR_DETECTION),
  );
}

/**
 * The key history once the certificate of retired key `number` is on the card, or is not any more. Programs look for as many retired
 * certificates as it counts, so the count goes as far as the last one.
 * @returns Undefined if it stays as it is.
 */
export function renewedHistory(
  history: KeyHistory | undefined,
  number: number,
  isPresent: boolean,
): KeyHistory | undefined {
  const { onCard = 0, offCard = 0 } = history ?? {};
  if (isPresent) {
    return number <= onCard
      ? undefined
      : { ...history, onCard: number, offCard: Math.min(offCard, RETIRED_KEYS - number) };
  }
  return number === onCard ? { ...history, onCard: number - 1, offCard } : undefined;
}
