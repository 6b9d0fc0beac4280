import { CardChannel, type CommandApdu, type ResponseApdu } from "../../src/apdu/index.ts";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import type { VirtualCard } from "../../src/virtual/index.ts";

/** One command in hexadecimal, the answer in upper-case hexadecimal. */
export async function exchange(card: VirtualCard, command: string): Promise<string> {
  return toHex(await card.transmit(fromHex(command))).toUpperCase();
}

/** A command of any length, chained and collected as it must be. */
export function send(card: VirtualCard, command: CommandApdu): Promise<ResponseApdu> {
  return new CardChannel((bytes) => card.transmit(bytes)).send(command);
}
