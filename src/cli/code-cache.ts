import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { Script } from "node:vm";

/** A CommonJS module as Node calls one, and what its `import()` does: a script that is compiled by itself has none. */
type ModuleFunction = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  filename: string,
  folder: string,
  importModule: (specifier: string) => Promise<unknown>,
) => void;

/** The SHA-256 of the bundle, which the build puts here. */
declare const BUNDLE: string;

const PARAMETERS = "exports, require, module, __filename, __dirname, importModule";

/**
 * Runs the CommonJS module `file`, with the code that an earlier run compiled where there is some. At the end of the process what it compiled
 * is kept for the next one. A cache that is lost, spoilt, of another version or not the user's own costs only time.
 * @param env For the folder: XDG_CACHE_HOME or HOME; NODE_DISABLE_COMPILE_CACHE, as for Node's own cache.
 */
export function runCached(file: string, env: NodeJS.ProcessEnv): void {
  // ASCII, as the build writes it: V8 keeps such a text in one byte a character.
  const source = readFileSync(file, "latin1");
  const wrapped = `(function (${PARAMETERS}) {${source}\n})`;
  const folder = cacheFolder(env);
  const script =
    folder === undefined
      ? new Script(wrapped, { filename: file })
      : compileCached(file, wrapped, path.join(folder, cacheName(file)));
  const run = script.runInThisContext() as ModuleFunction;
  const module = { exports: {} };
  run(module.exports, createRequire(file), module, file, path.dirname(file), (specifier) => import(specifier));
}

/** The code is written when the process ends, if what there was did not help. */
function compileCached(file: string, source: string, cache: string): Script {
  const cachedData = readCache(cache);
  const script = new Script(source, { filename: file, ...(cachedData && { cachedData }) });
  if (!cachedData || script.cachedDataRejected === true) {
    process.once("exit", () => {
      // At the end it holds the functions that ran, and not all that there are.
      writeCache(cache, script.createCachedData());
    });
  }
  return script;
}

/**
 * Names the program, the release of Node and the processor; V8 itself refuses the code of other flags. A bundle that is changed by hand after the
 * build has another time.
 */
function cacheName(file: string): string {
  const { mtimeNs } = statSync(file, { bigint: true });
  return `command-${process.version}-${process.arch}-${mtimeNs.toString(36)}-${BUNDLE}`;
}

/** The user's folder for it (XDG Base Directory Specification); undefined where no such folder is known to be the user's alone. */
function cacheFolder(env: NodeJS.ProcessEnv): string | undefined {
  // Bun and Deno keep no code in this way.
  if (process.versions["bun"] !== undefined || process.versions["deno"] !== undefined) return undefined;
  const { XDG_CACHE_HOME: cache, HOME: home, NODE_DISABLE_COMPILE_CACHE: disabled } = env;
  if (disabled !== undefined || !process.geteuid) return undefined;
  if (cache !== undefined && path.isAbsolute(cache)) return path.join(cache, "cryptoki");
  return home !== undefined && path.isAbsolute(home) ? path.join(home, ".cache", "cryptoki") : undefined;
}

const isOwn = ({ uid, mode }: Stats): boolean => uid === process.geteuid?.() && (mode & 0o077) === 0;

/** Most bytes of compiled code. */
const MAX_CODE = 16 << 20;

/** The compiled code, if the file and its folder are this user's and closed to all others. */
function readCache(file: string): Buffer | undefined {
  let descriptor: number | undefined;
  try {
    if (!isOwn(lstatSync(path.dirname(file)))) return undefined;
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = fstatSync(descriptor);
    return stats.isFile() && isOwn(stats) && stats.size <= MAX_CODE ? readFileSync(descriptor) : undefined;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function writeCache(file: string, code: Buffer): void {
  const folder = path.dirname(file);
  const unfinished = `${file}.${process.pid}-${process.hrtime.bigint()}`;
  try {
    // A home that does not exist is not made.
    for (const one of [path.dirname(folder), folder]) if (!existsSync(one)) mkdirSync(one, { mode: 0o700 });
    const stats = lstatSync(folder);
    if (!stats.isDirectory() || !isOwn(stats)) return;
    writeFileSync(unfinished, code, { mode: 0o600, flag: "wx" });
    renameSync(unfinished, file);
  } catch {
    rmSync(unfinished, { force: true });
  }
}
