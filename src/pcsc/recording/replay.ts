import { type CallOptions, signalOf, throwIfAborted } from "../../async/index.ts";
import { fromHex, toHex } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type { CardConnection, ConnectOptions, Pcsc, ReaderState } from "../types.ts";
import { badOptions, cancelled, ReaderFeed } from "../waiting.ts";
import {
  CONCEALED,
  type ControlLine,
  type Numbered,
  parseRecording,
  type RecordingLine,
  type TransmitLine,
} from "./format.ts";

/**
 * Readers and cards that answer from a recording. The exchanges of one reader happen in the recorded order, whichever
 * connection makes them. Concealed bytes of a command match any bytes; those of an answer become one zero byte. Locks
 * always succeed, and readers never change. A command that differs from the next recorded one is refused with
 * SCARD_E_NOT_TRANSACTED, which names the line and both headers.
 * @param text A recording, written by `record`.
 * @throws {DataError} for text that is not a recording, with the number of the line.
 */
export function replay(text: string): Pcsc {
  return new ReplayPcsc(parseRecording(text).lines);
}

class ReplayPcsc implements Pcsc {
  readonly #readers = new Map<string, ReplayReader>();
  readonly #feed = new ReaderFeed(() => this.#states());
  #closed = false;

  constructor(lines: readonly Numbered<RecordingLine>[]) {
    for (const line of lines) {
      const reader = this.#readers.get(line.reader) ?? new ReplayReader(line.reader);
      this.#readers.set(line.reader, reader);
      reader.add(line);
    }
  }

  readers(): Promise<readonly ReaderState[]> {
    return this.#closed ? Promise.reject(closed()) : Promise.resolve(this.#states());
  }

  changes(options?: CallOptions): AsyncIterable<readonly ReaderState[]> {
    return this.#feed.changes(signalOf(options, badOptions));
  }

  connect(name: string, options?: ConnectOptions): Promise<CardConnection> {
    return new Promise((resolve) => {
      if (this.#closed) throw closed();
      throwIfAborted(signalOf(options, badOptions), cancelled);
      const reader = this.#readers.get(name);
      if (!reader) throw new PcscError("SCARD_E_UNKNOWN_READER", `the recording has no reader "${name}"`);
      resolve(new ReplayConnection(reader, () => this.#closed));
    });
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#feed.end();
    return Promise.resolve();
  }

  #states(): readonly ReaderState[] {
    return [...this.#readers.values()].map((reader) => reader.state);
  }
}

type LineOf<Kind extends RecordingLine["kind"]> = Numbered<Extract<RecordingLine, { kind: Kind }>>;

/** The recorded exchanges of one reader, and the position in them. */
class ReplayReader {
  readonly name: string;
  readonly #lines: Numbered<RecordingLine>[] = [];
  /** Indices of the lines after the last replayed exchange, with the card and with the reader itself. */
  #transmitted = 0;
  #controlled = 0;
  connections = 0;

  constructor(name: string) {
    this.name = name;
  }

  add(line: Numbered<RecordingLine>): void {
    this.#lines.push(line);
  }

  get state(): ReaderState {
    const { atr } = this.card;
    const { name, connections: sharing } = this;
    return { name, unavailable: false, present: true, mute: false, sharing, events: 1, atr: atr.slice() };
  }

  /** Answer to reset and protocol at the next exchange: the card may have been replaced in between. */
  get card(): { readonly atr: Uint8Array; readonly protocol: number } {
    const [next] = this.#next(["connect", "transmit"], this.#transmitted);
    return next ?? this.#lines.at(-1) ?? { atr: new Uint8Array(), protocol: 0 };
  }

  transmit(command: Uint8Array): Uint8Array {
    const [next, after] = this.#next(["transmit"], this.#transmitted);
    if (!next || !matches(command, next.command)) throw this.#refusal(command, next);
    this.#transmitted = after;
    return answerOf(next);
  }

  control(code: number, data: Uint8Array): Uint8Array {
    const [next, after] = this.#next(["control"], this.#controlled);
    if (next?.code !== code >>> 0 || !matches(data, next.command)) {
      const place = next
        ? `line ${next.line} has control code ${hexCode(next.code)}`
        : "the recording has no further one";
      throw new PcscError("SCARD_E_UNSUPPORTED_FEATURE", `control code ${hexCode(code)}: ${place}`);
    }
    this.#controlled = after;
    return answerOf(next);
  }

  /** The next line of one of `kinds`, and the index after it. */
  #next<Kind extends RecordingLine["kind"]>(
    kinds: readonly Kind[],
    from: number,
  ): readonly [LineOf<Kind> | undefined, number] {
    const isWanted = (line: Numbered<RecordingLine>): line is LineOf<Kind> => kinds.some((kind) => kind === line.kind);
    for (let index = from; index < this.#lines.length; index++) {
      const line = this.#lines[index];
      if (line && isWanted(line)) return [line, index + 1];
    }
    return [undefined, from];
  }

  #refusal(command: Uint8Array, expected?: Numbered<TransmitLine>): PcscError {
    const got = toHex(command.subarray(0, HEADER));
    const last = this.#lines.at(-1)?.line ?? 1;
    if (!expected) {
      return new PcscError("SCARD_E_NOT_TRANSACTED", `the recording ends at line ${last}; then came a command ${got}`);
    }
    const wanted = expected.command.slice(0, 2 * HEADER);
    const came = wanted === got ? "and the data differ" : `and ${got} came`;
    const detail = `line ${expected.line} of the recording has a command ${wanted}, ${came}`;
    return new PcscError("SCARD_E_NOT_TRANSACTED", detail);
  }
}

/** Bytes of CLA INS P1 P2. Messages show no more, because a PIN may follow. */
const HEADER = 4;

class ReplayConnection implements CardConnection {
  readonly #reader: ReplayReader;
  readonly #abandoned: () => boolean;
  #card: ReplayReader["card"];
  #closed = false;

  constructor(reader: ReplayReader, abandoned: () => boolean) {
    this.#reader = reader;
    this.#abandoned = abandoned;
    this.#card = reader.card;
    reader.connections++;
  }

  get reader(): string {
    return this.#reader.name;
  }

  get atr(): Uint8Array {
    return this.#card.atr;
  }

  get protocol(): number {
    return this.#card.protocol;
  }

  transmit(command: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return this.#open(() => this.#reader.transmit(command), options);
  }

  control(code: number, data: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return this.#open(() => this.#reader.control(code, data), options);
  }

  begin(options?: CallOptions): Promise<void> {
    return this.#open(() => undefined, options);
  }

  end(): Promise<void> {
    return this.#open(() => undefined);
  }

  reconnect(): Promise<void> {
    return this.#open(() => {
      this.#card = this.#reader.card;
    });
  }

  alone(): Promise<boolean> {
    return this.#open(() => this.#reader.connections === 1);
  }

  attribute(): Promise<Uint8Array> {
    return this.#open(() => {
      throw new PcscError("SCARD_E_UNSUPPORTED_FEATURE", "a recording has no attributes");
    });
  }

  disconnect(): Promise<void> {
    if (!this.#closed) this.#reader.connections--;
    this.#closed = true;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** Does `work` unless the connection is closed or the call aborted. */
  #open<T>(work: () => T, options?: CallOptions): Promise<T> {
    return new Promise((resolve) => {
      if (this.#closed || this.#abandoned()) throw new PcscError("SCARD_E_INVALID_HANDLE");
      throwIfAborted(signalOf(options, badOptions), cancelled);
      resolve(work());
    });
  }
}

/** Whether `bytes` match `pattern`, in which `**` matches one or more bytes. */
function matches(bytes: Uint8Array, pattern: string): boolean {
  const [head = "", ...parts] = pattern.split(CONCEALED).map((digits) => latin1(fromHex(digits)));
  const text = latin1(bytes);
  const tail = parts.pop();
  if (tail === undefined) return text === head;
  if (!text.startsWith(head)) return false;
  let offset = head.length;
  for (const part of parts) {
    const found = text.indexOf(part, offset + 1);
    if (found < 0) return false;
    offset = found + part.length;
  }
  return text.endsWith(tail) && text.length - tail.length > offset;
}

/** One character per byte, so that string search finds runs of bytes. */
function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

function answerOf({ outcome }: TransmitLine | ControlLine): Uint8Array {
  if ("error" in outcome) throw new PcscError(outcome.error);
  return fromHex(outcome.answer.replaceAll(CONCEALED, "00"));
}

function hexCode(code: number): string {
  return `0x${(code >>> 0).toString(16)}`;
}

function closed(): PcscError {
  return new PcscError("SCARD_E_INVALID_HANDLE", "this client is closed");
}
