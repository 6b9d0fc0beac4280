import type { CallOptions } from "../../async/index.ts";
import { type Concealment, toHex } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type {
  CardConnection,
  ConnectOptions,
  Disposition,
  ExchangeOptions,
  Initialization,
  Pcsc,
  ReaderState,
} from "../types.ts";
import { CONCEALED, formatHeader, formatLine, type RecordingLine } from "./format.ts";

/** Conceals the secrets in one connection's exchanges, which it receives in order. */
export interface ExchangeConcealer {
  /**
   * Hexadecimal digits of both, with `**` for each run of secret bytes. `answer` is empty if the card gave none.
   * @param declared The builder's declaration of the command's secrets.
   */
  conceal(
    command: Uint8Array,
    answer: Uint8Array,
    declared?: Concealment,
  ): { readonly command: string; readonly answer: string };
}

/**
 * Wraps `pcsc` so that every exchange is recorded: `sink` receives the lines of a recording, each with its line feed,
 * in the format of `format.ts`.
 * @param conceal Makes the concealer of each connection: `() => new Concealer()` of the `apdu` module. Control commands
 *   are always concealed, because they may contain a whole command.
 * @param command A description of the work for the first line; without secrets.
 */
export function record(
  pcsc: Pcsc,
  sink: (line: string) => void,
  conceal: () => ExchangeConcealer,
  command: string,
): Pcsc {
  return new RecordingPcsc(pcsc, sink, conceal, command);
}

class RecordingPcsc implements Pcsc {
  readonly #pcsc: Pcsc;
  readonly #sink: (line: string) => void;
  readonly #conceal: () => ExchangeConcealer;
  readonly #began = performance.now();

  constructor(pcsc: Pcsc, sink: (line: string) => void, conceal: () => ExchangeConcealer, command: string) {
    this.#pcsc = pcsc;
    this.#sink = sink;
    this.#conceal = conceal;
    sink(`${formatHeader({ command, time: new Date() })}\n`);
  }

  readers(): Promise<readonly ReaderState[]> {
    return this.#pcsc.readers();
  }

  changes(options?: CallOptions): AsyncIterable<readonly ReaderState[]> {
    return this.#pcsc.changes(options);
  }

  async connect(reader: string, options?: ConnectOptions): Promise<CardConnection> {
    const connection = await this.#pcsc.connect(reader, options);
    const write = (line: Unplaced): void => {
      const { atr, protocol } = connection;
      const at = milliseconds(this.#began);
      this.#sink(`${formatLine({ ...line, reader, atr, protocol, at })}\n`);
    };
    write({ kind: "connect" });
    return new RecordingConnection(connection, write, this.#conceal());
  }

  close(): Promise<void> {
    return this.#pcsc.close();
  }
}

/** A line without the fields that are the same for all lines of a connection. */
type Unplaced = RecordingLine extends infer Line
  ? Line extends RecordingLine
    ? Omit<Line, "reader" | "atr" | "protocol" | "at">
    : never
  : never;

class RecordingConnection implements CardConnection {
  readonly #connection: CardConnection;
  readonly #write: (line: Unplaced) => void;
  readonly #concealer: ExchangeConcealer;

  constructor(connection: CardConnection, write: (line: Unplaced) => void, concealer: ExchangeConcealer) {
    this.#connection = connection;
    this.#write = write;
    this.#concealer = concealer;
  }

  get reader(): string {
    return this.#connection.reader;
  }

  get atr(): Uint8Array {
    return this.#connection.atr;
  }

  get protocol(): number {
    return this.#connection.protocol;
  }

  transmit(command: Uint8Array, options?: ExchangeOptions): Promise<Uint8Array> {
    return this.#exchange(
      () => this.#connection.transmit(command, options),
      (answer, took, error) => {
        const concealed = this.#concealer.conceal(command, answer, options?.conceal);
        const outcome = error === undefined ? { answer: concealed.answer } : { error };
        this.#write({ kind: "transmit", took, command: concealed.command, outcome });
      },
    );
  }

  control(code: number, data: Uint8Array, options?: ExchangeOptions): Promise<Uint8Array> {
    return this.#exchange(
      () => this.#connection.control(code, data, options),
      (answer, took, error) => {
        const command = data.length > 0 ? CONCEALED : "";
        this.#write({
          kind: "control",
          code: code >>> 0,
          took,
          command,
          outcome: error === undefined ? { answer: toHex(answer) } : { error },
        });
      },
    );
  }

  async #exchange(
    exchange: () => Promise<Uint8Array>,
    write: (answer: Uint8Array, took: number, error?: number) => void,
  ): Promise<Uint8Array> {
    const began = performance.now();
    try {
      const answer = await exchange();
      write(answer, milliseconds(began));
      return answer;
    } catch (error) {
      if (error instanceof PcscError) write(new Uint8Array(), milliseconds(began), error.code);
      throw error;
    }
  }

  begin(options?: CallOptions): Promise<void> {
    return this.#connection.begin(options);
  }

  end(disposition?: Disposition): Promise<void> {
    return this.#connection.end(disposition);
  }

  reconnect(initialization?: Initialization): Promise<void> {
    return this.#connection.reconnect(initialization);
  }

  alone(): Promise<boolean> {
    return this.#connection.alone();
  }

  attribute(id: number): Promise<Uint8Array> {
    return this.#connection.attribute(id);
  }

  disconnect(disposition?: Disposition): Promise<void> {
    return this.#connection.disconnect(disposition);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }
}

/** Milliseconds since `began`, with three decimals. */
function milliseconds(began: number): number {
  return Math.round((performance.now() - began) * 1000) / 1000;
}
