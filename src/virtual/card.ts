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
