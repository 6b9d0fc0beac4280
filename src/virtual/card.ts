import { timingSafeEqual } from "node:crypto";
import { concat, utf8, wipe } from "../bytes/index.ts";

/** A smart card in software: what a reader sees of a card. */
export interface VirtualCard {
  /** Answer to reset, 2 to 33 bytes (ISO/IEC 7816-3 section 8). */
  readonly atr: Uint8Array;
  /** Power-on or reset: forgets selection, verified PINs, authentication and answers not yet collected. Counters stay. */
  reset(): void;
  /**
   * One command APDU in, one response APDU out. Never rejects: whatever the bytes are, a status word answers them.
   * Commands given at the same time are worked on in turn.
   */
  transmit(command: Uint8Array): Promise<Uint8Array>;
}

/**
 * An answer to reset for protocol T=1 whose historical bytes carry the card capabilities (ISO/IEC 7816-4 section
 * 8.1.1): selection by full and partial name, command chaining, and extended length where `extended` says so.
 * @param label Issuer's data, up to 9 characters.
 */
export function buildAtr(label: string, extended: boolean): Uint8Array {
  const issuer = utf8(label);
  const historical = concat(
    Uint8Array.of(0x80, 0x73, 0xc0, 0x01, extended ? 0xc0 : 0x80),
    Uint8Array.of(0x50 | issuer.length),
    issuer,
  );
  const checked = concat(Uint8Array.of(0x80 | historical.length, 0x01), historical);
  const tck = checked.reduce((sum, byte) => sum ^ byte, 0);
  return concat(Uint8Array.of(0x3b), checked, Uint8Array.of(tck));
}

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

/** How a command handler refuses: the status word to answer. Thrown and caught inside a card, never seen outside. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly sw: number;

  constructor(sw: number) {
    super(`refused with ${sw.toString(16)}`);
    this.sw = sw;
  }
}
