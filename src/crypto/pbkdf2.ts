import { pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import { inThreadPool } from "../async/index.ts";
import type { HashName } from "./hash.ts";
import { plain } from "./plain.ts";

const derive = promisify(pbkdf2);

/** PBKDF2 with HMAC (RFC 8018 section 5.2), off the main thread. @param length Of the key in bytes. */
export async function pbkdf2Hmac(
  hash: HashName,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Promise<Uint8Array> {
  return plain(await inThreadPool(derive(password, salt, iterations, length, hash)));
}
