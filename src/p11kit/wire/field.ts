import type { ByteReader } from "../../bytes/index.ts";
import type { ByteWriter } from "./writer.ts";

/** What the two ends of a connection have settled. */
export interface Dialect {
  /**
   * The version of the protocol that the client offered. A p11-kit of 0.25.6 and later, which offers 2, has an encoding of
   * mechanisms of its own, whatever the server answers.
   */
  readonly offered: number;
}

/** One value on the wire: its letters in the signature, and both directions. */
export interface Field<Value> {
  readonly signature: string;
  /** @throws {CryptokiError} for a value that has no form on the wire. */
  write(out: ByteWriter, value: Value, dialect: Dialect): void;
  /**
   * @throws {DataError} if the bytes are none of this form.
   * @throws {CryptokiError} if they are, and mean what no function takes.
   */
  read(from: ByteReader, dialect: Dialect): Value;
}
