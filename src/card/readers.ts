import type { CardConnection, Pcsc, ReaderState } from "../pcsc/index.ts";
import { reached, toAccessError } from "./access-error.ts";
import { Card, type CardOptions } from "./card.ts";

/**
 * Connects to the card in a reader.
 * @throws {CardAccessError}
 */
export async function connectCard(pcsc: Pcsc, reader: string, options: CardOptions = {}): Promise<Card> {
  const reconnect = (): Promise<CardConnection> => pcsc.connect(reader);
  return new Card(await reached(reconnect()), { reconnect, ...options });
}

/**
 * The readers now and after every change ({@link Pcsc.changes}).
 * @throws {CardAccessError}
 */
export async function* followReaders(pcsc: Pcsc, signal: AbortSignal): AsyncGenerator<readonly ReaderState[]> {
  try {
    yield* pcsc.changes(signal);
  } catch (error) {
    throw toAccessError(error);
  }
}
