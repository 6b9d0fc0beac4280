import { concat, DataError, startsWith, utf8, wipe } from "../../bytes/index.ts";
import { blockStream, randomBytes } from "../../crypto/index.ts";
import { bytesToKey } from "./password-key.ts";

const MAGIC = utf8("Salted__");
const SALT_LENGTH = 8;
const SHARE_LENGTH = 32;
/** Magic, salt, and the share with a block of padding. */
const FILE_LENGTH = 64;
/** AES-256 and its initialisation vector. */
const KEY_LENGTH = 32;
const IV_LENGTH = 16;
/** What makes guessing slow: some seconds for each password (OpenSC, sc-hsm-tool.c, main). */
const ITERATIONS = 10_000_000;

/** Options of work that takes some seconds. */
export interface ShareFileOptions {
  readonly signal?: AbortSignal;
}

/** A new share, 32 random bytes. The caller wipes it. */
export function newDkekShare(): Uint8Array {
  return randomBytes(SHARE_LENGTH);
}

/**
 * Encrypts a share for a file of sc-hsm-tool: OpenSSL's salted format, AES-256-CBC, the key from the password by MD5 ten
 * million times. Takes some seconds.
 * @param share 32 bytes.
 * @param password Bytes, at least one; the recommended length is more than 10 characters.
 * @throws {DataError} for a share of another length, or an empty password.
 */
export function encryptDkekShare(
  share: Uint8Array,
  password: Uint8Array,
  { signal }: ShareFileOptions = {},
): Promise<Uint8Array> {
  return encryptShare(share, password, ITERATIONS, signal);
}

/**
 * Decrypts a share of a file of sc-hsm-tool. Takes some seconds.
 * @returns 32 bytes, which the caller wipes.
 * @throws {DataError} for another file, and for a wrong password.
 */
export function decryptDkekShare(
  file: Uint8Array,
  password: Uint8Array,
  { signal }: ShareFileOptions = {},
): Promise<Uint8Array> {
  return decryptShare(file, password, ITERATIONS, signal);
}

/** {@link encryptDkekShare} with another number of iterations. */
export async function encryptShare(
  share: Uint8Array,
  password: Uint8Array,
  iterations: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (share.length !== SHARE_LENGTH) throw new DataError(`a DKEK share has ${SHARE_LENGTH} bytes, not ${share.length}`);
  const salt = randomBytes(SALT_LENGTH);
  const run = await cipher("encrypt", password, salt, iterations, signal);
  return concat(MAGIC, salt, run(share));
}

/** {@link decryptDkekShare} with another number of iterations. */
export async function decryptShare(
  file: Uint8Array,
  password: Uint8Array,
  iterations: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (file.length !== FILE_LENGTH || !startsWith(file, MAGIC)) throw new DataError("this file is no DKEK share");
  const salt = file.subarray(MAGIC.length, MAGIC.length + SALT_LENGTH);
  const run = await cipher("decrypt", password, salt, iterations, signal);
  let share: Uint8Array;
  try {
    share = run(file.subarray(MAGIC.length + SALT_LENGTH));
  } catch (cause) {
    throw new DataError(DOES_NOT_OPEN, { cause });
  }
  if (share.length === SHARE_LENGTH) return share;
  wipe(share);
  throw new DataError(DOES_NOT_OPEN);
}

const DOES_NOT_OPEN = "the DKEK share does not open: the password is wrong, or the file was changed";

/** The cipher, whose key is wiped after one run. */
async function cipher(
  direction: "encrypt" | "decrypt",
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  signal?: AbortSignal,
): Promise<(input: Uint8Array) => Uint8Array> {
  if (password.length === 0) throw new DataError("the password of a DKEK share is not empty");
  const derived = await bytesToKey(password, salt, iterations, KEY_LENGTH + IV_LENGTH, signal);
  const stream = blockStream(direction, {
    cipher: "aes",
    key: derived.subarray(0, KEY_LENGTH),
    iv: derived.slice(KEY_LENGTH),
    padding: true,
  });
  wipe(derived);
  return (input) => concat(stream.update(input), stream.final());
}
