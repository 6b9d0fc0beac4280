import { once, setMaxListeners } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { CryptokiFunctions } from "../../cryptoki/index.ts";
import { listenPrivately, SocketError } from "../../sockets/index.ts";
import { formatSocketAddress, messageOf, P11KitError, requireSocketPath } from "../address.ts";
import { DEFAULT_MESSAGE_LIMIT, FrameBudget } from "../wire/frame.ts";
import { type ConnectionOptions, LOAD, LoadBudget, serveConnection, readThroughOwnBuffer } from "./connection.ts";

export interface ListenerOptions extends Omit<ConnectionOptions, "budget" | "load"> {
  /** Makes an application for one client: `() => new Cryptoki({ slots })`. */
  readonly application: () => CryptokiFunctions;
  /** Receives the reason when a client is cut off. */
  readonly onError?: (error: unknown) => void;
}

/** The limit for incomplete messages of all clients, as a multiple of the longest message. */
const HALF_MESSAGES = 4;

/** A socket for clients of p11-kit's protocol, each with its own application. */
export class P11KitServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: ListenerOptions;
  readonly #end = new AbortController();
  readonly #connections = new Set<Promise<void>>();
  readonly #budget: FrameBudget;
  readonly #load: LoadBudget;
  #removeSocket: (() => Promise<void>) | undefined;
  /** In the form of P11_KIT_SERVER_ADDRESS; undefined for a socket that was passed as a descriptor. */
  readonly address: string | undefined;

  private constructor(options: ListenerOptions, address?: string) {
    this.#options = options;
    const { messageLimit = DEFAULT_MESSAGE_LIMIT } = options;
    this.#budget = new FrameBudget(HALF_MESSAGES * messageLimit);
    this.#load = new LoadBudget(LOAD * messageLimit);
    this.address = address;
    // Every connection adds a listener.
    setMaxListeners(0, this.#end.signal);
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      this.#serve(readThroughOwnBuffer(socket));
    });
  }

  /**
   * Listens on a socket of the file system, for this user alone: mode 0600, in a folder that is created with 0700.
   * @param socket An absolute path of at most 107 bytes, of which the folder has at most 97.
   * @throws {DataError} for another path.
   * @throws {P11KitError} if a server listens there already, or other users may write into the folder.
   */
  static async listen(socket: string, options: ListenerOptions): Promise<P11KitServer> {
    requireSocketPath(socket);
    const listener = new P11KitServer(options, formatSocketAddress(socket));
    try {
      listener.#removeSocket = await listenPrivately(listener.#server, socket);
    } catch (cause) {
      if (!(cause instanceof SocketError)) throw cause;
      throw new P11KitError(cause.message, { cause });
    }
    listener.#tellErrors();
    return listener;
  }

  /** Listens on an open socket, which systemd passes as descriptor 3 (sd_listen_fds(3)). */
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

  /** Too many descriptors in this process: this client is lost, the others are not. */
  #tellErrors(): void {
    this.#server.on("error", (error) => this.#options.onError?.(error));
  }

  /** Connected clients. */
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

  /** Accepts no more clients, removes the socket, and ends the existing clients. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#end.abort();
    // First, because the rest may take time.
    await this.#removeSocket?.();
    await Promise.all([closed, ...this.#connections]);
  }
}
