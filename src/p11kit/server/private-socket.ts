import { once } from "node:events";
import { chmod, lstat, mkdtemp, rename, rm, unlink } from "node:fs/promises";
import type { Server } from "node:net";
import path from "node:path";
import { DataError } from "../../bytes/index.ts";
import { MAX_SOCKET_PATH } from "../address.ts";
import { messageOf, P11KitError } from "../error.ts";
import { clearSocket, makePrivateFolder } from "./socket-folder.ts";

/**
 * Makes `server` listen at `socket`, which this user alone can connect to: mode 0600. The socket is made in a folder of its own, mode
 * 0700, and moved to its place when its mode is right: so no other user can connect meanwhile, and the process's umask, which a worker
 * thread cannot set, does not matter.
 * @returns What removes the socket, unless another server has taken its place.
 * @throws {DataError} if the path leaves no room for that folder.
 * @throws {P11KitError} if a server listens there already, or others may write into the folder.
 */
export async function listenPrivately(server: Server, socket: string): Promise<() => Promise<void>> {
  const folder = path.dirname(socket);
  // mkdtemp adds six characters.
  const room = MAX_SOCKET_PATH - "/.123456/s".length;
  if (Buffer.byteLength(folder) > room) {
    throw new DataError(`the path of a socket's folder has at most ${room} bytes: ${folder}`);
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
