import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import type { Named } from "../wire/calls.ts";

const INVALID: Readonly<Record<Named, number>> = {
  session: CKR.SESSION_HANDLE_INVALID,
  object: CKR.OBJECT_HANDLE_INVALID,
  key: CKR.KEY_HANDLE_INVALID,
};

/**
 * The handles of one connection, as callers have them. A server numbers the sessions and objects of each connection anew, so a handle
 * of a broken connection could name another session or key on the next one. Callers get numbers above all that were given before.
 */
export class Handles {
  readonly #offset: number;
  #highest: number;

  /** @param before Those of the connection before. */
  constructor(before?: Handles) {
    this.#offset = before ? before.#highest : 0;
    this.#highest = this.#offset;
  }

  /** @throws {CryptokiError} CKR_DEVICE_ERROR for a handle that no number here can hold exactly. */
  toCaller(handle: number): number {
    if (handle === 0) return 0;
    const given = handle + this.#offset;
    if (!Number.isSafeInteger(given)) {
      throw new CryptokiError(CKR.DEVICE_ERROR, "the server's handles are too large; call C_Finalize and C_Initialize");
    }
    this.#highest = Math.max(this.#highest, given);
    return given;
  }

  /**
   * @param handle Of a caller in JavaScript, where it may be anything: what is no number is refused where it is encoded.
   * @throws {CryptokiError} for a handle of an earlier connection.
   */
  toServer(named: Named, handle: unknown): unknown {
    if (typeof handle !== "number" || !(handle > 0)) return handle;
    if (handle > this.#offset) return handle - this.#offset;
    throw new CryptokiError(
      INVALID[named],
      "the connection to the server broke, and its sessions, logins and objects ended with it; open a session and log in again",
    );
  }
}
