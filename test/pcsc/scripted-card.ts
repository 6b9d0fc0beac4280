import type { InProcessCard } from "../../src/pcsc/index.ts";

/** Answer to reset of a card that speaks T=1. */
export const T1_ATR = Uint8Array.of(0x3b, 0x80, 0x01, 0x81);
export const OK = Uint8Array.of(0x90, 0x00);

/** A card for tests: counts resets, and answers when it is told to, or 9000 at once. */
export class ScriptedCard implements InProcessCard {
  readonly atr: Uint8Array;
  readonly received: Uint8Array[] = [];
  resets = 0;
  /** What answers a command; 9000 unless set. */
  answer: (command: Uint8Array) => Promise<Uint8Array> = () => Promise.resolve(OK);

  constructor(atr = T1_ATR) {
    this.atr = atr;
  }

  reset(): void {
    this.resets++;
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    this.received.push(command.slice());
    return this.answer(command);
  }

  /** From now on no command is answered before the function returned is called. */
  hold(): () => void {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    this.answer = async () => {
      await released;
      return OK;
    };
    return () => {
      this.answer = () => Promise.resolve(OK);
      release();
    };
  }
}
