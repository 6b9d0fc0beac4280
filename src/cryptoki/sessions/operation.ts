import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Stream } from "../mechanisms/scheme.ts";
import type { GuardedKey } from "./guarded-key.ts";

/** An operation under way: one object, whether its message comes in one call or in parts. */
export class Operation<Kind extends Stream> {
  readonly stream: Kind;
  /** Its private key, if it has one. */
  readonly key: GuardedKey | undefined;
  readonly #requireKey: (() => unknown) | undefined;
  #begun = false;

  /** @param requireKey Throws when the key is gone, whatever the stream still knows of it. */
  constructor(stream: Kind, key?: GuardedKey, requireKey?: () => unknown) {
    this.stream = stream;
    this.key = key;
    this.#requireKey = requireKey;
  }

  /** A part comes in: the functions that take all in one call are closed from now on. Errors as {@link requireKey}. */
  begin(): Kind {
    this.requireKey();
    this.#begun = true;
    return this.stream;
  }

  /** It waits for the PIN of its key, and no call has come for it since it began. */
  get isAbandoned(): boolean {
    return !this.#begun && this.key?.awaitsPin === true;
  }

  /** @throws {CryptokiError} CKR_KEY_HANDLE_INVALID once the key was destroyed. */
  requireKey(): void {
    this.#requireKey?.();
  }

  /**
   * All comes in at once.
   * @throws {CryptokiError} CKR_OPERATION_ACTIVE once a part has come in.
   */
  requireWhole(): void {
    if (!this.#begun) return;
    throw new CryptokiError(CKR.OPERATION_ACTIVE, "parts of the message are in already; end with C_...Final");
  }
}
