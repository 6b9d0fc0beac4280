import { SW } from "../apdu/index.ts";

/** Status words that the cards here use besides {@link SW} (ISO/IEC 7816-4 section 5.6). */
export const CARD_SW = {
  MEMORY_FAILURE: 0x6581,
  LOGICAL_CHANNEL_NOT_SUPPORTED: 0x6881,
  SECURE_MESSAGING_NOT_SUPPORTED: 0x6882,
  ...SW,
} as const;

/** How a command handler refuses: the status word to answer. Thrown and caught inside a card, never seen outside. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly sw: number;

  constructor(sw: number) {
    super(`refused with ${sw.toString(16)}`);
    this.sw = sw;
  }
}
