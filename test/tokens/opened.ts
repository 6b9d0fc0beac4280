import type { KeyObject } from "node:crypto";
import { openTokens, type PinRequest, type PinSource, type Token, type TokenSource } from "../../src/tokens/index.ts";
import { MemoryReaders, profiles } from "../../src/index.ts";
import type { VirtualPivCard } from "../../src/virtual/index.ts";
import { pivCard, testKey } from "../virtual/keys.ts";

export const PIN = "654321";
export const PUK = "87654321";

/** Keys of every type that the tests use, made once. */
export const KEYS: Readonly<Record<"9a" | "9c" | "9d" | "9e" | "82" | "83", { readonly privateKey: KeyObject }>> = {
  "9a": { privateKey: testKey("rsa-2048", "9a") },
  "9c": { privateKey: testKey("p-384", "9c") },
  "9d": { privateKey: testKey("p-256", "9d") },
  "9e": { privateKey: testKey("p-256", "9e") },
  "82": { privateKey: testKey("ed25519", "82") },
  "83": { privateKey: testKey("x25519", "83") },
};

/** A PIV card in a reader of this process, opened, and all that was asked of the PIN source. */
export interface Opened extends AsyncDisposable {
  readonly readers: MemoryReaders;
  readonly cards: TokenSource;
  readonly token: Token;
  readonly requests: PinRequest[];
  /** The header and the status word of each exchange so far. */
  readonly exchanges: string[];
  readonly insert: () => Promise<void>;
}

export function makeCard(): Promise<VirtualPivCard> {
  return pivCard({ yubico: true, extended: true, keys: KEYS, pin: PIN, puk: PUK });
}

export async function opened(pin: PinSource = () => PIN): Promise<Opened> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  const exchanges: string[] = [];
  const insert = async (): Promise<void> => {
    const card = await makeCard();
    const transmit = async (command: Uint8Array): Promise<Uint8Array> => {
      const answer = await card.transmit(command);
      exchanges.push(
        `${Buffer.from(command.subarray(0, 4)).toString("hex")} ${Buffer.from(answer.subarray(-2)).toString("hex")}`,
      );
      return answer;
    };
    readers.insert("Reader", {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit,
    });
  };
  await insert();
  const requests: PinRequest[] = [];
  const pcsc = readers.client();
  const cards = await openTokens({
    pcsc,
    profiles,
    pin: (request) => {
      requests.push(request);
      return pin(request);
    },
  });
  const token = await cards.token();
  const end = async (): Promise<void> => {
    await cards.close();
    await pcsc.close();
  };
  return { readers, cards, token, requests, exchanges, insert, [Symbol.asyncDispose]: end };
}
