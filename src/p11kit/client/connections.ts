import { memoizeAsync } from "../../async/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import { P11KitError } from "../address.ts";
import type { Named } from "../wire/calls.ts";
import { Link, type LinkOptions } from "./link.ts";

const INVALID: Readonly<Record<Named, number>> = {
  session: CKR.SESSION_HANDLE_INVALID,
  object: CKR.OBJECT_HANDLE_INVALID,
  key: CKR.KEY_HANDLE_INVALID,
};

/**
 * Translates the handles of one connection. A server numbers the sessions and objects of each connection anew, so a
 * handle of a broken connection could mean another session or key on the next one. Callers get numbers above all
 * earlier ones.
 */
export class Handles {
  readonly #offset: number;
  #highest: number;

  /** @param before The handles of the connection before. */
  constructor(before?: Handles) {
    this.#offset = before ? before.#highest : 0;
    this.#highest = this.#offset;
  }

  /** @throws {CryptokiError} CKR_DEVICE_ERROR for a handle above the exact integers of JavaScript. */
  toCaller(handle: number): number {
    if (handle === 0) return 0;
    const given = handle + this.#offset;
    if (!Number.isSafeInteger(given)) {
      throw new CryptokiError(CKR.DEVICE_ERROR, "the server's handles are too large; call C_Finalize and C_Initialize");
    }
    this.#highest = Math.max(this.#highest, given);
    return given;
  }

  /**
   * @param handle Any value from a caller in JavaScript; the encoder refuses what is not a number.
   * @throws {CryptokiError} for a handle of an earlier connection.
   */
  toServer(named: Named, handle: unknown): unknown {
    if (typeof handle !== "number" || !(handle > 0)) return handle;
    if (handle > this.#offset) return handle - this.#offset;
    throw new CryptokiError(
      INVALID[named],
      "the connection to the server broke, which ended its sessions, logins and objects; open a session and log in again",
    );
  }
}

/** A connection after C_Initialize. */
export interface Connection {
  readonly link: Link;
  readonly handles: Handles;
}

/** The connection to a server, from C_Initialize to C_Finalize. After a break the next call connects anew. */
export class Connections {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  #last: Connection | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /**
   * Returns the connection. Concurrent calls share it while it is made; an abort ends only its own caller's wait.
   * @throws {P11KitError} if there is no server that speaks the protocol; the error of C_Initialize.
   */
  readonly get = memoizeAsync(() => this.#connect());

  async #connect(): Promise<Connection> {
    this.#closing.signal.throwIfAborted();
    const link = await Link.open(this.#options, this.#closing.signal);
    const connection = { link, handles: new Handles(this.#last?.handles) };
    this.#last = connection;
    void link.ended.then(() => {
      this.get.clear();
      // A command may still run after it closed its streams.
      return link.close();
    });
    return connection;
  }

  /** Ends the connection, also one that is being made. Resolves when all its resources are released. */
  async close(signal?: AbortSignal): Promise<void> {
    this.#closing.abort(new P11KitError("C_Finalize was called meanwhile"));
    // A connection that is being made ends with an error, which its callers receive.
    await this.get().catch(() => undefined);
    await this.#last?.link.close(signal);
  }
}
