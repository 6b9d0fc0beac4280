import { toHex } from "../../bytes/index.ts";
import { type PublicStore, reliableStore } from "../../card/index.ts";
import { digest } from "../../crypto/index.ts";
import type { TokenInfo } from "../syntax/token-info.ts";

/** Where copies of public files are kept. */
export type PublicFileStore = PublicStore;

export const reliable = reliableStore;

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

  /**
   * For a card without such a time, which lists its files.
   * @param card Tells the cards apart.
   * @param list What the card answers when it is asked for its files.
   */
  static ofList(store: PublicFileStore, card: string, list: Uint8Array): PublicCache {
    return new PublicCache(store, `${card} ${toHex(digest("sha256", list))}`);
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#store.get(`${this.#prefix} ${name}`);
  }

  set(name: string, bytes: Uint8Array): Promise<void> {
    return this.#store.set(`${this.#prefix} ${name}`, bytes);
  }
}
