import { timingSafeEqual } from "node:crypto";

/** Whether two secrets of one length are the same, in a time that does not tell where they differ. */
export function sameSecret(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
