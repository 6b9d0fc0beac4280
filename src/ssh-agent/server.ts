import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { secretBytes, wipe } from "../bytes/index.ts";
import { listenPrivately, MAX_SOCKET_PATH, SocketError } from "../sockets/index.ts";
import type { AgentClient, SshAgent } from "./agent.ts";
import { MAX_MESSAGE } from "./messages.ts";
import { uint32 } from "./wire.ts";

/** Most clients at a time. A session of ssh -A holds one for as long as it lasts. */
const MAX_CLIENTS = 256;
const LENGTH = 4;

export interface AgentServerOptions {
  readonly agent: SshAgent;
  /** Receives the reason when a client is cut off. */
  readonly onError?: (error: unknown) => void;
}

/** A socket for clients of an {@link SshAgent}. */
export class AgentServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: AgentServerOptions;
  readonly #clients = new Set<Socket>();
  readonly #served = new Set<Promise<void>>();
  #removeSocket: (() => Promise<void>) | undefined;

  private constructor(options: AgentServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => {
      this.#accept(socket);
    });
  }

  /**
   * Listens on a socket of the file system, for this user alone: mode 0600, in a folder that is created with 0700.
   * @throws {SocketError} if a server listens there already, or other users may write into the folder.
   */
  static async listen(socket: string, options: AgentServerOptions): Promise<AgentServer> {
    if (Buffer.byteLength(socket) > MAX_SOCKET_PATH)
      throw new SocketError(`the path of a socket has at most ${MAX_SOCKET_PATH} bytes: ${socket}`);
    const server = new AgentServer(options);
    server.#removeSocket = await listenPrivately(server.#server, socket);
    server.#tellErrors();
    return server;
  }

  /** Listens on an open socket, which systemd passes. */
  static async inherit(descriptor: number, options: AgentServerOptions): Promise<AgentServer> {
    const server = new AgentServer(options);
    server.#server.listen({ fd: descriptor });
    await once(server.#server, "listening");
    server.#tellErrors();
    return server;
  }

  /** Connected clients. */
  get clients(): number {
    return this.#clients.size;
  }

  #tellErrors(): void {
    this.#server.on("error", (error) => this.#options.onError?.(error));
  }

  #accept(socket: Socket): void {
    if (this.#clients.size >= MAX_CLIENTS) {
      this.#options.onError?.(new SocketError(`more than ${MAX_CLIENTS} clients; one was sent away`));
      socket.destroy();
      return;
    }
    this.#clients.add(socket);
    const served = new Connection(socket, this.#options.agent.connect())
      .serve()
      .catch((error: unknown) => this.#options.onError?.(error))
      .finally(() => {
        socket.destroy();
        this.#clients.delete(socket);
        this.#served.delete(served);
      });
    this.#served.add(served);
  }

  /** Accepts no more clients, removes the socket, and ends the existing clients. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    await this.#removeSocket?.();
    for (const socket of this.#clients) socket.destroy();
    await Promise.all([closed, ...this.#served]);
  }
}

/** Reads the messages of a client, at most one message ahead, and answers them in their order. */
class Connection {
  readonly #socket: Socket;
  readonly #client: AgentClient;
  readonly #gone = new AbortController();
  /** What has come of messages that are not answered yet. */
  #received = secretBytes(0);
  #wake: (() => void) | undefined;
  #hasEnded = false;

  constructor(socket: Socket, client: AgentClient) {
    this.#socket = socket;
    this.#client = client;
    socket.on("data", (chunk: Buffer) => {
      this.#receive(chunk);
    });
    // A client that has gone does not wait for the user's PIN any more. Only reading shows it.
    socket.on("end", () => {
      this.#end();
    });
    socket.on("close", () => {
      this.#end();
    });
    socket.on("error", () => {
      this.#end();
    });
  }

  #end(): void {
    this.#hasEnded = true;
    this.#gone.abort(new SocketError("the client has gone"));
    this.#wake?.();
  }

  #receive(chunk: Buffer): void {
    const joined = secretBytes(this.#received.length + chunk.length);
    joined.set(this.#received);
    joined.set(chunk, this.#received.length);
    // There may be a PIN in it.
    wipe(this.#received, chunk);
    this.#received = joined;
    if (joined.length > LENGTH + MAX_MESSAGE) this.#socket.pause();
    this.#wake?.();
  }

  /** @throws {SocketError} for a message that is empty or too long: what follows cannot be told from it. */
  async serve(): Promise<void> {
    for (;;) {
      const message = await this.#next();
      if (!message) return;
      try {
        const answer = await this.#client.answer(message, { signal: this.#gone.signal });
        this.#socket.write(Buffer.concat([uint32(answer.length), answer]));
      } catch (error) {
        if (!this.#hasEnded) throw error;
        return;
      } finally {
        wipe(message);
      }
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const message = this.#take();
      if (message) return message;
      if (this.#hasEnded) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  #take(): Uint8Array | undefined {
    const received = this.#received;
    if (received.length < LENGTH) return undefined;
    const length = new DataView(received.buffer).getUint32(0);
    if (length === 0 || length > MAX_MESSAGE) throw new SocketError(`a client sent a message of ${length} bytes`);
    if (received.length < LENGTH + length) return undefined;
    const message = secretBytes(length);
    message.set(received.subarray(LENGTH, LENGTH + length));
    const rest = secretBytes(received.length - LENGTH - length);
    rest.set(received.subarray(LENGTH + length));
    wipe(received);
    this.#received = rest;
    if (rest.length <= LENGTH + MAX_MESSAGE) this.#socket.resume();
    return message;
  }
}
