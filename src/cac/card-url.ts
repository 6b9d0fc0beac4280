import { ByteReader, concat } from "../bytes/index.ts";
import type { Place } from "./place.ts";

/** What kind of applet a CardURL leads to (GSC-IS 2.1 section 7.3, CardApplicationType). */
export const APPLICATION_TYPE = { GENERIC: 0x01, SYMMETRIC: 0x02, PKI: 0x04 } as const;

/** A line of the card's table of contents. */
export interface CardUrl {
  /** {@link APPLICATION_TYPE}, or a number that nobody has explained. */
  readonly type: number;
  readonly place: Required<Place>;
}

/**
 * Reads a CardURL: RID, application type, object identifier, application identifier (GSC-IS 2.1 section 7.3). What follows (access
 * profile, PIN, key) says nothing on cards whose applets know it themselves.
 * @throws {DataError} if it is cut off.
 */
export function readCardUrl(bytes: Uint8Array): CardUrl {
  const reader = new ByteReader(bytes, "CardURL");
  const rid = reader.take(5);
  const type = reader.u8();
  const object = reader.take(2);
  return { type, place: { aid: concat(rid, reader.take(2)), object } };
}
