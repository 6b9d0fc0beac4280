import { endianness } from "node:os";
import { ByteReader, DataError, secretBytes, utf8, wipe } from "../../bytes/index.ts";

/** Integers have the processor's byte order, because a Unix socket does not leave the machine. */
const LITTLE = endianness() === "LE";

/** One field of a C struct: its length, and how to read and write its value. */
export interface Field<T> {
  readonly size: number;
  read(reader: ByteReader): T;
  /** The bytes at `offset` are zero before the call. */
  write(view: DataView, offset: number, value: T): void;
}

const u32: Field<number> = {
  size: 4,
  read: (reader) => (LITTLE ? reader.u32le() : reader.u32()),
  write: (view, offset, value) => {
    view.setUint32(offset, value, LITTLE);
  },
};

const i32: Field<number> = {
  size: 4,
  read: (reader) => u32.read(reader) | 0,
  write: (view, offset, value) => {
    view.setInt32(offset, value, LITTLE);
  },
};

/** `size` bytes unchanged; a shorter value is padded with zeros. */
function octets(size: number): Field<Uint8Array> {
  return {
    size,
    read: (reader) => reader.take(size).slice(),
    write: (view, offset, value) => {
      if (value.length > size) throw new DataError(`${value.length} bytes do not fit into ${size}`);
      new Uint8Array(view.buffer, view.byteOffset + offset, size).set(value);
    },
  };
}

/** Names come from drivers unchecked, so a name that is not UTF-8 is decoded leniently. */
const decoder = new TextDecoder();

/** UTF-8 text of up to `size - 1` bytes, terminated by a zero byte; the rest is ignored. */
function text(size: number): Field<string> {
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

  /** @param what The struct's name, for messages. */
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
   * Parses a struct of exactly this length.
   * @throws {DataError}
   */
  decode(bytes: Uint8Array): T {
    const reader = new ByteReader(bytes, this.#what);
    const values: Partial<T> = {};
    for (const [name, , field] of this.#fields) values[name] = field.read(reader);
    reader.end();
    return values as T;
  }

  /** Writes the given fields into `target`, which is zero from `offset` on; the others stay zero. */
  encodeInto(target: Uint8Array, offset: number, values: Partial<T>): void {
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
    for (const [name, at, field] of this.#fields) {
      const value = values[name];
      if (value !== undefined) field.write(view, offset + at, value);
    }
  }
}

/**
 * Messages of pcsc-lite's socket protocol, versions 4:4 to 4:6 (`winscard_msg.h`). A request is a header, a struct and,
 * for TRANSMIT and CONTROL, a payload that the header's length does not count. A reply is the same struct, filled in,
 * without a header: reading replies requires the order of the requests.
 */
export const COMMAND = {
  ESTABLISH_CONTEXT: 0x01,
  CONNECT: 0x04,
  RECONNECT: 0x05,
  DISCONNECT: 0x06,
  BEGIN_TRANSACTION: 0x07,
  END_TRANSACTION: 0x08,
  TRANSMIT: 0x09,
  CONTROL: 0x0a,
  GET_ATTRIB: 0x0f,
  VERSION: 0x11,
  GET_READERS_STATE: 0x12,
  WAIT_READER_STATE_CHANGE: 0x13,
  /** Since 4:5. */
  GET_READER_EVENTS: 0x15,
  /** Since 4:6, like the next one. */
  GET_READERS_STATE_SIZE: 0x16,
  GET_READERS_STATE_ARRAY: 0x17,
} as const;
type Command = (typeof COMMAND)[keyof typeof COMMAND];

/** Longest APDU or control payload of pcscd (MAX_BUFFER_SIZE_EXTENDED), in bytes. */
export const MAX_PAYLOAD = 65_548;
/** Longest attribute value (MAX_BUFFER_SIZE), in bytes. */
export const MAX_ATTRIBUTE = 264;
/** A reader's name, its final zero byte included (MAX_READERNAME), in bytes. */
export const READER_NAME_SIZE = 128;

const HEADER = new Struct("message header", { size: u32, command: u32 });
export const HEADER_SIZE = HEADER.size;

export const VERSION = new Struct("version", { major: i32, minor: i32, rv: u32 });
export const ESTABLISH = new Struct("establish context", { scope: u32, context: u32, rv: u32 });
export const CONNECT = new Struct("connect", {
  context: u32,
  reader: text(READER_NAME_SIZE),
  share: u32,
  protocols: u32,
  card: u32,
  protocol: u32,
  rv: u32,
});
export const RECONNECT = new Struct("reconnect", {
  card: u32,
  share: u32,
  protocols: u32,
  initialization: u32,
  protocol: u32,
  rv: u32,
});
export const DISCONNECT = new Struct("disconnect", { card: u32, disposition: u32, rv: u32 });
export const BEGIN = new Struct("begin transaction", { card: u32, rv: u32 });
export const END = new Struct("end transaction", { card: u32, disposition: u32, rv: u32 });
export const TRANSMIT = new Struct("transmit", {
  card: u32,
  sendProtocol: u32,
  sendPciLength: u32,
  sendLength: u32,
  receiveProtocol: u32,
  receivePciLength: u32,
  /** First the client's room, then the actual length. */
  receiveLength: u32,
  rv: u32,
});
export const CONTROL = new Struct("control", {
  card: u32,
  code: u32,
  sendLength: u32,
  receiveLength: u32,
  returned: u32,
  rv: u32,
});
export const ATTRIBUTE = new Struct("attribute", {
  card: u32,
  id: u32,
  value: octets(MAX_ATTRIBUTE),
  length: u32,
  rv: u32,
});
/**
 * A signal (0, rv) and the answer to GET_READER_EVENTS (counter, rv) have the same form on purpose, see the monitor.
 */
export const SIGNAL = new Struct("reader event", { value: u32, rv: u32 });
export const COUNT = new Struct("reader count", { count: i32 });

/** pcscd's state of a reader (`eventhandler.h`, READER_STATE). */
export const READER = new Struct("reader state", {
  name: text(READER_NAME_SIZE),
  events: u32,
  state: u32,
  sharing: i32,
  atr: octets(33),
  gap: octets(3),
  atrLength: u32,
  protocol: u32,
});
/** A request without a payload. */
export function request<T extends object>(command: Command, struct?: Struct<T>, values: Partial<T> = {}): Uint8Array {
  return requestFrame(command, struct, values, 0);
}

/** A request with room for `payload` bytes at its end. */
export function requestFrame<T extends object>(
  command: Command,
  struct: Struct<T> | undefined,
  values: Partial<T>,
  payload: number,
): Uint8Array {
  const size = struct?.size ?? 0;
  const frame = secretBytes(HEADER_SIZE + size + payload);
  HEADER.encodeInto(frame, 0, { size, command });
  struct?.encodeInto(frame, HEADER_SIZE, values);
  return frame;
}

/** How to read a reply: `size` bytes for `decode`, then as many as `payload` says. */
export interface Reply<T> {
  readonly size: number;
  /** Must not keep a view of `bytes`. */
  decode(bytes: Uint8Array): T;
  payload?(head: T): number;
}

/** `count` replies of one kind. */
export function arrayOf<T>(item: Reply<T>, count: number): Reply<readonly T[]> {
  return {
    size: item.size * count,
    decode: (bytes) =>
      Array.from({ length: count }, (_, index) =>
        item.decode(bytes.subarray(index * item.size, (index + 1) * item.size)),
      ),
  };
}

/** How to read an unknown number of records, and the reply that ends them. */
export interface RecordsReply<T> {
  /** Bytes of a record; more than the end has. */
  readonly recordSize: number;
  /** Least number of records: once they have arrived, the end is requested. */
  readonly fewest: number;
  readonly endSize: number;
  /** Whether the bytes at the place of a record are the end. */
  isEnd(bytes: Uint8Array): boolean;
  /** Must not keep a view of `bytes`. */
  decode(bytes: Uint8Array): T;
  /** More records than this are an error. */
  readonly most: number;
}

/** A transmitted APDU's answer follows its struct after a success. */
export const TRANSMIT_REPLY: Reply<ReturnType<typeof TRANSMIT.decode>> = {
  size: TRANSMIT.size,
  decode: (bytes) => TRANSMIT.decode(bytes),
  payload: ({ rv, receiveLength }) => payloadLength(rv, receiveLength),
};
export const CONTROL_REPLY: Reply<ReturnType<typeof CONTROL.decode>> = {
  size: CONTROL.size,
  decode: (bytes) => CONTROL.decode(bytes),
  payload: ({ rv, returned }) => payloadLength(rv, returned),
};

function payloadLength(rv: number, length: number): number {
  if (rv !== 0) return 0;
  if (length > MAX_PAYLOAD) throw new DataError(`pcscd announced an answer of ${length} bytes`);
  return length;
}

/** A short command APDU: header, Lc, 255 bytes, Le. */
const USUAL_COMMAND = 4 + 1 + 255 + 1;
const PAYLOAD_OFFSET = HEADER_SIZE + TRANSMIT.size;
/** SCARD_IO_REQUEST of libpcsclite on 64-bit systems; pcscd only echoes it. */
const PCI_LENGTH = 16;

/** The TRANSMIT request of one connection, reused for every command: only the command and its length change. */
export class TransmitFrame {
  readonly #card: number;
  readonly #protocol: number;
  #bytes: Uint8Array;

  constructor(card: number, protocol: number) {
    this.#card = card;
    this.#protocol = protocol;
    this.#bytes = this.#build(USUAL_COMMAND);
  }

  /** Returns the request for `command`, valid until the next call. */
  with(command: Uint8Array): Uint8Array {
    const end = PAYLOAD_OFFSET + command.length;
    if (this.#bytes.length < end) this.#bytes = this.#build(command.length);
    TRANSMIT.encodeInto(this.#bytes, HEADER_SIZE, { sendLength: command.length });
    this.#bytes.set(command, PAYLOAD_OFFSET);
    return this.#bytes.subarray(0, end);
  }

  /** Wipes the command, which may contain a PIN. */
  wipe(): void {
    wipe(this.#bytes.subarray(PAYLOAD_OFFSET));
  }

  #build(payload: number): Uint8Array {
    const values = {
      card: this.#card,
      sendProtocol: this.#protocol,
      sendPciLength: PCI_LENGTH,
      receiveProtocol: this.#protocol,
      receivePciLength: PCI_LENGTH,
      receiveLength: MAX_PAYLOAD,
    };
    return requestFrame(COMMAND.TRANSMIT, TRANSMIT, values, payload);
  }
}
