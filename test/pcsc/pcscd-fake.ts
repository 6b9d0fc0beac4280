import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import os from "node:os";
import path from "node:path";

/** Offsets and sizes as pcsc-lite's winscard_msg.h has them on a little-endian machine; written apart from the client. */
const CODE = {
  establish: 0x01,
  connect: 0x04,
  reconnect: 0x05,
  disconnect: 0x06,
  begin: 0x07,
  end: 0x08,
  transmit: 0x09,
  control: 0x0a,
  attribute: 0x0f,
  version: 0x11,
  states: 0x12,
  wait: 0x13,
  events: 0x15,
  size: 0x16,
  array: 0x17,
} as const;
export type FakeCommand = keyof typeof CODE;

export interface FakeReader {
  readonly name: string;
  readonly events?: number;
  readonly state?: number;
  readonly sharing?: number;
  readonly atr?: Uint8Array;
  readonly atrLength?: number;
}

export interface FakeRequest {
  readonly command: FakeCommand;
  readonly body: Buffer;
  readonly payload: Buffer;
  readonly socket: Socket;
  /** Answers as the daemon would by itself. */
  readonly usual: () => void;
}

export const SUCCESS = 0;
export const RESET_CARD = 0x80100068;
export const SHARING_VIOLATION = 0x8010000b;
export const NO_SMARTCARD = 0x8010000c;
export const PROTO_MISMATCH = 0x8010000f;
export const NOT_TRANSACTED = 0x80100016;
const SERVICE_STOPPED = 0x8010001e;

export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32LE(value >>> 0, 4 * index));
  return bytes;
}

/** One record of the reader array, 184 bytes; a free one without an argument. */
export function readerRecord(reader?: FakeReader): Buffer {
  const record = Buffer.alloc(184);
  if (!reader) return record;
  record.write(reader.name, 0, "utf8");
  record.writeUInt32LE(reader.events ?? 0, 128);
  record.writeUInt32LE(reader.state ?? (reader.atr ? 0x34 : 0x02), 132);
  record.writeInt32LE(reader.sharing ?? 0, 136);
  record.set(reader.atr ?? [], 140);
  record.writeUInt32LE(reader.atrLength ?? reader.atr?.length ?? 0, 176);
  return record;
}

/**
 * Speaks pcscd's protocol as it is documented, on a Unix socket in a temporary folder. `on` lets a test answer a command
 * itself, wrongly if it likes.
 */
export class FakeDaemon implements AsyncDisposable {
  /** Minor versions that it accepts; the last is its own. */
  versions: readonly number[] = [4];
  /** Entries of the array of reader states. */
  entries = 16;
  readers: (FakeReader | undefined)[] = [{ name: "Fake Reader 00 00", atr: Uint8Array.of(0x3b, 0x00) }];
  readonly on: Partial<Record<FakeCommand, (request: FakeRequest) => void>> = {};
  /** Commands that came, on all connections. */
  readonly seen: FakeCommand[] = [];
  readonly waiting = new Set<Socket>();
  readonly #folder: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        this.waiting.delete(socket);
      });
      this.#serve(socket);
    });
  }

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(await mkdtemp(path.join(os.tmpdir(), "fake-pcscd-")));
    await daemon.listen();
    return daemon;
  }

  get socket(): string {
    return path.join(this.#folder, "comm");
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async listen(): Promise<void> {
    this.#server.listen(this.socket);
    await once(this.#server, "listening");
  }

  /** Stops as a killed daemon does. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  /** Tells everybody who is registered of a change, once. */
  signal(): void {
    for (const socket of this.waiting) socket.write(words(0, SUCCESS));
    this.waiting.clear();
  }

  states(): Buffer {
    return Buffer.concat(Array.from({ length: this.entries }, (_, index) => readerRecord(this.readers[index])));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #serve(socket: Socket): void {
    let received = Buffer.alloc(0);
    let old = true;
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (;;) {
        const request = cutRequest(received);
        if (!request) return;
        received = received.subarray(request.length);
        const { command, body, payload } = request;
        if (command === "version") old = body.readInt32LE(4) < 6;
        this.seen.push(command);
        const usual = (): void => {
          this.#answer(command, body, payload, socket, old);
        };
        const handler = this.on[command];
        if (handler) handler({ command, body, payload, socket, usual });
        else usual();
      }
    });
  }

  #answer(command: FakeCommand, body: Buffer, payload: Buffer, socket: Socket, old: boolean): void {
    const u32 = (offset: number): number => body.readUInt32LE(offset);
    switch (command) {
      case "version": {
        const known = u32(0) === 4 && this.versions.includes(u32(4));
        socket.write(words(4, this.versions.at(-1) ?? 4, known ? SUCCESS : SERVICE_STOPPED));
        break;
      }
      case "establish":
        socket.write(words(u32(0), 0x1234, SUCCESS));
        break;
      case "connect":
        socket.write(Buffer.concat([body.subarray(0, 140), words(0x77, 2, SUCCESS)]));
        break;
      case "reconnect":
        socket.write(Buffer.concat([body.subarray(0, 16), words(1, SUCCESS)]));
        break;
      case "disconnect":
      case "end":
        socket.write(Buffer.concat([body.subarray(0, 8), words(SUCCESS)]));
        break;
      case "begin":
        socket.write(Buffer.concat([body.subarray(0, 4), words(SUCCESS)]));
        break;
      case "transmit":
        socket.write(Buffer.concat([body.subarray(0, 24), words(payload.length + 2, SUCCESS), payload]));
        socket.write(Buffer.of(0x90, 0x00));
        break;
      case "control":
        socket.write(Buffer.concat([body.subarray(0, 16), words(payload.length, SUCCESS), payload]));
        break;
      case "attribute": {
        const value = Buffer.alloc(264);
        value.write("value");
        socket.write(Buffer.concat([body.subarray(0, 8), value, words(5, SUCCESS)]));
        break;
      }
      case "states":
        socket.write(this.states());
        break;
      case "wait":
        this.waiting.add(socket);
        if (old) socket.write(this.states());
        break;
      case "events":
        socket.write(words(3, SUCCESS));
        break;
      case "size":
        socket.write(words(this.readers.length));
        break;
      case "array":
        socket.write(Buffer.concat(this.readers.map((reader) => readerRecord(reader))));
        break;
    }
  }
}

function cutRequest(
  bytes: Buffer,
):
  | { readonly command: FakeCommand; readonly body: Buffer; readonly payload: Buffer; readonly length: number }
  | undefined {
  if (bytes.length < 8) return undefined;
  const size = bytes.readUInt32LE(0);
  const code = bytes.readUInt32LE(4);
  const command = (Object.keys(CODE) as FakeCommand[]).find((name) => CODE[name] === code);
  if (!command) throw new Error(`the client sent command ${code}`);
  if (bytes.length < 8 + size) return undefined;
  const body = bytes.subarray(8, 8 + size);
  const payloadOffset = { transmit: 12, control: 8 }[command as string];
  const payload = payloadOffset === undefined ? 0 : body.readUInt32LE(payloadOffset);
  const length = 8 + size + payload;
  if (bytes.length < length) return undefined;
  return { command, body, payload: bytes.subarray(8 + size, length), length };
}
