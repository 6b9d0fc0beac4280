import { createHash, randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { lstat, mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { PublicStore } from "../card/index.ts";

/** Most bytes of a copy: more than all certificates of a card. */
const MAX_LENGTH = 1 << 20;
/** More files than this, and the oldest are removed until half of them are left. */
const MAX_FILES = 512;

/**
 * A store in a folder of the file system. The folder and its files must belong to this user and be closed to all others (0700, 0600), and
 * no link is followed: anything else counts as no copy, and nothing is written there. The names of the files are hashes. A missing folder is
 * made, and up to two above it. On systems without owners of files, such as Windows, nothing is kept.
 * @param folder An absolute path.
 */
export function directoryStore(folder: string): PublicStore {
  let isPruned = false;
  return {
    async get(key): Promise<Uint8Array | undefined> {
      return (await isOwnFolder(folder)) ? readOwn(fileOf(folder, key)) : undefined;
    },
    async set(key, bytes): Promise<void> {
      if (bytes.length > MAX_LENGTH || !(await makeFolder(folder))) return;
      if (!isPruned) await prune(folder);
      isPruned = true;
      await write(fileOf(folder, key), bytes);
    },
  };
}

const fileOf = (folder: string, key: string): string =>
  path.join(folder, createHash("sha256").update(key).digest("hex"));

/** This user, as files name their owner; undefined where they name none. */
const owner = (): number | undefined => process.geteuid?.();

const isOwn = ({ uid, mode }: Stats): boolean => uid === owner() && (mode & 0o077) === 0;

async function isOwnFolder(folder: string): Promise<boolean> {
  const stats = await lstat(folder).catch(() => undefined);
  return stats !== undefined && stats.isDirectory() && isOwn(stats);
}

async function makeFolder(folder: string): Promise<boolean> {
  if (owner() === undefined) return false;
  const above = path.dirname(folder);
  for (const one of [path.dirname(above), above, folder]) await mkdir(one, { mode: 0o700 }).catch(() => undefined);
  return isOwnFolder(folder);
}

async function readOwn(file: string): Promise<Uint8Array | undefined> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!handle) return undefined;
  try {
    const stats = await handle.stat();
    if (!stats.isFile() || !isOwn(stats) || stats.size > MAX_LENGTH) return undefined;
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** Replaces the file as a whole: a reader finds the old copy or the new one. */
async function write(file: string, bytes: Uint8Array): Promise<void> {
  const unfinished = `${file}.${randomUUID()}`;
  try {
    await writeFile(unfinished, bytes, { mode: 0o600, flag: "wx" });
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

/** Removes what was written longest ago: copies of cards and states of them that are gone. */
async function prune(folder: string): Promise<void> {
  const names = await readdir(folder);
  if (names.length <= MAX_FILES) return;
  const files = await Promise.all(
    names.map(async (name) => {
      const file = path.join(folder, name);
      const written = await stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      );
      return { file, written };
    }),
  );
  files.sort((a, b) => a.written - b.written);
  for (const { file } of files.slice(0, files.length - MAX_FILES / 2)) await rm(file, { force: true });
}
