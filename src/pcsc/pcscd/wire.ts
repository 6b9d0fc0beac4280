import { createConnection, type Socket } from "node:net";

/** Room for the 2,944 bytes of the reader states; longer answers come in parts. */
const RECEIVE_BUFFER = 16_384;
/**
 * Milliseconds between two connection attempts while the daemon's queue is full, and their number: five seconds in all.
 */
const KNOCK_EVERY = 5;
const MOST_KNOCKS = 1_000;

export interface WireEvents {
  /** Bytes arrived; they are valid only during the call. */
  onBytes(bytes: Uint8Array): void;
  /** The connection ended, by an error or by the other side; called at most once, and not after {@link Wire.cut}. */
  onCut(cause: NodeJS.ErrnoException | undefined): void;
}

/**
 * A Unix socket to the daemon that accepts writes before it is connected. The daemon lets two clients wait in its
 * queue; further non-blocking connects are refused with EAGAIN (unix(7)) and repeated.
 */
export class Wire {
  readonly #path: string;
  readonly #events: WireEvents;
  readonly #buffer = new Uint8Array(RECEIVE_BUFFER);
  /** Data written before the connection. */
  #unsent: Uint8Array[] | undefined = [];
  #knocks = 0;
  #socket: Socket;
  #again: NodeJS.Timeout | undefined;
  #over = false;

  constructor(path: string, events: WireEvents) {
    this.#path = path;
    this.#events = events;
    this.#socket = this.#knock();
  }

  /** `message` must not change until its answer comes. */
  write(message: Uint8Array): void {
    if (this.#unsent) this.#unsent.push(message);
    else this.#socket.write(message);
  }

  cut(): void {
    this.#over = true;
    clearTimeout(this.#again);
    this.#socket.destroy();
  }

  #knock(): Socket {
    this.#knocks++;
    const socket = createConnection({
      path: this.#path,
      onread: {
        buffer: this.#buffer,
        callback: (length) => {
          this.#receive(length);
          return true;
        },
      },
    });
    let cause: NodeJS.ErrnoException | undefined;
    socket.on("connect", () => {
      for (const message of this.#unsent ?? []) socket.write(message);
      this.#unsent = undefined;
    });
    socket.on("error", (error) => {
      cause = error;
    });
    socket.on("close", () => {
      this.#closed(cause);
    });
    return socket;
  }

  #receive(length: number): void {
    try {
      if (!this.#over) this.#events.onBytes(this.#buffer.subarray(0, length));
    } finally {
      // The answer may contain deciphered data.
      this.#buffer.fill(0, 0, length);
    }
  }

  #closed(cause: NodeJS.ErrnoException | undefined): void {
    if (this.#over) return;
    if (cause?.code === "EAGAIN" && this.#unsent && this.#knocks < MOST_KNOCKS) {
      this.#again = setTimeout(() => {
        this.#socket = this.#knock();
      }, KNOCK_EVERY);
      return;
    }
    this.#over = true;
    this.#events.onCut(cause);
  }
}
