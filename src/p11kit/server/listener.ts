import { once, setMaxListeners } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { CryptokiFunctions } from "../../cryptoki/index.ts";
import { formatSocketAddress, requireSocketPath } from "../address.ts";
import { messageOf, P11KitError } from "../error.ts";
import { DEFAULT_MESSAGE_LIMIT } from "../wire/frame.ts";
import { FrameBudget } from "../wire/frame-budget.ts";
import { type ConnectionOptions, LOAD, serveConnection } from "./connection.ts";
import { LoadBudget } from "./load-budget.ts";
import { readThroughOwnBuffer } from "./own-buffer.ts";
import { listenPrivately } from "./private-socket.ts";

export interface ListenerOptions extends Omit<ConnectionOptions, "budget" | "load"> {
  /** Makes an application for one more client: `() => new Cryptoki({ slots })`. */
  readonly application: () => CryptokiFunctions;
  /** Hears why a client was cut off. */
  readonly onError?: (error: unknown) => void;
}

/** Of the longest message: what all clients together may have sent of messages that are not whole. */
const HALF_MESSAGES = 4;

/** A socket that clients of p11-kit's protocol connect to, each with an application of its own. */
export class P11KitServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: ListenerOptions;
  readonly #end = new AbortController();
  readonly #connections = new Set<Promise<void>>();
  readonly #budget: FrameBudget;
  readonly #load: LoadBudget;
  #removeSocket: (() => Promise<void>) | undefined;
  /** As P11_KIT_SERVER_ADDRESS wants it; undefined for a socket that was handed over. */
  readonly address: string | undefined;

  private constructor(options: ListenerOptions, address?: string) {
    this.#options = options;
    const { messageLimit = DEFAULT_MESSAGE_LIMIT } = options;
    this.#budget = new FrameBudget(HALF_MESSAGES * messageLimit);
    this.#load = new LoadBudget(LOAD * messageLimit);
    this.address = address;
    // Every connection listens.
    setMaxListeners(0, this.#end.signal);
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      this.#serve(readThroughOwnBuffer(socket));
    });
  }

  /**
   * Listens on a socket of the file system, for this user alone: mode 0600, in a folder that is made with 0700.
   * @param socket An absolute path of at most 107 bytes, of which the folder has at most 97.
   * @throws {DataError} for another path.
   * @throws {P11KitError} if a server listens there already, or others may write into the folder.
   */
  static async listen(socket: string, options: ListenerOptions): Promise<P11KitServer> {
    requireSocketPath(socket);
    const listener = new P11KitServer(options, formatSocketAddress(socket));
    listener.#removeSocket = await listenPrivately(listener.#server, socket);
    listener.#tellErrors();
    return listener;
  }

  /** Listens on a socket that is open already: systemd hands it over as descriptor 3 (sd_listen_fds(3)). */
  static async inherit(descriptor: number, options: ListenerOptions): Promise<P11KitServer> {
    const listener = new P11KitServer(options);
    try {
      listener.#server.listen({ fd: descriptor });
      await once(listener.#server, "listening");
    } catch (cause) {
      throw new P11KitError(`cannot listen: ${messageOf(cause)}`, { cause });
    }
    listener.#tellErrors();
    return listener;
  }

  /** More descriptors than the process may have: the client is gone, the others are not. */
  #tellErrors(): void {
    this.#server.on("error", (error) => this.#options.onError?.(error));
  }

  /** Clients that are connected. */
  get clients(): number {
    return this.#connections.size;
  }

  #serve(socket: Socket): void {
    const { application, onError, ...options } = this.#options;
    const connection = serveConnection(socket, application(), {
      ...options,
      budget: this.#budget,
      load: this.#load,
      signal: this.#end.signal,
    })
      .catch((error: unknown) => onError?.(error))
      .finally(() => {
        this.#connections.delete(connection);
      });
    this.#connections.add(connection);
  }

  /** Takes no more clients, removes the socket, and ends the clients that there are. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#end.abort();
    // First: what follows may take its time.
    await this.#removeSocket?.();
    await Promise.all([closed, ...this.#connections]);
  }
}

/** Where systemd puts the first socket. */
const SD_LISTEN_FDS_START = 3;

/** The descriptor of the socket that systemd started this process for; undefined if it did not. */
export function inheritedSocket(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const forThis = env["LISTEN_PID"] === String(process.pid);
  return forThis && Number(env["LISTEN_FDS"]) >= 1 ? SD_LISTEN_FDS_START : undefined;
}
