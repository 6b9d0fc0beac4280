import { timingSafeEqual } from "node:crypto";
import { wipe } from "../bytes/index.ts";

/** PINs and PUKs of most cards are this long on the wire, a shorter one filled up with FF (SP 800-73-4 part 2 section 2.4.3; MyEID). */
export const REFERENCE_LENGTH = 8;

/** A PIN or PUK and its retry counter. */
export class ReferenceData {
  #value: Uint8Array;
  #tries: number;
  readonly maxTries: number;

  /** @param value As it comes over the wire, filled up; taken over: wiped when it is replaced. */
  constructor(value: Uint8Array, maxTries: number, tries = maxTries) {
    this.#value = value;
    this.maxTries = maxTries;
    this.#tries = tries;
  }

  get tries(): number {
    return this.#tries;
  }

  get blocked(): boolean {
    return this.#tries === 0;
  }

  /** A copy, for keeping the card in a file. */
  get value(): Uint8Array {
    return this.#value.slice();
  }

  /** Compares in constant time. The try is spent before, and all come back after a match; always false when blocked. */
  matches(candidate: Uint8Array): boolean {
    if (this.blocked || candidate.length !== this.#value.length) return false;
    this.#tries--;
    if (!timingSafeEqual(candidate, this.#value)) return false;
    this.#tries = this.maxTries;
    return true;
  }

  /** Puts a new value in place, with all its tries. */
  replace(value: Uint8Array): void {
    wipe(this.#value);
    this.#value = value.slice();
    this.#tries = this.maxTries;
  }
}
