import { expect } from "@jest/globals";
import type { Transmit } from "../../src/apdu/index.ts";
import { fromHex, toHex } from "../../src/bytes/index.ts";

/** A transport that expects these commands in this order, and gives these answers; hexadecimal, spaces at will. */
export function scripted(...exchanges: readonly (readonly [command: string, answer: string])[]): {
  readonly transmit: Transmit;
  /** Fails unless every exchange took place. */
  readonly done: () => void;
} {
  let next = 0;
  return {
    transmit: (command) => {
      const [wanted, answer] = exchanges[next++] ?? ["no further command", ""];
      expect(toHex(command)).toBe(wanted.replaceAll(" ", "").toLowerCase());
      return Promise.resolve(fromHex(answer));
    },
    done: () => {
      expect(next).toBe(exchanges.length);
    },
  };
}
