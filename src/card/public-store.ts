import { concat, equalBytes } from "../bytes/index.ts";
import { digest } from "../crypto/index.ts";

/**
 * A store for copies of what cards show without a login, between processes: a map, a folder, a database. Its failures and incomplete copies are
 * ignored; its contents are as untrusted as a card's. An empty copy is none.
 */
export interface PublicStore {
  get(key: string): Promise<Uint8Array | undefined>;
  set(key: string, bytes: Uint8Array): Promise<void>;
}

/** Every copy begins with the SHA-256 of the rest, which detects incomplete ones. */
const HASH_LENGTH = 32;

/** Wraps a store so that it returns only what was put there, and never fails: without a copy the card is read. */
export function reliableStore(store: PublicStore): PublicStore {
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
