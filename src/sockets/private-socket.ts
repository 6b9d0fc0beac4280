import { once } from "node:events";
import { chmod, lstat, mkdir, mkdtemp, rename, rm, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import os from "node:os";
import path from "node:path";
import { DataError } from "../bytes/index.ts";

/** A socket of the file system cannot be set up. */
export class SocketError extends Error {
  override readonly name = "SocketError";
}

/** Bytes of sockaddr_un.sun_path without its NUL. */
export const MAX_SOCKET_PATH = 107;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The default folder for sockets: the user's runtime folder, or a similar one. */
export function defaultSocketFolder(env: Readonly<Record<string, string | undefined>>): string {
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime) return path.join(runtime, "cryptoki");
  return path.join(os.tmpdir(), `cryptoki-${os.userInfo().uid}`);
}

/**
 * Refuses a folder that would have to be made in a folder of another user. Folders for all users, such as /tmp, are sticky.
 * @throws {SocketError} with the folder and its owner; nothing is made then.
 */
async function requireOwnParent(folder: string): Promise<void> {
  let existing = folder;
  let stats = await statsOf(existing);
  while (!stats && path.dirname(existing) !== existing) {
    existing = path.dirname(existing);
    stats = await statsOf(existing);
  }
  if (!stats || existing === folder || stats.uid === os.userInfo().uid || (stats.mode & STICKY) !== 0) return;
  throw new SocketError(
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
 * @throws {SocketError} if it exists, and another user could put another socket into it.
 */
async function makePrivateFolder(folder: string): Promise<void> {
  await requireOwnParent(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = await lstat(folder);
  if (uid !== os.userInfo().uid || (mode & 0o022) !== 0) {
    throw new SocketError(`other users can write to ${folder}; a socket needs a folder of your own (chmod 700)`);
  }
}

/**
 * Removes the socket of a server that was killed.
 * @throws {SocketError} if a server listens on it, or it is not a socket.
 */
async function clearSocket(socket: string): Promise<void> {
  const found = await lstat(socket).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) throw new SocketError(`${socket} exists and is not a socket`);
  if (await isAlive(socket)) throw new SocketError(`a server already listens on ${socket}`);
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
 * @throws {SocketError} if a server listens there already, or other users may write into the folder.
 */
export async function listenPrivately(server: Server, socket: string): Promise<() => Promise<void>> {
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
    throw new SocketError(`cannot listen: ${messageOf(cause)}`, { cause });
  } finally {
    await rm(birthplace, { recursive: true, force: true });
  }
}
