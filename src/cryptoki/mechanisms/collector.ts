import { concatSecret, wipe } from "../../bytes/index.ts";
import { copyBytes } from "../arguments.ts";
import { CryptokiError } from "../error.ts";

/** Keeps what comes in, up to a length; copies, because the caller's bytes are the caller's. */
export class Collector {
  readonly #max: number;
  readonly #tooLong: number;
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** @param tooLong What to throw for more than `max` bytes: CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE. */
  constructor(max: number, tooLong: number) {
    this.#max = max;
    this.#tooLong = tooLong;
  }

  /** @throws {CryptokiError} and keeps nothing of a part that is too long. */
  update(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > this.#max) {
      throw new CryptokiError(this.#tooLong, `${length} bytes, ${this.#max} at most for this key and mechanism`);
    }
    this.#length = length;
    this.#parts.push(copyBytes(part));
  }

  /** All of it, the caller's to wipe; nothing is kept. */
  take(): Uint8Array {
    const all = concatSecret(...this.#parts);
    this.wipe();
    return all;
  }

  wipe(): void {
    wipe(...this.#parts.splice(0));
    this.#length = 0;
  }
}
