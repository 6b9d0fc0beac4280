import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { onAbort } from "../../async/index.ts";
import { DataError, fromHex, wipe } from "../../bytes/index.ts";
import { FileError, UsageError } from "../output/failures.ts";
import { type Environment, openInput, openOutput } from "../output/printer.ts";

/** Limits in bytes for inputs that are held in memory whole. */
export const LIMIT = {
  /** Data to sign, verify, decrypt or import. */
  MESSAGE: 1 << 30,
  /** Lines of APDUs. They become one string, and Node cannot make one of 512 MiB. */
  TEXT: 64 << 20,
  /** A key, a certificate, a signature. */
  KEY: 1 << 20,
} as const;

/**
 * Reads a whole file, or standard input if `path` is left out or "-".
 * @throws {FileError} if it is longer than `limit` bytes.
 */
export async function readInput(
  path: string | undefined,
  environment: Environment,
  limit: number = LIMIT.MESSAGE,
): Promise<Uint8Array> {
  const { signal } = environment;
  if (path !== undefined && path !== "-") return readWhole(path, signal, limit);
  return collect(requireDataOnStdin(environment), "standard input", signal, limit);
}

/** Standard input, for data. @throws {UsageError} if a PIN or PUK is to come from it. */
export function requireDataOnStdin({ stdin, secretOnStdin }: Environment): Environment["stdin"] {
  if (secretOnStdin === undefined) return stdin;
  throw new UsageError(`${secretOnStdin} takes a secret from standard input, where the data comes from; name a file`);
}

/**
 * Reads the whole file at `path`; a FIFO until its end.
 * @throws {FileError} if it cannot be read, or is longer than `limit` bytes; the signal's reason.
 */
export async function readWhole(
  path: string,
  signal?: AbortSignal,
  limit: number = LIMIT.MESSAGE,
): Promise<Uint8Array> {
  let stream: Readable;
  try {
    stream = await openInput(path);
  } catch (cause) {
    throw readFailure(path, cause);
  }
  return collect(stream, path, signal, limit);
}

async function collect(
  stream: Readable,
  what: string,
  signal: AbortSignal | undefined,
  limit: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const stop = onAbort(signal, () => stream.destroy());
  try {
    for await (const chunk of stream) {
      const part = Buffer.from(chunk as Uint8Array);
      length += part.length;
      if (length > limit) throw new FileError(`${what} is longer than the limit of ${limit} bytes`);
      parts.push(part);
    }
  } catch (cause) {
    wipe(...parts);
    signal?.throwIfAborted();
    throw cause instanceof FileError ? cause : readFailure(what, cause);
  } finally {
    stop();
  }
  // A destroyed stream may end without an error.
  signal?.throwIfAborted();
  return Buffer.concat(parts);
}

/** File modes: readable by everyone whom the umask admits, or by the owner only. */
export const FOR = { ALL: 0o666, USER: 0o600 } as const;

/** Options for writing a file. */
export interface WriteOptions {
  /** The mode of a new file. Default: {@link FOR.ALL}. */
  readonly mode?: number;
  /** Ends the wait for a program that reads the FIFO. */
  readonly signal?: AbortSignal;
}

/** Writes a file; replaces an old one. @throws {FileError} if it cannot be written; the signal's reason. */
export async function writeWhole(path: string, bytes: Uint8Array | string, options: WriteOptions = {}): Promise<void> {
  const { mode = FOR.ALL, signal } = options;
  try {
    const stream = await openOutput(path, mode, signal);
    const stop = onAbort(signal, () => stream.destroy());
    stream.end(bytes);
    await finished(stream).finally(stop);
  } catch (cause) {
    signal?.throwIfAborted();
    throw writeFailure(path, cause);
  }
}

/** The error for a file that could not be read. */
export function readFailure(path: string, cause: unknown): FileError {
  return new FileError(`cannot read ${path}: ${reason(cause)}`, { cause });
}

/** The error for a file that could not be written. */
export function writeFailure(path: string, cause: unknown): FileError {
  return new FileError(`cannot write ${path}: ${reason(cause)}`, { cause });
}

/** The operating system's error code, such as "ENOENT". */
export function systemCode(error: unknown): string | undefined {
  const isCoded = typeof error === "object" && error !== null && "code" in error;
  return isCoded && typeof error.code === "string" ? error.code : undefined;
}

/** The operating system's error code as text. */
export function reason(error: unknown): string {
  const code = systemCode(error);
  switch (code) {
    case "ENOENT":
      return "no such file or folder";
    case "EACCES":
    case "EPERM":
      return "not permitted";
    case "EISDIR":
      return "it is a folder";
    case "ENOSPC":
      return "no space left";
    default:
      return code ?? "failed";
  }
}

/** Parses a hexadecimal argument. @throws {UsageError} if it is not hexadecimal. */
export function hexArgument(text: string, what: string): Uint8Array {
  try {
    return fromHex(text);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new UsageError(`${what}: ${cause.message}`, { cause });
  }
}

/**
 * Reads the public key in a file: a certificate or a public key, PEM or DER (SubjectPublicKeyInfo or PKCS #1).
 * @throws {FileError} if it is neither, or longer than {@link LIMIT.KEY}.
 */
export async function readPublicKey(path: string, signal?: AbortSignal): Promise<KeyObject> {
  const bytes = Buffer.from(await readWhole(path, signal, LIMIT.KEY));
  for (const attempt of ATTEMPTS) {
    const key = attemptKey(() => attempt(bytes));
    if (key) return key;
  }
  throw new FileError(`${path} holds neither a certificate nor a public key, in PEM or DER`);
}

const ATTEMPTS: readonly ((bytes: Buffer) => KeyObject)[] = [
  (bytes) => new X509Certificate(bytes).publicKey,
  (bytes) => createPublicKey(bytes),
  (bytes) => createPublicKey({ key: bytes, format: "der", type: "spki" }),
  (bytes) => createPublicKey({ key: bytes, format: "der", type: "pkcs1" }),
];

/** OpenSSL finds the format of a file by trial. */
function attemptKey(attempt: () => KeyObject): KeyObject | undefined {
  try {
    return attempt();
  } catch {
    return undefined;
  }
}
