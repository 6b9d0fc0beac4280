import { memoizeAsync } from "../../async/index.ts";
import { P11KitError } from "../error.ts";
import { Handles } from "./handles.ts";
import { Link, type LinkOptions } from "./link.ts";

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
