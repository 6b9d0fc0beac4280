import type { CardConnection, Pcsc, ReaderState } from "../pcsc/index.ts";
import { reached, toAccessError } from "./access-error.ts";
import { Card, type CardOptions, type ReaderFacts } from "./card.ts";

/** By the name of the reader. */
const FACTS = new WeakMap<Pcsc, Map<string, ReaderFacts>>();

function factsOf(pcsc: Pcsc, reader: string): ReaderFacts {
  const readers = FACTS.get(pcsc) ?? new Map<string, ReaderFacts>();
  const facts = readers.get(reader) ?? {};
  FACTS.set(pcsc, readers.set(reader, facts));
  return facts;
}

/**
 * Connects to the card in a reader.
 * @throws {CardAccessError}
 */
export async function connectCard(pcsc: Pcsc, reader: string, options: CardOptions = {}): Promise<Card> {
  const reconnect = (): Promise<CardConnection> => pcsc.connect(reader);
  return new Card(await reached(reconnect()), { reconnect, readerFacts: factsOf(pcsc, reader), ...options });
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
