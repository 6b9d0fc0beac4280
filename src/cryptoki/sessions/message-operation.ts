import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Stream } from "../mechanisms/scheme.ts";
import type { GuardedKey } from "./guarded-key.ts";
import type { Operation } from "./operation.ts";

/** C_MessageSignInit and C_MessageVerifyInit: a stream for each message, all with one key. */
export class MessageOperation<Kind extends Stream> {
  readonly key: GuardedKey | undefined;
  readonly stream: Stream = {
    wipe: () => {
      this.end();
    },
  };
  readonly #make: () => Operation<Kind>;
  #open: Operation<Kind> | undefined;

  /** @param make Makes the operation of one message; `key` is theirs. */
  constructor(make: () => Operation<Kind>, key: GuardedKey | undefined) {
    this.#make = make;
    this.key = key;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** A message by itself. */
  one(): Operation<Kind> {
    return this.#make();
  }

  begin(): void {
    this.#open = this.#make();
  }

  /** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED if no message was begun. */
  get current(): Operation<Kind> {
    if (!this.#open) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED, "no message was begun");
    return this.#open;
  }

  /** The message under way is over. */
  end(): void {
    this.#open?.stream.wipe();
    this.#open = undefined;
  }
}
