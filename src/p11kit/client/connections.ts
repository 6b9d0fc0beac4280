import { memoizeAsync } from "../../async/index.ts";
import { P11KitError } from "../address.ts";
import { Handles, Link, type LinkOptions } from "./link.ts";

/** A connection after C_Initialize. */
export interface Connection {
  readonly link: Link;
  readonly handles: Handles;
}

/** The connection to a server, from C_Initialize to C_Finalize. After a break the next call connects anew. */
export class Connections {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  /** The connection, while there is one. */
  open: Connection | undefined;
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
    this.open = connection;
    void link.ended.then(() => {
      this.get.clear();
      this.open = undefined;
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
