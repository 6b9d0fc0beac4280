import { concat, equalBytes, toHex } from "../../bytes/index.ts";
import { digest } from "../../crypto/index.ts";
import type { TokenInfo } from "../syntax/token-info.ts";

/**
 * Where copies of public files are kept from one process to the next, if anywhere: a map, a folder, a database. A failure of its
 * own is no reason to fail, nor is a copy that is not whole; what it gives is read like anything from a card, with no trust in it.
 */
export interface PublicFileStore {
  get(key: string): Promise<Uint8Array | undefined>;
  set(key: string, bytes: Uint8Array): Promise<void>;
}

/** Every copy begins with the SHA-256 of the rest: one that was kept in part is no copy. */
const HASH_LENGTH = 32;

/** A store from which nothing comes but what was put there, and no error: without a copy the card is asked. */
export function reliable(store: PublicFileStore): PublicFileStore {
  return {
    async get(key): Promise<Uint8Array | undefined> {
      try {
        const kept: unknown = await store.get(key);
        if (!(kept instanceof Uint8Array)) return undefined;
        const bytes = kept.subarray(HASH_LENGTH);
        return equalBytes(digest("sha256", bytes), kept.subarray(0, HASH_LENGTH)) ? bytes : undefined;
      } catch {
        return undefined;
      }
    },
    async set(key, bytes): Promise<void> {
      try {
        await store.set(key, concat(digest("sha256", bytes), bytes));
      } catch {
        // The next process reads the card.
      }
    },
  };
}

/** The part of a store that belongs to one state of one card: its serial number, and the time of its last update. */
export class PublicCache {
  readonly #store: PublicFileStore;
  readonly #prefix: string;

  private constructor(store: PublicFileStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /**
   * @param application What tells applications of one card apart.
   * @returns Undefined for a card that does not say which one it is, or when it was last changed.
   */
  static of(store: PublicFileStore, application: string, info: TokenInfo | undefined): PublicCache | undefined {
    if (!info?.lastUpdate || !("time" in info.lastUpdate)) return undefined;
    // Personalisation that leaves the number out writes zeros.
    if (info.serialNumber.every((octet) => octet === 0)) return undefined;
    return new PublicCache(store, `${toHex(info.serialNumber)} ${application} ${info.lastUpdate.time}`);
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#store.get(`${this.#prefix} ${name}`);
  }

  set(name: string, bytes: Uint8Array): Promise<void> {
    return this.#store.set(`${this.#prefix} ${name}`, bytes);
  }
}
