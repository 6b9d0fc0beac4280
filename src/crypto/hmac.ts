import { createHmac } from "node:crypto";
import type { HashName } from "./hash.ts";
import { plain } from "./plain.ts";

/** HMAC (RFC 2104) of a message that comes in parts. */
export class HmacStream {
  readonly #hmac: ReturnType<typeof createHmac>;

  constructor(hash: HashName, key: Uint8Array) {
    this.#hmac = createHmac(hash, key);
  }

  update(part: Uint8Array): void {
    this.#hmac.update(part);
  }

  /** As long as the hash. The object is spent after it. */
  final(): Uint8Array {
    return plain(this.#hmac.digest());
  }
}

/** HMAC of one message. */
export function hmac(hash: HashName, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const stream = new HmacStream(hash, key);
  for (const part of parts) stream.update(part);
  return stream.final();
}
