import { setMaxListeners } from "node:events";
import type { Duplex } from "node:stream";
import { Deadline, onAbort } from "../../async/index.ts";
import { DataError, wipe } from "../../bytes/index.ts";
import { CKR, CryptokiError, type CryptokiFunctions } from "../../cryptoki/index.ts";
import { P11KitError } from "../address.ts";
import { DEFAULT_MESSAGE_LIMIT, encodeFrame, type Frame, FrameBudget, FrameReader } from "../wire/frame.ts";
import { decodeRequest, encodeError, encodeReply, type Request, UnknownCallError } from "../wire/message.ts";
import type { Dialect } from "../wire/values.ts";
import { answer, type Caller, HostKeyQueue } from "./dispatch.ts";
import { KeptOutputs, SigningKeys } from "./outputs.ts";

/** A connection with calls under way. */
interface Holder {
  /** Ends the connection. */
  readonly cutOff: () => void;
  bytes: number;
}

/**
 * One bound for the calls under way on all connections together: their requests, and their answers until the client has read them.
 * Where it is passed, the connection that holds the most is cut off. A client that asks for much and reads nothing so harms none
 * that reads.
 */
export class LoadBudget {
  readonly #limit: number;
  readonly #holders = new Set<Holder>();
  #total = 0;

  /** @param limit Bytes, of all connections together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds a connection.
   * @param cutOff Ends it.
   * @returns Called with the bytes that its calls hold now; with 0 once it is over.
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

/** The newest version of the protocol that is spoken here. */
const VERSION = 2;
/** Calls under way on one connection. A thread of the client's waits for each. */
const MAX_CALLS = 1000;
/** Of the longest message: what the calls under way on all connections hold together. One connection alone never reaches it. */
export const LOAD = 8;

export interface ConnectionOptions {
  /** Bytes of a request; default: 16 MiB. A longer one ends the connection. */
  readonly messageLimit?: number;
  /** The bound for half messages, shared with other connections. Default: one of its own. */
  readonly budget?: FrameBudget;
  /** The bound for calls under way and answers that are not read, shared likewise. Default: one of its own. */
  readonly load?: LoadBudget;
  /** Ends the connection. */
  readonly signal?: AbortSignal;
  /**
   * Milliseconds for ending what a client left behind: its calls, sessions and logins. Default: 10,000. After that the connection
   * counts as over, and the rest is done behind it when the card answers.
   */
  readonly cleanUp?: number;
}

const CLEAN_UP = 10_000;

/**
 * Serves one client of p11-kit's protocol, version 0, 1 or 2, until its stream ends: that is the end of its application, which
 * is finalised then. Requests are carried out side by side, as far as the application lets them. A request that cannot be read is
 * answered by CKR_DEVICE_ERROR, as p11-kit's server does; a client whose frames are none is cut off.
 * @param application The client's own: nobody else may use it.
 * @throws {DataError} why the client was cut off. Everything is over by then, whether it throws or not.
 * @throws {P11KitError} if what the client left behind could not be ended in time.
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
    new P11KitError(`a client is gone, and what it left behind was not ended within ${cleanUp / 1000} s`);
  await new Deadline(cleanUp).race(connection.end(), late);
  if (served) throw served.error;
}

class Connection {
  readonly #stream: Duplex;
  readonly #application: CryptokiFunctions;
  readonly #limit: number;
  readonly #received: (bytes: number) => void;
  readonly #gone = new AbortController();
  readonly #calls = new Set<Promise<void>>();
  readonly #outputs: KeptOutputs;
  readonly #hold: (bytes: number) => void;
  /** Bytes of the requests under way, and of the answers that they want. */
  #load = 0;

  constructor(
    stream: Duplex,
    application: CryptokiFunctions,
    limit: number,
    { budget, load }: Required<Pick<ConnectionOptions, "budget" | "load">>,
  ) {
    this.#received = budget.receiver(() => stream.destroy());
    this.#hold = load.holder(() => stream.destroy());
    this.#stream = stream;
    this.#application = application;
    this.#limit = limit;
    this.#outputs = new KeptOutputs(2 * limit);
    // Every call under way listens.
    setMaxListeners(0, this.#gone.signal);
    // A client that goes away breaks the stream, which is its right: the end of the stream is heeded wherever it matters.
    stream.on("error", () => undefined);
    stream.on("close", () => {
      this.#gone.abort();
    });
  }

  async serve(): Promise<void> {
    const frames = new FrameReader(arrivals(this.#stream), this.#limit, this.#received);
    const offered = await frames.opening();
    if (offered === undefined) return;
    await this.#send(Uint8Array.of(Math.min(offered, VERSION)));
    const caller: Caller = {
      application: this.#application,
      dialect: { offered },
      outputs: this.#outputs,
      signing: new SigningKeys(),
      hostKeys: new HostKeyQueue(),
      limit: this.#limit,
      signal: this.#gone.signal,
    };
    for (let frame = await frames.next(); frame; frame = await frames.next()) {
      this.#begin(frame, caller);
      await this.#room();
    }
  }

  /** Ends what the client left behind: its own calls are aborted, and nothing that it shares with others. */
  async end(): Promise<void> {
    this.#gone.abort();
    this.#stream.destroy();
    await Promise.allSettled(this.#calls);
    this.#outputs.clear();
    // CKR_CRYPTOKI_NOT_INITIALIZED from a client that said good-bye, or never began.
    await this.#application.C_Finalize().catch(() => undefined);
  }

  /** Takes up a request, without waiting for it. */
  #begin({ code, body }: Frame, caller: Caller): void {
    const busy = this.#calls.size >= MAX_CALLS || this.#load > 4 * this.#limit;
    const request = busy ? CKR.HOST_MEMORY : readRequest(body, caller.dialect);
    const weight = body.length + (typeof request === "number" ? 0 : promised(request));
    this.#hold((this.#load += weight));
    const work = this.#carryOut(code, request, caller).finally(() => {
      // What it said may have been a PIN.
      wipe(body);
      this.#hold((this.#load -= weight));
      this.#calls.delete(work);
    });
    this.#calls.add(work);
  }

  async #carryOut(code: number, request: Request | number, caller: Caller): Promise<void> {
    const body = typeof request === "number" ? encodeError(request) : await respond(request, caller);
    const frame = encodeFrame(code, body);
    wipe(body);
    await this.#send(frame);
    wipe(frame);
  }

  /** Resolves when the stream has taken the bytes over, or is gone. */
  #send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream.destroyed || !this.#stream.writable) resolve();
      else {
        this.#stream.write(bytes, () => {
          resolve();
        });
      }
    });
  }

  /** Waits while the client reads nothing: who does not listen is not listened to. */
  async #room(): Promise<void> {
    while (this.#stream.writableNeedDrain && !this.#stream.destroyed) {
      await new Promise<void>((resolve) => {
        const go = (): void => {
          this.#stream.off("drain", go).off("close", go);
          resolve();
        };
        this.#stream.on("drain", go).on("close", go);
      });
    }
  }
}

/** Ends, and does not throw, when the stream breaks. */
async function* arrivals(stream: Duplex): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch {
    // A broken connection is an end like another one.
  }
}

/** Bytes of an answer that is as long as the client likes. */
const promised = ({ call, room }: Request): number =>
  call.result.kind === "bytes" && call.request.some(({ role }) => role === "amount") ? room : 0;

/** The request, or what is wrong with it. */
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

/** The body of the response, whatever happens. */
async function respond(request: Request, caller: Caller): Promise<Uint8Array> {
  try {
    const reply = await answer(request, caller);
    const body = encodeReply(request.call, reply, caller.dialect);
    // What was decrypted is in the body now.
    if (reply.kind === "bytes" && "bytes" in reply.value) wipe(reply.value.bytes);
    return body;
  } catch (error) {
    if (error instanceof CryptokiError) return encodeError(error.rv);
    return encodeError(error instanceof DataError ? CKR.DEVICE_ERROR : CKR.GENERAL_ERROR);
  }
}
