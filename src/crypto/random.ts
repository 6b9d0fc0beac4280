import { randomFillSync } from "node:crypto";
import { secretBytes } from "../bytes/index.ts";

/** `length` bytes from the host's cryptographic random number generator. */
export function randomBytes(length: number): Uint8Array {
  return randomFillSync(secretBytes(length));
}
