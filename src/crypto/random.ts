import { randomFillSync } from "node:crypto";

/** `length` bytes from the host's cryptographic random number generator. */
export function randomBytes(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length));
}
