import { setMaxListeners } from "node:events";
import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import type { Duplex } from "node:stream";
import { Deadline, onAbort } from "../../async/index.ts";
import { copySecret, DataError, secretBytes, wipe } from "../../bytes/index.ts";
import { CKR, CryptokiError, type CryptokiFunctions } from "../../cryptoki/index.ts";
import { P11KitError } from "../address.ts";
import { DEFAULT_MESSAGE_LIMIT, FrameBudget, FrameReader } from "../wire/frame.ts";
import { decodeRequest, encodeError, encodeReply, type Request, UnknownCallError } from "../wire/message.ts";
import type { Dialect } from "../wire/values.ts";
import { answer, type Caller, hostKeyQueue } from "./dispatch.ts";
import { KeptOutputs, SigningKeys } from "./outputs.ts";

/** A connection with pending calls. */
interface Holder {
  /** Ends the connection. */
  readonly cutOff: () => void;
  bytes: number;
}

/**
 * A memory limit for the pending calls of all connections together: their requests, and their answers until the client
 * has read them. Over the limit, the connection that holds the most is cut off, so that a client that does not read
 * cannot harm the others.
 */
export class LoadBudget {
  readonly #limit: number;
  readonly #holders = new Set<Holder>();
  #total = 0;

  /** @param limit Bytes for all connections together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds a connection.
   * @param cutOff Ends it.
   * @returns Call it with the bytes that its calls hold now; with 0 at its end.
   */
  holder(cutOff: () => void): (bytes: number) => void {
    const holder: Holder = { cutOff, bytes: 0 };
    return (bytes) => {
      this.#total += bytes - holder.bytes;
      holder.bytes = bytes;
      if (bytes > 0) this.#holders.add(holder);
      else this.#holders.delete(holder);
      if (this.#total > this.#limit) this.#cutOffLargest();
    };
  }

  #cutOffLargest(): void {
    let largest: Holder | undefined;
    for (const holder of this.#holders) if (holder.bytes > (largest?.bytes ?? 0)) largest = holder;
    largest?.cutOff();
  }
}

/** The newest version of the protocol that this server speaks. */
const VERSION = 2;
/** Concurrent calls on one connection. In the client, each has a thread that waits. */
const MAX_CALLS = 1000;
/**
 * The memory limit for pending calls of all connections, as a multiple of the longest message. One connection alone
 * never reaches it.
 */
export const LOAD = 8;

export interface ConnectionOptions {
  /** Most bytes of a request; default: 16 MiB. A longer one ends the connection. */
  readonly messageLimit?: number;
  /** The limit for incomplete messages, shared with other connections. Default: a separate one. */
  readonly budget?: FrameBudget;
  /** The limit for pending calls and unread answers, likewise. Default: a separate one. */
  readonly load?: LoadBudget;
  /** Ends the connection. */
  readonly signal?: AbortSignal;
  /**
   * Milliseconds to end what a client left open: its calls, sessions and logins. Default: 10,000. After that the
   * connection counts as ended, and the cleanup continues in the background.
   */
  readonly cleanUp?: number;
}

const CLEAN_UP = 10_000;

/**
 * Serves one client of p11-kit's protocol, version 0, 1 or 2, until its stream ends; then its application is finalised.
 * Requests run concurrently, as far as the application allows. A request that cannot be parsed is answered with
 * CKR_DEVICE_ERROR, as p11-kit's server does; a client with malformed frames is cut off.
 * @param application The client's own; no other code may use it.
 * @throws {DataError} the reason why the client was cut off. All is released by then, also on an error.
 * @throws {P11KitError} if the client's leftovers could not be ended in time.
 */
export async function serveConnection(
  stream: Duplex,
  application: CryptokiFunctions,
  options: ConnectionOptions = {},
): Promise<void> {
  const { messageLimit = DEFAULT_MESSAGE_LIMIT } = options;
  const { budget = new FrameBudget(2 * messageLimit), load = new LoadBudget(LOAD * messageLimit) } = options;
  const connection = new Connection(stream, application, messageLimit, { budget, load });
  const stop = onAbort(options.signal, () => stream.destroy());
  const served = await connection.serve().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  stop();
  const { cleanUp = CLEAN_UP } = options;
  const late = (): P11KitError =>
    new P11KitError(`a client has disconnected, but its sessions could not be closed within ${cleanUp / 1000} s`);
  await new Deadline(cleanUp).race(connection.end(), late);
  if (served) throw served.error;
}

class Connection {
  readonly #stream: Duplex;
  readonly #application: CryptokiFunctions;
  readonly #limit: number;
  readonly #frames: FrameReader;
  readonly #gone = new AbortController();
  readonly #calls = new Set<Promise<void>>();
  readonly #outputs: KeptOutputs;
  readonly #hold: (bytes: number) => void;
  /** From the opening on. */
  #caller: Caller | undefined;
  /** Pending calls, until the stream has accepted their answers. */
  #pending = 0;
  /** Bytes of the pending requests, and of the answers that they need. */
  #load = 0;

  constructor(
    stream: Duplex,
    application: CryptokiFunctions,
    limit: number,
    { budget, load }: Required<Pick<ConnectionOptions, "budget" | "load">>,
  ) {
    const received = budget.receiver(() => stream.destroy());
    this.#frames = new FrameReader(limit, this.#begin, received);
    this.#hold = load.holder(() => stream.destroy());
    this.#stream = stream;
    this.#application = application;
    this.#limit = limit;
    this.#outputs = new KeptOutputs(2 * limit);
    // Every pending call adds a listener; this one keeps the signal's own listener from coming and going with each.
    setMaxListeners(0, this.#gone.signal);
    onAbort(this.#gone.signal, () => undefined);
    // A client that disconnects breaks the stream, which is normal; every read and write notices the end itself.
    stream.on("error", () => undefined);
    stream.on("close", () => {
      this.#gone.abort();
    });
  }

  /**
   * Resolves when the stream has ended.
   * @throws {DataError} if the client does not speak the protocol.
   */
  serve(): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        try {
          this.#frames.end();
          resolve();
        } catch (error) {
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- caught as it is
          reject(error);
        }
      };
      const take = (chunk: Uint8Array): void => {
        try {
          this.#frames.push(this.#caller ? chunk : this.#open(chunk));
        } catch (error) {
          this.#stream.off("data", take);
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- caught as it is
          reject(error);
        }
      };
      this.#stream.on("data", take).on("end", end).on("close", end);
      if (this.#stream.closed) end();
    });
  }

  /** Answers the byte with which the client begins. @returns What comes after it. */
  #open(chunk: Uint8Array): Uint8Array {
    const [offered] = chunk;
    if (offered === undefined) return chunk;
    this.#write(Uint8Array.of(Math.min(offered, VERSION)), () => undefined);
    this.#caller = {
      application: this.#application,
      dialect: { offered },
      outputs: this.#outputs,
      signing: new SigningKeys(),
      hostKeys: hostKeyQueue(),
      limit: this.#limit,
      options: { signal: this.#gone.signal },
    };
    return chunk.subarray(1);
  }

  /** Ends what the client left open: aborts its own calls, and nothing that it shares with others. */
  async end(): Promise<void> {
    this.#gone.abort();
    this.#stream.destroy();
    await Promise.allSettled(this.#calls);
    this.#outputs.clear();
    // CKR_CRYPTOKI_NOT_INITIALIZED: the client has called C_Finalize, or never C_Initialize.
    await this.#application.C_Finalize().catch(() => undefined);
  }

  /** Starts a request without waiting for it. */
  readonly #begin = (code: number, body: Uint8Array): void => {
    const caller = this.#caller;
    if (!caller) return;
    const busy = this.#pending >= MAX_CALLS || this.#load > 4 * this.#limit;
    const request = busy ? CKR.HOST_MEMORY : readRequest(body, caller.dialect);
    // An answer whose length the client chooses counts too.
    const promised = typeof request === "object" && request.call.isOutputOfAmount ? request.room : 0;
    const weight = body.length + promised;
    this.#pending++;
    this.#hold((this.#load += weight));
    const call = respond(code, request, caller).then((frame) => {
      // The request may have contained a PIN.
      wipe(body);
      this.#calls.delete(call);
      this.#write(frame, () => {
        wipe(frame);
        this.#pending--;
        this.#hold((this.#load -= weight));
      });
    });
    this.#calls.add(call);
  };

  /** @param done Called when the stream has accepted the bytes, or is closed. */
  #write(bytes: Uint8Array, done: () => void): void {
    if (this.#stream.destroyed || !this.#stream.writable) done();
    // Back-pressure: reads no more requests while the client does not read replies.
    else if (!this.#stream.write(bytes, done)) this.#awaitDrain();
  }

  #awaitDrain(): void {
    if (this.#stream.isPaused()) return;
    this.#stream.pause();
    this.#stream.once("drain", () => this.#stream.resume());
  }
}

/** The parsed request, or its error. */
function readRequest(body: Uint8Array, dialect: Dialect): Request | number {
  try {
    return decodeRequest(body, dialect);
  } catch (error) {
    if (error instanceof CryptokiError) return error.rv;
    if (error instanceof UnknownCallError) return CKR.FUNCTION_NOT_SUPPORTED;
    if (error instanceof DataError) return CKR.DEVICE_ERROR;
    throw error;
  }
}

/** The response; never rejects. @param request The error of a request that could not be parsed. */
async function respond(code: number, request: Request | number, caller: Caller): Promise<Uint8Array> {
  try {
    if (typeof request === "number") return encodeError(code, request);
    const reply = await answer(request, caller);
    const frame = encodeReply(code, request.call, reply, caller.dialect);
    // The frame now holds the plaintext.
    if (reply.kind === "bytes" && "bytes" in reply.value) wipe(reply.value.bytes);
    return frame;
  } catch (error) {
    if (error instanceof CryptokiError) return encodeError(code, error.rv);
    return encodeError(code, error instanceof DataError ? CKR.DEVICE_ERROR : CKR.GENERAL_ERROR);
  }
}

/** Bytes of one read. */
const READ_SIZE = 65_536;

/** Undocumented fields of Node's sockets. */
interface HandleHolder {
  _handle?: object | null;
}

interface UndocumentedOptions {
  readonly handle: object;
  readonly readableHighWaterMark: number;
  readonly onread: OnReadOpts;
}

/**
 * Returns the same connection, read through our own buffer, which is wiped after each read. Otherwise Node reads into
 * blocks of memory that it frees with a PIN still in them (node, src/stream_base.cc,
 * `EmitToJSStreamListener::OnStreamRead`). Its `onread` option is meant for this, but a server cannot set it for
 * accepted sockets, so the handle moves to a new socket that has it.
 *
 * Chunks are delivered one by one: a stream that joins several leaves the originals in memory.
 * @param socket Nothing may have been read from it yet (`pauseOnConnect`).
 * @returns `socket` itself if it has no handle that can move.
 */
export function readThroughOwnBuffer(socket: Socket): Socket {
  const holder = socket as unknown as HandleHolder;
  const { _handle: handle } = holder;
  if (handle === undefined || handle === null) return socket;
  holder._handle = null;
  // The server does not count it any more; the handle stays open.
  socket.destroy();
  const buffer = secretBytes(READ_SIZE);
  const options: SocketConstructorOpts & UndocumentedOptions = {
    handle,
    readableHighWaterMark: 1,
    onread: {
      buffer,
      callback: (length) => {
        const chunk = copySecret(buffer.subarray(0, length));
        buffer.fill(0, 0, length);
        return own.push(chunk);
      },
    },
  };
  const own = new Socket(options);
  return own;
}
