import { ByteReader, DataError, secretBytes, secretUtf8, utf8, wipe } from "../../bytes/index.ts";
import { CK, type CK_VERSION, CKR, CryptokiError } from "../../cryptoki/index.ts";

const FIRST_SIZE = 256;

/** Builds a message. Integers are big-endian. */
export class ByteWriter {
  #bytes = secretBytes(FIRST_SIZE);
  #length = 0;

  u8(value: number): void {
    const at = this.#grow(1);
    this.#bytes[at] = value;
  }

  u32(value: number): void {
    this.patch(this.#grow(4), value);
  }

  /** Replaces the four bytes at `at`, which were written before: a length that was not known then. */
  patch(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }

  /**
   * A CK_ULONG, 64 bits wide here. CK_UNAVAILABLE_INFORMATION is all ones in any width.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD for anything but a whole number from 0 to 2^53 - 1.
   */
  ulong(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new CryptokiError(CKR.ARGUMENTS_BAD, "a number must be a whole number from 0 to 2^53 - 1");
    }
    const unavailable = value === CK.UNAVAILABLE_INFORMATION;
    this.u32(unavailable ? U32 - 1 : Math.floor(value / U32));
    this.u32(unavailable ? U32 - 1 : value % U32);
  }

  raw(bytes: Uint8Array): void {
    // Grow before the bytes are taken: growing replaces them.
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** The bytes written: a view that stays valid if nothing more is written. */
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
      // It may contain a PIN.
      wipe(old);
    }
    return start;
  }
}

/** What client and server have negotiated. */
export interface Dialect {
  /**
   * The version of the protocol that the client offered. p11-kit 0.25.6 and later, which offers 2, has its own encoding
   * of mechanisms, whatever the server answers.
   */
  readonly offered: number;
}

/** One value on the wire: its letters in the signature, and both directions. */
export interface Field<Value> {
  readonly signature: string;
  /** @throws {CryptokiError} for a value that cannot be encoded. */
  write(out: ByteWriter, value: Value, dialect: Dialect): void;
  /**
   * @throws {DataError} if the bytes do not have this form.
   * @throws {CryptokiError} if they do, but no function accepts the value.
   */
  read(from: ByteReader, dialect: Dialect): Value;
}

const NULL_LENGTH = 0xffffffff;
/** p11-kit limits byte strings to one byte less. */
const TOO_LONG = 0x7fffffff;
const U32 = 2 ** 32;

/**
 * A CK_ULONG of 64 bits. All ones is CK_UNAVAILABLE_INFORMATION; a number above JavaScript's exact integers becomes
 * Infinity, which is neither a handle nor a size.
 */
export function readUlong(from: ByteReader): number {
  const high = from.u32();
  const low = from.u32();
  if (high === 0xffffffff && low === 0xffffffff) return CK.UNAVAILABLE_INFORMATION;
  const value = high * U32 + low;
  return Number.isSafeInteger(value) ? value : Infinity;
}

/** The inner form of a byte string; null is the pointer NULL. */
export function writeBytes(out: ByteWriter, bytes: Uint8Array | null): void {
  if (bytes === null) {
    out.u32(NULL_LENGTH);
    return;
  }
  if (!((bytes as unknown) instanceof Uint8Array)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "bytes must be a Uint8Array");
  }
  if (bytes.length >= TOO_LONG) throw new CryptokiError(CKR.DATA_LEN_RANGE, "too long for one call");
  out.u32(bytes.length);
  out.raw(bytes);
}

export function readBytes(from: ByteReader): Uint8Array | null {
  const length = from.u32();
  if (length === NULL_LENGTH) return null;
  if (length >= TOO_LONG) throw new DataError(`a byte string of ${length} bytes`);
  return from.take(length);
}

/** `u` */
export const ULONG: Field<number> = {
  signature: "u",
  write: (out, value) => {
    out.ulong(value);
  },
  read: readUlong,
};

/** `y`, true or false. */
export const BOOLEAN: Field<boolean> = {
  signature: "y",
  write: (out, value) => {
    out.u8(value ? 1 : 0);
  },
  read: (from) => from.u8() !== 0,
};

/** `v` */
export const VERSION: Field<CK_VERSION> = {
  signature: "v",
  write: (out, { major, minor }) => {
    out.u8(major);
    out.u8(minor);
  },
  read: (from) => ({ major: from.u8(), minor: from.u8() }),
};

const lenient = new TextDecoder();

/** `s`: text in a field of `length` bytes, padded with blanks. */
export const text = (length: number): Field<string> => ({
  signature: "s",
  write: (out, value) => {
    const field = new Uint8Array(length).fill(0x20);
    new TextEncoder().encodeInto(value, field);
    writeBytes(out, field);
  },
  read: (from) => {
    const bytes = readBytes(from);
    if (bytes?.length !== length) throw new DataError(`text of ${bytes?.length ?? 0} bytes instead of ${length}`);
    return unpadded(bytes);
  },
});

/** Removes NULs too: a structure that was never filled in contains zeros. */
const unpadded = (bytes: Uint8Array): string => lenient.decode(bytes).replace(/[ \0]+$/u, "");

/** CK_TOKEN_INFO.label, in bytes. */
const LABEL_LENGTH = 32;

/**
 * `z`: the label of C_InitToken. p11-kit measures it up to a NUL, which it does not have, so any bytes may follow the
 * 32 of the field.
 */
export const LABEL: Field<string> = {
  signature: "z",
  write: (out, value) => {
    writeBytes(out, utf8(value.padEnd(LABEL_LENGTH, " ")).subarray(0, LABEL_LENGTH));
  },
  read: (from) => unpadded((readBytes(from) ?? new Uint8Array()).subarray(0, LABEL_LENGTH)),
};

/** `ay`; null is the pointer NULL: no PIN, unlike an empty PIN. */
export const OPTIONAL_BYTES: Field<Uint8Array | null> = {
  signature: "ay",
  write: (out, value) => {
    if (value !== null) {
      out.u8(1);
      writeBytes(out, value);
      return;
    }
    out.u8(0);
    out.u32(0);
  },
  read: (from) => {
    // NULL is flag 0 and a length of 0 in p11-kit 0.24, and a length of all ones since.
    if (from.u8() !== 0) return readBytes(from);
    from.u32();
    return null;
  },
};

/** `ay` */
export const BYTES: Field<Uint8Array> = {
  ...OPTIONAL_BYTES,
  read: (from, dialect) => OPTIONAL_BYTES.read(from, dialect) ?? new Uint8Array(),
};

/** `ay`: a user's name. */
export const NAME: Field<string> = {
  signature: "ay",
  write: (out, value, dialect) => {
    BYTES.write(out, utf8(value), dialect);
  },
  read: (from, dialect) => lenient.decode(BYTES.read(from, dialect)),
};

/** `ay`: a PIN. Text is encoded as UTF-8. */
export const PIN: Field<string | Uint8Array | null> = {
  signature: "ay",
  write: (out, value, dialect) => {
    if (typeof value !== "string") {
      OPTIONAL_BYTES.write(out, value, dialect);
      return;
    }
    const bytes = secretUtf8(value);
    OPTIONAL_BYTES.write(out, bytes, dialect);
    wipe(bytes);
  },
  read: (from, dialect) => OPTIONAL_BYTES.read(from, dialect),
};

/** Bytes of an output, or only their number: they do not fit, or only the size was requested. */
export type Output = { readonly bytes: Uint8Array } | { readonly needed: number };

/** `ay` of a response. */
export const OUTPUT: Field<Output> = {
  signature: "ay",
  write: (out, value) => {
    if ("needed" in value) {
      out.u8(0);
      out.u32(value.needed);
      return;
    }
    out.u8(1);
    writeBytes(out, value.bytes);
  },
  read: (from) => {
    if (from.u8() === 0) return { needed: from.u32() };
    return { bytes: readBytes(from) ?? new Uint8Array() };
  },
};

/** Numbers of an output, or only how many there are. */
export type OutputList = { readonly list: readonly number[] } | { readonly needed: number };

/** `au` of a response. */
export const OUTPUT_LIST: Field<OutputList> = {
  signature: "au",
  write: (out, value) => {
    if ("needed" in value) {
      out.u8(0);
      out.u32(value.needed);
      return;
    }
    out.u8(1);
    out.u32(value.list.length);
    for (const one of value.list) out.ulong(one);
  },
  read: (from) => {
    const present = from.u8() !== 0;
    const count = from.u32();
    if (!present) return { needed: count };
    const items = new ByteReader(from.take(8 * count), "a list of numbers");
    const list: number[] = [];
    while (items.remaining > 0) list.push(readUlong(items));
    return { list };
  },
};

/**
 * `fy`: the caller's room in bytes. A buffer of 0 bytes is all ones since p11-kit 0.25, and 0, like no buffer, before:
 * either way nothing fits.
 */
export const ROOM_FOR_BYTES: Field<number> = {
  signature: "fy",
  write: (out, value) => {
    out.u32(Math.min(value, U32 - 2));
  },
  read: (from) => {
    const value = from.u32();
    return value === U32 - 1 ? 0 : value;
  },
};

/** `fu`: the caller's room, as a count of numbers. */
export const ROOM_FOR_LIST: Field<number> = {
  signature: "fu",
  write: (out, value) => {
    out.u32(Math.min(value, U32 - 1));
  },
  read: (from) => from.u32(),
};
