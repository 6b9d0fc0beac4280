import { lstat, mkdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import os from "node:os";
import path from "node:path";
import { P11KitError } from "../error.ts";

/** Where sockets are put by default: in the user's own folder for the time of a login, or in one like it. */
export function defaultSocketFolder(env: Readonly<Record<string, string | undefined>>): string {
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime) return path.join(runtime, "cryptoki");
  return path.join(os.tmpdir(), `cryptoki-${os.userInfo().uid}`);
}

/**
 * Makes the folder for a socket, for this user alone.
 * @throws {P11KitError} if it is there, and somebody else could put another socket into it.
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = await lstat(folder);
  if (uid !== os.userInfo().uid || (mode & 0o022) !== 0) {
    throw new P11KitError(`${folder} can be written by others; a socket wants a folder of your own (chmod 700)`);
  }
}

/**
 * Takes away a socket that nobody listens on: its server was killed.
 * @throws {P11KitError} if somebody listens, or it is no socket.
 */
export async function clearSocket(socket: string): Promise<void> {
  const found = await lstat(socket).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) throw new P11KitError(`${socket} is there, and no socket`);
  if (await isAlive(socket)) throw new P11KitError(`a server listens on ${socket} already`);
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
