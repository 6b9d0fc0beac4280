import { endianness } from "node:os";
import { ByteReader, DataError, utf8 } from "../../bytes/index.ts";

/** pcscd writes integers as its processor has them, and a Unix socket does not leave the machine. */
const LITTLE = endianness() === "LE";

/** One field of a C struct: how long it is, and how its value is read and written. */
export interface Field<T> {
  readonly size: number;
  read(reader: ByteReader): T;
  /** The bytes at `offset` are zero before. */
  write(view: DataView, offset: number, value: T): void;
}

export const u32: Field<number> = {
  size: 4,
  read: (reader) => (LITTLE ? reader.u32le() : reader.u32()),
  write: (view, offset, value) => {
    view.setUint32(offset, value, LITTLE);
  },
};

export const i32: Field<number> = {
  size: 4,
  read: (reader) => u32.read(reader) | 0,
  write: (view, offset, value) => {
    view.setInt32(offset, value, LITTLE);
  },
};

/** `size` bytes as they are; a shorter value is padded with zeros. */
export function octets(size: number): Field<Uint8Array> {
  return {
    size,
    read: (reader) => reader.take(size).slice(),
    write: (view, offset, value) => {
      if (value.length > size) throw new DataError(`${value.length} bytes do not fit into ${size}`);
      new Uint8Array(view.buffer, view.byteOffset + offset, size).set(value);
    },
  };
}

/** Names come from drivers, whose bytes nobody checks: a name that is not UTF-8 is still a name to show. */
const decoder = new TextDecoder();

/** UTF-8 text of up to `size - 1` bytes, ended by a zero byte; what follows that is ignored. */
export function text(size: number): Field<string> {
  return {
    size,
    read: (reader) => {
      const bytes = reader.take(size);
      const end = bytes.indexOf(0);
      return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
    },
    write: (view, offset, value) => {
      const bytes = utf8(value);
      if (bytes.length >= size) throw new DataError(`${bytes.length} bytes of text do not fit into ${size}`);
      new Uint8Array(view.buffer, view.byteOffset + offset, bytes.length).set(bytes);
    },
  };
}

/** A C struct without gaps between its fields: one declaration for both directions. */
export class Struct<T extends object> {
  /** Length in bytes. */
  readonly size: number;
  readonly #what: string;
  readonly #fields: readonly (readonly [name: keyof T & string, offset: number, field: Field<T[keyof T & string]>])[];

  /** @param what Its name, for messages. */
  constructor(what: string, fields: { readonly [Name in keyof T]: Field<T[Name]> }) {
    let size = 0;
    this.#what = what;
    this.#fields = (Object.keys(fields) as (keyof T & string)[]).map((name) => {
      const offset = size;
      size += fields[name].size;
      return [name, offset, fields[name]] as const;
    });
    this.size = size;
  }

  /**
   * Reads the struct, no more and no fewer bytes.
   * @throws {DataError}
   */
  decode(bytes: Uint8Array): T {
    const reader = new ByteReader(bytes, this.#what);
    const values: Partial<T> = {};
    for (const [name, , field] of this.#fields) values[name] = field.read(reader);
    reader.end();
    return values as T;
  }

  /** Writes the fields given into `target`, which is zero from `offset` on; the others stay zero. */
  encodeInto(target: Uint8Array, offset: number, values: Partial<T>): void {
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
    for (const [name, at, field] of this.#fields) {
      const value = values[name];
      if (value !== undefined) field.write(view, offset + at, value);
    }
  }
}
