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
 * The handles of one connection, as callers have them. A server numbers the sessions and objects of each connection anew, so a handle
 * of a broken connection could name another session or key on the next one. Callers get numbers above all that were given before.
 */
export class Handles {
  readonly #offset: number;
  #highest: number;

  /** @param before Those of the connection before. */
  constructor(before?: Handles) {
    this.#offset = before ? before.#highest : 0;
    this.#highest = this.#offset;
  }

  /** @throws {CryptokiError} CKR_DEVICE_ERROR for a handle that no number here can hold exactly. */
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
   * @param handle Of a caller in JavaScript, where it may be anything: what is no number is refused where it is encoded.
   * @throws {CryptokiError} for a handle of an earlier connection.
   */
  toServer(named: Named, handle: unknown): unknown {
    if (typeof handle !== "number" || !(handle > 0)) return handle;
    if (handle > this.#offset) return handle - this.#offset;
    throw new CryptokiError(
      INVALID[named],
      "the connection to the server broke, and its sessions, logins and objects ended with it; open a session and log in again",
    );
  }
}

/** A connection on which C_Initialize was called. */
export interface Connection {
  readonly link: Link;
  readonly handles: Handles;
}

/** The connection to a server, from C_Initialize to C_Finalize. One that broke is made anew when a call wants it. */
export class Connections {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  #last: Connection | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /**
   * The connection. Calls that come while it is made share it; an abort ends only its own caller's wait.
   * @throws {P11KitError} if there is no server that speaks the protocol; the error that C_Initialize is answered with.
   */
  readonly get = memoizeAsync(() => this.#connect());

  async #connect(): Promise<Connection> {
    this.#closing.signal.throwIfAborted();
    const link = await Link.open(this.#options, this.#closing.signal);
    const connection = { link, handles: new Handles(this.#last?.handles) };
    this.#last = connection;
    void link.ended.then(() => {
      this.get.clear();
      // A command that hung up may still run.
      return link.close();
    });
    return connection;
  }

  /** Ends the connection, also one that is being made. Resolves when nothing of it is left. */
  async close(signal?: AbortSignal): Promise<void> {
    this.#closing.abort(new P11KitError("C_Finalize was called meanwhile"));
    // One that is being made ends with an error, which its callers get.
    await this.get().catch(() => undefined);
    await this.#last?.link.close(signal);
  }
}
