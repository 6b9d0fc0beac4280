import { type CallOptions, memoizeAsync } from "../async/index.ts";
import { Cryptoki, type CryptokiOptions } from "../cryptoki/index.ts";
import { type CardConnection, type InProcessCard, MemoryReaders, type Pcsc, type ReaderState } from "../pcsc/index.ts";
import { FarmLink, type FarmClientOptions } from "./link.ts";
import { farmProfile, readerOf } from "./profile.ts";

export type CardFarmOptions = FarmClientOptions & Pick<CryptokiOptions, "trace" | "version" | "ulongBits">;

/** A card that answers no command: what it does, the farm does. */
const PLACE: InProcessCard = {
  atr: Uint8Array.of(0x3b, 0x00),
  reset: () => undefined,
  transmit: () => Promise.resolve(Uint8Array.of(0x6d, 0x00)),
};

/**
 * The keys of a farm of cards, as a PKCS #11 module: each key is a token in a slot of its own, with its public key and its certificate. The
 * functions are those of {@link Cryptoki}; a use of a private key goes to a card that has it and is idle. No PIN is wanted: a worker has
 * those of its cards.
 *
 *     await using farm = new CardFarm({ servers: "nats://farm:4222" });
 *     await farm.C_Initialize();
 *     const tokens = await openTokens({ cryptoki: farm });
 */
export class CardFarm extends Cryptoki {
  readonly #readers: FarmReaders;

  constructor(options: CardFarmOptions) {
    const readers = new FarmReaders(options);
    const { trace, version, ulongBits } = options;
    super({
      pcsc: readers,
      profiles: [farmProfile(() => readers.link)],
      ...(trace && { trace }),
      ...(version && { version }),
      ...(ulongBits && { ulongBits }),
    });
    this.#readers = readers;
  }

  /**
   * Connects, which C_Initialize does otherwise, and says what is wrong with the farm.
   * @throws {FarmError} LIBRARY_MISSING, NO_SERVER, NO_STREAM, BAD_INPUT.
   */
  async connect(): Promise<void> {
    await this.#readers.open();
  }

  /** Waits for requests under way, and closes the connection. */
  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.#readers.close();
  }
}

/** Readers of this process, one for each key of a farm. */
class FarmReaders implements Pcsc {
  readonly #readers = new MemoryReaders();
  readonly #client = this.#readers.client();
  readonly #plugged = new Set<string>();
  readonly open: () => Promise<FarmLink>;
  link: FarmLink | undefined;

  constructor(options: FarmClientOptions) {
    this.open = memoizeAsync(async () => {
      const link = await FarmLink.open(options, () => {
        this.#plug();
      });
      this.link = link;
      this.#plug();
      return link;
    });
  }

  #plug(): void {
    const wanted = new Set([...(this.link?.keys.values() ?? [])].map(readerOf));
    if (!this.link) return;
    for (const name of this.#plugged) {
      if (wanted.has(name)) continue;
      this.#plugged.delete(name);
      this.#readers.unplug(name);
    }
    for (const name of wanted) {
      if (this.#plugged.has(name)) continue;
      this.#plugged.add(name);
      this.#readers.plug(name);
      this.#readers.insert(name, PLACE);
    }
  }

  async readers(): Promise<readonly ReaderState[]> {
    await this.open();
    return this.#client.readers();
  }

  async *changes(options?: CallOptions): AsyncGenerator<readonly ReaderState[]> {
    await this.open();
    yield* this.#client.changes(options);
  }

  async connect(reader: string, options?: CallOptions): Promise<CardConnection> {
    await this.open();
    return this.#client.connect(reader, options);
  }

  async close(): Promise<void> {
    const { link } = this;
    this.link = undefined;
    await link?.[Symbol.asyncDispose]();
    await this.#client.close();
  }
}
