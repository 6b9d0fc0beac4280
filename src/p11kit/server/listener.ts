import { once, setMaxListeners } from "node:events";
import { chmod, lstat, mkdir, mkdtemp, rename, rm, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { DataError } from "../../bytes/index.ts";
import type { CryptokiFunctions } from "../../cryptoki/index.ts";
import { formatSocketAddress, MAX_SOCKET_PATH, messageOf, P11KitError, requireSocketPath } from "../address.ts";
import { DEFAULT_MESSAGE_LIMIT, FrameBudget } from "../wire/frame.ts";
import { type ConnectionOptions, LOAD, LoadBudget, serveConnection, readThroughOwnBuffer } from "./connection.ts";

/** The default folder for sockets: the user's runtime folder, or a similar one. */
export function defaultSocketFolder(env: Readonly<Record<string, string | undefined>>): string {
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime) return path.join(runtime, "cryptoki");
  return path.join(os.tmpdir(), `cryptoki-${os.userInfo().uid}`);
}

/**
 * Refuses a folder that would have to be made in a folder of another user. Folders for all users, such as /tmp, are sticky.
 * @throws {P11KitError} with the folder and its owner; nothing is made then.
 */
async function requireOwnParent(folder: string): Promise<void> {
  let existing = folder;
  let stats = await statsOf(existing);
  while (!stats && path.dirname(existing) !== existing) {
    existing = path.dirname(existing);
    stats = await statsOf(existing);
  }
  if (!stats || existing === folder || stats.uid === os.userInfo().uid || (stats.mode & STICKY) !== 0) return;
  throw new P11KitError(
    `${existing} belongs to the user with the number ${stats.uid}; a socket needs a folder of your own, and none was made`,
  );
}

const STICKY = 0o1000;

async function statsOf(file: string): Promise<{ readonly uid: number; readonly mode: number } | undefined> {
  try {
    return await lstat(file);
  } catch {
    return undefined;
  }
}

/**
 * Makes the folder for a socket, for this user alone.
 * @throws {P11KitError} if it exists, and another user could put another socket into it.
 */
async function makePrivateFolder(folder: string): Promise<void> {
  await requireOwnParent(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = await lstat(folder);
  if (uid !== os.userInfo().uid || (mode & 0o022) !== 0) {
    throw new P11KitError(`other users can write to ${folder}; a socket needs a folder of your own (chmod 700)`);
  }
}

/**
 * Removes the socket of a server that was killed.
 * @throws {P11KitError} if a server listens on it, or it is not a socket.
 */
async function clearSocket(socket: string): Promise<void> {
  const found = await lstat(socket).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) throw new P11KitError(`${socket} exists and is not a socket`);
  if (await isAlive(socket)) throw new P11KitError(`a server already listens on ${socket}`);
  await unlink(socket);
}

function isAlive(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    const end = (alive: boolean): void => {
      probe.destroy();
      resolve(alive);
    };
    probe.on("connect", () => {
      end(true);
    });
    probe.on("error", () => {
      end(false);
    });
  });
}

/**
 * Makes `server` listen at `socket`, to which this user alone can connect: mode 0600. The socket is created in a new
 * folder with mode 0700, and moved to its place once its mode is right: so no other user can connect meanwhile, and the
 * process's umask, which a worker thread cannot set, does not matter.
 * @returns A function that removes the socket, unless another server has replaced it.
 * @throws {DataError} if the path leaves no room for that folder.
 * @throws {P11KitError} if a server listens there already, or other users may write into the folder.
 */
async function listenPrivately(server: Server, socket: string): Promise<() => Promise<void>> {
  const folder = path.dirname(socket);
  // mkdtemp adds six characters.
  const room = MAX_SOCKET_PATH - "/.123456/s".length;
  if (Buffer.byteLength(folder) > room) {
    throw new DataError(`the folder's path for a socket has at most ${room} bytes: ${folder}`);
  }
  await makePrivateFolder(folder);
  await clearSocket(socket);
  const birthplace = await mkdtemp(path.join(folder, "."));
  try {
    const made = path.join(birthplace, "s");
    server.listen(made);
    await once(server, "listening");
    await chmod(made, 0o600);
    const { dev, ino } = await lstat(made);
    await rename(made, socket);
    return async () => {
      const found = await lstat(socket).catch(() => undefined);
      if (found?.dev === dev && found.ino === ino) await unlink(socket);
    };
  } catch (cause) {
    server.close();
    throw new P11KitError(`cannot listen: ${messageOf(cause)}`, { cause });
  } finally {
    await rm(birthplace, { recursive: true, force: true });
  }
}

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
    listener.#removeSocket = await listenPrivately(listener.#server, socket);
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

/** The first descriptor that systemd passes. */
const SD_LISTEN_FDS_START = 3;

/** The descriptor of the socket for which systemd started this process; undefined without one. */
export function inheritedSocket(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const forThis = env["LISTEN_PID"] === String(process.pid);
  return forThis && Number(env["LISTEN_FDS"]) >= 1 ? SD_LISTEN_FDS_START : undefined;
}
