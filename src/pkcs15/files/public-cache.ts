import { concat, equalBytes, toHex } from "../../bytes/index.ts";
import { digest } from "../../crypto/index.ts";
import type { TokenInfo } from "../syntax/token-info.ts";

/**
 * A store for copies of public files between processes: a map, a folder, a database. Its failures and incomplete copies
 * are ignored; its contents are as untrusted as a card's.
 */
export interface PublicFileStore {
  get(key: string): Promise<Uint8Array | undefined>;
  set(key: string, bytes: Uint8Array): Promise<void>;
}

/** Every copy begins with the SHA-256 of the rest, which detects incomplete ones. */
const HASH_LENGTH = 32;

/** Wraps a store so that it returns only what was put there, and never fails: without a copy the card is read. */
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

/** The part of a store for one state of one card: its serial number, and the time of its last update. */
export class PublicCache {
  readonly #store: PublicFileStore;
  readonly #prefix: string;

  private constructor(store: PublicFileStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /**
   * @param application Distinguishes the applications of one card.
   * @returns Undefined for a card without a serial number or a time of the last update.
   */
  static of(store: PublicFileStore, application: string, info: TokenInfo | undefined): PublicCache | undefined {
    if (!info?.lastUpdate || !("time" in info.lastUpdate)) return undefined;
    // Personalisation without a number writes zeros.
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
