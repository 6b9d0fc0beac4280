import { secretBytes, wipe } from "../../bytes/index.ts";
import { CK, CKR, CryptokiError } from "../../cryptoki/index.ts";

const FIRST_SIZE = 256;
const U32 = 2 ** 32;

/** Builds a message. Every integer has its most significant byte first. */
export class ByteWriter {
  #bytes = secretBytes(FIRST_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  u8(value: number): void {
    const offset = this.#grow(1);
    this.#view.setUint8(offset, value);
  }

  u32(value: number): void {
    // Grown first: growing puts another view in place of this one.
    const offset = this.#grow(4);
    this.#view.setUint32(offset, value);
  }

  /**
   * A CK_ULONG, 64 bits wide here. CK_UNAVAILABLE_INFORMATION is all ones in any width.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD for what is no whole number from 0 to 2^53 - 1.
   */
  ulong(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new CryptokiError(CKR.ARGUMENTS_BAD, "a number must be whole, and neither negative nor above 2^53 - 1");
    }
    if (value === CK.UNAVAILABLE_INFORMATION) {
      this.u32(U32 - 1);
      this.u32(U32 - 1);
      return;
    }
    this.u32(Math.floor(value / U32));
    this.u32(value % U32);
  }

  raw(bytes: Uint8Array): void {
    const offset = this.#grow(bytes.length);
    this.#bytes.set(bytes, offset);
  }

  /** What was written: a view that the writer does not touch any more, if nothing more is written. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(more: number): number {
    const start = this.#length;
    this.#length += more;
    if (this.#length > this.#bytes.length) {
      const old = this.#bytes;
      this.#bytes = secretBytes(Math.max(2 * old.length, this.#length));
      this.#bytes.set(old);
      this.#view = new DataView(this.#bytes.buffer);
      // A PIN may be in it.
      wipe(old);
    }
    return start;
  }
}
