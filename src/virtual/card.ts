import { timingSafeEqual } from "node:crypto";
import { concat, utf8, wipe } from "../bytes/index.ts";

/** A smart card in software, as a reader sees it. */
export interface VirtualCard {
  /** Answer to reset, 2 to 33 bytes (ISO/IEC 7816-3 section 8). */
  readonly atr: Uint8Array;
  /**
   * Power-on or reset: clears the selection, verified PINs, authentication and uncollected answers. Retry counters
   * stay.
   */
  reset(): void;
  /** Answers one command APDU. Never rejects: any bytes get a status word. Concurrent commands run in order. */
  transmit(command: Uint8Array): Promise<Uint8Array>;
}

/** Compact tags of historical bytes (ISO/IEC 7816-4 section 12.1.1): issuer's data; the application that is selected after a reset. */
const COMPACT = { ISSUER: 0x50, SELECTED: 0xf0 } as const;

/**
 * Makes an answer to reset for protocol T=1 whose historical bytes carry the card capabilities (ISO/IEC 7816-4 section
 * 8.1.1): selection by full and partial name, command chaining, and extended length if `extended`.
 * @param of Issuer's data, or the identifier of the application that is selected after a reset; up to 9 bytes.
 */
export function buildAtr(of: string | { readonly selected: Uint8Array }, extended: boolean): Uint8Array {
  const [tag, value] = typeof of === "string" ? [COMPACT.ISSUER, utf8(of)] : [COMPACT.SELECTED, of.selected];
  const historical = concat(
    Uint8Array.of(0x80, 0x73, 0xc0, 0x01, extended ? 0xc0 : 0x80),
    Uint8Array.of(tag | value.length),
    value,
  );
  const checked = concat(Uint8Array.of(0x80 | historical.length, 0x01), historical);
  const tck = checked.reduce((sum, byte) => sum ^ byte, 0);
  return concat(Uint8Array.of(0x3b), checked, Uint8Array.of(tck));
}

/** Length of PINs and PUKs of most cards on the wire, padded with FF (SP 800-73-4 part 2 section 2.4.3; MyEID). */
export const REFERENCE_LENGTH = 8;

/** A PIN or PUK and its retry counter. */
export class ReferenceData {
  #value: Uint8Array;
  #tries: number;
  readonly maxTries: number;

  /** @param value As on the wire, padded; the object owns it and wipes it when it is replaced. */
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

  /** A copy, for the card's file. */
  get value(): Uint8Array {
    return this.#value.slice();
  }

  /** Compares in constant time. Spends a try before; a match restores all; always false when blocked. */
  matches(candidate: Uint8Array): boolean {
    if (this.blocked || candidate.length !== this.#value.length) return false;
    this.#tries--;
    if (!timingSafeEqual(candidate, this.#value)) return false;
    this.#tries = this.maxTries;
    return true;
  }

  /** Sets a new value, with all its tries. */
  replace(value: Uint8Array): void {
    wipe(this.#value);
    this.#value = value.slice();
    this.#tries = this.maxTries;
  }
}

/** A command handler's refusal with a status word. It is thrown and caught inside a card. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly sw: number;

  constructor(sw: number) {
    super(`refused with ${sw.toString(16)}`);
    this.sw = sw;
  }
}
