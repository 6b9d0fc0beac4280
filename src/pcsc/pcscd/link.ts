import { Deadline, onAbort } from "../../async/index.ts";
import { concat, copySecret, DataError, secretBytes } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import { cancelled } from "../waiting.ts";
import type { RecordsReply, Reply } from "./protocol.ts";
import { Wire } from "./wire.ts";

export interface Answer<T> {
  readonly head: T;
  /** The caller owns it. */
  readonly payload: Uint8Array;
}

export interface LinkOptions {
  /** Closes the link. */
  readonly signal?: AbortSignal;
  readonly onClose?: () => void;
}

/**
 * One connection to pcscd. Replies have no header, so this class alone reads the socket and keeps the order of pending
 * requests. A protocol error, by either side, ends the connection: pcscd does the same.
 */
export class Link {
  readonly #path: string;
  readonly #wire: Wire;
  readonly #expected: Expectation[] = [];
  readonly #onClose: (() => void) | undefined;
  readonly #idle: (() => void)[] = [];
  #unwatch: (() => void) | undefined;
  #part: Uint8Array | undefined;
  #filled = 0;
  #answered = false;
  #closed: PcscError | undefined;

  /** @param path pcscd's socket. Requests may follow at once; they wait for the connection. */
  constructor(path: string, options: LinkOptions = {}) {
    this.#path = path;
    this.#onClose = options.onClose;
    this.#wire = new Wire(path, {
      onBytes: (bytes) => {
        this.#receive(bytes);
      },
      onCut: (cause) => {
        this.close(this.#explain(cause));
      },
    });
    this.#watch(options.signal);
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Sends a request and reads its reply. `message` must not change until then. */
  request<T>(message: Uint8Array, reply: Reply<T>): Promise<Answer<T>> {
    this.send(message);
    return this.expect(reply);
  }

  send(message: Uint8Array): void {
    if (!this.#closed) this.#wire.write(message);
  }

  /** The next reply that belongs to no pending request. */
  expect<T>(reply: Reply<T>): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      if (this.#closed) reject(this.#closed);
      else this.#expected.push(new Expecting(reply, resolve, reject));
    });
  }

  /** Waits until no request is pending. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed ?? this.#expected.length === 0) resolve();
      else this.#idle.push(resolve);
    });
  }

  /**
   * As {@link request}, for an unknown number of records. Send no other request before they have arrived.
   * @param end The request whose reply ends them.
   */
  requestRecords<T>(message: Uint8Array, end: Uint8Array, reply: RecordsReply<T>): Promise<readonly T[]> {
    this.send(message);
    return new Promise((resolve, reject) => {
      const askForEnd = (): void => {
        this.send(end);
      };
      if (this.#closed) reject(this.#closed);
      else this.#expected.push(new ExpectingRecords(reply, askForEnd, resolve, reject));
    });
  }

  /** Ends the connection: pending requests fail with `reason`, later ones with `afterwards`. Idempotent. */
  close(reason = new PcscError("SCARD_E_INVALID_HANDLE"), afterwards = reason): void {
    if (this.#closed) return;
    this.#closed = afterwards;
    this.#wire.cut();
    this.#unwatch?.();
    for (const expectation of this.#expected.splice(0)) expectation.reject(reason);
    this.#becomeIdle();
    this.#onClose?.();
  }

  /** The `signal` option of Node 20's sockets keeps its listener for the signal's whole life. */
  #watch(signal: AbortSignal | undefined): void {
    this.#unwatch = onAbort(signal, (reason) => {
      this.close(cancelled(reason));
    });
  }

  #receive(chunk: Uint8Array): void {
    this.#answered = true;
    let offset = 0;
    try {
      while (offset < chunk.length && !this.#closed) offset = this.#take(chunk, offset);
    } catch (cause) {
      this.close(new PcscError("SCARD_F_COMM_ERROR", "pcscd sent an answer that this client cannot parse", { cause }));
    }
  }

  /** Parses the next expected reply, or the part of it in `chunk`, from `offset`; returns the new offset. */
  #take(chunk: Uint8Array, offset: number): number {
    const expectation = this.#expected[0];
    if (!expectation) throw new PcscError("SCARD_F_COMM_ERROR", "pcscd sent an answer without a request");
    const missing = expectation.size - this.#filled;
    const end = Math.min(offset + missing, chunk.length);
    const piece = chunk.subarray(offset, end);
    if (piece.length === expectation.size) {
      this.#deliver(expectation, piece, false);
      return end;
    }
    this.#part ??= secretBytes(expectation.size);
    this.#part.set(piece, this.#filled);
    this.#filled += piece.length;
    if (piece.length === missing) {
      const whole = this.#part;
      this.#part = undefined;
      this.#filled = 0;
      this.#deliver(expectation, whole, true);
    }
    return end;
  }

  #deliver(expectation: Expectation, bytes: Uint8Array, owned: boolean): void {
    if (!expectation.take(bytes, owned)) return;
    this.#expected.shift();
    if (this.#expected.length === 0) this.#becomeIdle();
  }

  #becomeIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #explain(cause: NodeJS.ErrnoException | undefined): PcscError {
    const options = cause && { cause };
    switch (cause?.code) {
      case "EACCES":
      case "EPERM":
        return new PcscError("SCARD_W_SECURITY_VIOLATION", `this user may not open ${this.#path}`, options);
      case "EAGAIN":
        return new PcscError("SCARD_E_NO_SERVICE", "pcscd has too many clients to answer", options);
      case "ECONNRESET":
      case "EPIPE":
      case undefined:
        break;
      default:
        return new PcscError(
          "SCARD_E_NO_SERVICE",
          `no service listens on ${this.#path}; start pcscd (systemctl start pcscd.socket)`,
          options,
        );
    }
    // The daemon closes the connection of a user that polkit refuses before the first answer; libpcsclite interprets it
    // in the same way.
    if (!this.#answered) {
      return new PcscError(
        "SCARD_W_SECURITY_VIOLATION",
        "pcscd closed the connection before its first answer: its polkit rules refuse this user, or it was being stopped",
        options,
      );
    }
    return new PcscError("SCARD_E_SERVICE_STOPPED", undefined, options);
  }
}

/** A pending reply: first its struct, then its payload. */
interface Expectation {
  /** Bytes of the next part. */
  readonly size: number;
  /** Parses that part; `owned` if the bytes will not change. True when the reply is complete. */
  take(bytes: Uint8Array, owned: boolean): boolean;
  reject(reason: PcscError): void;
}

const NOTHING = new Uint8Array(0);

class Expecting<T> implements Expectation {
  readonly reject: (reason: PcscError) => void;
  readonly #reply: Reply<T>;
  readonly #resolve: (answer: Answer<T>) => void;
  #head: { readonly value: T } | undefined;
  size: number;

  constructor(reply: Reply<T>, resolve: (answer: Answer<T>) => void, reject: (reason: PcscError) => void) {
    this.#reply = reply;
    this.#resolve = resolve;
    this.reject = reject;
    this.size = reply.size;
  }

  take(bytes: Uint8Array, owned: boolean): boolean {
    if (this.#head) {
      this.#resolve({ head: this.#head.value, payload: owned ? bytes : copySecret(bytes) });
      return true;
    }
    const head = this.#reply.decode(bytes);
    const payload = this.#reply.payload?.(head) ?? 0;
    if (payload === 0) {
      this.#resolve({ head, payload: NOTHING });
      return true;
    }
    this.#head = { value: head };
    this.size = payload;
    return false;
  }
}

class ExpectingRecords<T> implements Expectation {
  readonly reject: (reason: PcscError) => void;
  readonly #reply: RecordsReply<T>;
  readonly #askForEnd: () => void;
  readonly #resolve: (records: readonly T[]) => void;
  readonly #records: T[] = [];
  /** Bytes at the place of a record that are neither a record nor the end. */
  #beginning: Uint8Array = NOTHING;
  size: number;

  constructor(
    reply: RecordsReply<T>,
    askForEnd: () => void,
    resolve: (records: readonly T[]) => void,
    reject: (reason: PcscError) => void,
  ) {
    this.#reply = reply;
    this.#askForEnd = askForEnd;
    this.#resolve = resolve;
    this.reject = reject;
    this.size = reply.recordSize;
  }

  take(bytes: Uint8Array): boolean {
    const { recordSize, endSize, fewest, most } = this.#reply;
    if (bytes.length + this.#beginning.length === recordSize) {
      this.#records.push(this.#reply.decode(concat(this.#beginning, bytes)));
      this.#beginning = NOTHING;
      if (this.#records.length === fewest) this.#askForEnd();
      this.size = this.#records.length < fewest ? recordSize : endSize;
      return false;
    }
    if (this.#reply.isEnd(bytes)) {
      this.#resolve(this.#records);
      return true;
    }
    if (this.#records.length >= most) throw new DataError(`more than ${most} records`);
    this.#beginning = bytes.slice();
    this.size = recordSize - endSize;
    return false;
  }
}

/**
 * Milliseconds for an answer that waits for neither card nor program. Generous: a daemon that was just started may list
 * its readers only after the USB ones are initialised.
 */
const LONGEST_SILENCE = 10_000;

/**
 * Runs `work` over `link`; closes the link if the daemon is silent for too long.
 * @param milliseconds Default: 10,000, for requests that wait for neither a card nor another program.
 * @param asError The error of pending requests. Default: SCARD_E_NO_SERVICE.
 */
export function answered<T>(
  link: Link,
  work: Promise<T>,
  milliseconds = LONGEST_SILENCE,
  asError = silentDaemon,
): Promise<T> {
  return new Deadline(milliseconds).race(work, () => {
    const error = asError(milliseconds);
    link.close(error);
    return error;
  });
}

function silentDaemon(milliseconds: number): PcscError {
  const detail = `pcscd did not answer for ${milliseconds / 1_000} seconds; restart it (systemctl restart pcscd)`;
  return new PcscError("SCARD_E_NO_SERVICE", detail);
}
