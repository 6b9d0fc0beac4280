import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { Deadline, throwIfAborted, untilAborted } from "../../async/index.ts";
import { DataError, wipe } from "../../bytes/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import { messageOf, P11KitError, type ServerAddress } from "../address.ts";
import { CALLS, type Named } from "../wire/calls.ts";
import { FrameReader } from "../wire/frame.ts";
import { decodeReply, encodeRequest, type Reply, type Request } from "../wire/message.ts";
import type { Dialect } from "../wire/values.ts";

/** A byte stream to a server. */
interface Transport {
  readonly stream: Duplex;
  /** Resolves when all resources are released. An abort ends the wait for a slow command, and the command. */
  close(signal?: AbortSignal): Promise<void>;
}

/** @throws {P11KitError} if there is no server; the signal's reason. */
function openTransport(address: ServerAddress, signal: AbortSignal): Promise<Transport> {
  return address.kind === "unix" ? openSocket(address.path, signal) : openCommand(address.command);
}

async function openSocket(path: string, signal: AbortSignal): Promise<Transport> {
  const stream = connect(path);
  try {
    await once(stream, "connect", { signal });
  } catch (cause) {
    stream.destroy();
    signal.throwIfAborted();
    throw new P11KitError(`no server at ${path} (start one with: cryptoki serve): ${messageOf(cause)}`, { cause });
  }
  return {
    stream,
    close: async () => {
      stream.destroy();
      if (!stream.closed) await once(stream, "close");
    },
  };
}

/** The command shares our standard error: ssh asks for passwords there. */
async function openCommand([program = "", ...args]: readonly string[]): Promise<Transport> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  try {
    await once(child, "spawn");
  } catch (cause) {
    throw new P11KitError(`${program} does not start: ${messageOf(cause)}`, { cause });
  }
  // The end of its output reports a command that stops reading.
  child.stdin.on("error", () => undefined);
  const ended = once(child, "exit");
  const kill = (): void => void child.kill();
  // Ends the command also if this process exits early.
  process.once("exit", kill);
  void ended.then(() => process.off("exit", kill));
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  /** Waits a limited time for the end. */
  const over = async (signal?: AbortSignal): Promise<void> => {
    await new Deadline(FINALIZE_GRACE).race(untilAborted(ended, signal), () => undefined).catch(() => undefined);
  };
  return {
    stream,
    close: async (signal) => {
      child.stdin.end();
      if (!isOver()) await over(signal);
      if (!isOver()) child.kill();
      if (!isOver()) await over();
      if (!isOver()) child.kill("SIGKILL");
      stream.destroy();
    },
  };
}

/** The first call id in p11-kit's own requests. */
const FIRST_CODE = 0x10;
const LAST_CODE = 0xffffffff;

function plain(name: "C_Initialize" | "C_Finalize"): Request {
  const call = CALLS.find((one) => one.name === name);
  if (!call) throw new Error(`no call ${name}`);
  return { call, args: [], room: 0, wanted: [] };
}

const INITIALIZE = plain("C_Initialize");
const FINALIZE = plain("C_Finalize");

/** Milliseconds to wait for the answer to C_Finalize. */
const FINALIZE_GRACE = 2000;

export interface LinkOptions {
  readonly address: ServerAddress;
  /** The version of the protocol to offer. */
  readonly version: number;
  /** Most bytes of an answer. */
  readonly messageLimit: number;
  /** Milliseconds for connecting, including the answer to C_Initialize. */
  readonly patience: number;
}

/** A call that waits for its answer. */
interface PendingCall {
  readonly request: Request;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
}

/** A connection to a server: any number of concurrent calls, answered in any order. */
export class Link {
  readonly #transport: Transport;
  readonly #frames: FrameReader;
  readonly #pending = new Map<number, PendingCall>();
  /** Resolves when the connection is over. */
  readonly ended: Promise<void>;
  #resolveEnded = (): void => undefined;
  #code = FIRST_CODE;
  #broken: CryptokiError | undefined;
  /** The negotiated version of the protocol. */
  readonly dialect: Dialect;

  /** @param chunk What has arrived of the server's answers. */
  private constructor(transport: Transport, chunk: Uint8Array, limit: number, dialect: Dialect) {
    const { stream } = transport;
    this.#transport = transport;
    this.#frames = new FrameReader(limit, this.#answer);
    this.dialect = dialect;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    stream.on("end", this.#end).on("close", this.#end);
    this.#receive(chunk);
    stream.on("data", this.#receive);
    stream.resume();
  }

  /**
   * Connects and calls C_Initialize.
   * @throws {P11KitError} if there is no server that speaks the protocol, or it does not answer in time; the error of
   *   C_Initialize; the signal's reason.
   */
  static async open(options: LinkOptions, signal: AbortSignal): Promise<Link> {
    const seconds = options.patience / 1000;
    const late = (): P11KitError => new P11KitError(`the server did not answer within ${seconds} s`);
    const deadline = new Deadline(options.patience);
    const inTime = <T>(answer: Promise<T>): Promise<T> => deadline.race(untilAborted(answer, signal), late);
    const first = await Link.#negotiate(options, options.version, inTime, signal);
    // An old server (p11-kit up to 0.23) accepts only the version byte that it knows, and closes the connection on
    // another.
    const link = first ?? (options.version > 0 ? await Link.#negotiate(options, 0, inTime, signal) : undefined);
    if (!link)
      throw new P11KitError(
        "the server closed the connection before its first answer: check its command or the module that it serves",
      );
    try {
      await inTime(link.call(INITIALIZE));
      return link;
    } catch (error) {
      await link.#drop(AbortSignal.abort());
      throw error;
    }
  }

  /** Undefined if the server closes the connection. */
  static async #negotiate(
    options: LinkOptions,
    offered: number,
    inTime: <T>(answer: Promise<T>) => Promise<T>,
    signal: AbortSignal,
  ): Promise<Link | undefined> {
    const transport = await openTransport(options.address, signal);
    const { stream } = transport;
    // The end of the input reports a broken connection.
    stream.on("error", () => undefined);
    let first: Uint8Array | undefined;
    try {
      stream.write(Uint8Array.of(offered));
      first = await inTime(firstChunk(stream));
      const [agreed] = first ?? [];
      // p11-kit's encoding depends on its build, and before 0.25.6 no server answers 2: the answered version tells the
      // encoding.
      if (first && agreed !== undefined) {
        return new Link(transport, first.subarray(1), options.messageLimit, { offered: Math.min(agreed, offered) });
      }
    } finally {
      // Kills the command only if we gave up, not if it closed the connection itself.
      if (first === undefined) await transport.close(AbortSignal.abort());
    }
    return undefined;
  }

  /**
   * Makes a call. It is sent only once.
   * @throws {CryptokiError} the call's own error; CKR_DEVICE_ERROR if the connection is broken; CKR_FUNCTION_CANCELED
   *   when `signal` aborts: the server continues, and its answer is dropped.
   */
  async call(request: Request, signal?: AbortSignal): Promise<Reply> {
    const code = this.#nextCode();
    let frame: Uint8Array;
    try {
      frame = encodeRequest(code, request, this.dialect);
    } catch (cause) {
      if (cause instanceof CryptokiError) throw cause;
      // Callers in JavaScript may pass any value.
      throw new CryptokiError(CKR.ARGUMENTS_BAD, undefined, { cause });
    }
    throwIfAborted(signal, cancelled);
    if (this.#broken) throw this.#broken;
    const answer = new Promise<Reply>((resolve, reject) => {
      this.#pending.set(code, { request, resolve, reject, signal });
    });
    this.#transport.stream.write(frame, () => {
      wipe(frame);
    });
    return untilAborted(answer, signal, cancelled);
  }

  #nextCode(): number {
    let code: number;
    do {
      code = this.#code;
      this.#code = code >= LAST_CODE ? FIRST_CODE : code + 1;
    } while (this.#pending.has(code));
    return code;
  }

  readonly #receive = (chunk: Uint8Array): void => {
    try {
      this.#frames.push(chunk);
    } catch (error) {
      this.#break(error);
    }
  };

  /** @throws {DataError} if the server does not speak the protocol. */
  readonly #answer = (code: number, body: Uint8Array): void => {
    const pending = this.#pending.get(code);
    if (this.#broken) return;
    if (!pending) throw new DataError("the server sent an answer without a request");
    this.#pending.delete(code);
    if (pending.signal?.aborted === true) {
      wipe(body);
      return;
    }
    try {
      pending.resolve(decodeReply(body, pending.request, this.dialect));
    } catch (error) {
      pending.reject(error instanceof DataError ? this.#break(error) : error);
    }
  };

  readonly #end = (): void => {
    try {
      this.#frames.end();
      this.#break(new P11KitError("the server closed the connection"));
    } catch (error) {
      this.#break(error);
    }
  };

  /** Ends the connection: all calls fail with this error. */
  #break(cause: unknown): CryptokiError {
    const reason = cause instanceof Error ? cause.message : "";
    this.#broken ??= new CryptokiError(
      CKR.DEVICE_ERROR,
      `the connection to the server is broken: ${reason}; the server may have carried out this call`,
      { cause },
    );
    for (const { reject } of this.#pending.values()) reject(this.#broken);
    this.#pending.clear();
    this.#resolveEnded();
    this.#transport.stream.destroy();
    return this.#broken;
  }

  /** Calls C_Finalize, waits a limited time for the answer, and ends the connection. */
  async close(signal?: AbortSignal): Promise<void> {
    // The end of the connection has the same effect, and a broken one has ended already.
    if (!this.#broken)
      await new Deadline(FINALIZE_GRACE).race(this.call(FINALIZE, signal), () => undefined).catch(() => undefined);
    await this.#drop(signal);
  }

  async #drop(signal?: AbortSignal): Promise<void> {
    await this.#transport.close(signal);
    await this.ended;
  }
}

const INVALID: Readonly<Record<Named, number>> = {
  session: CKR.SESSION_HANDLE_INVALID,
  object: CKR.OBJECT_HANDLE_INVALID,
  key: CKR.KEY_HANDLE_INVALID,
};

/**
 * Translates the handles of one connection. A server numbers the sessions and objects of each connection anew, so a
 * handle of a broken connection could mean another session or key on the next one. Callers get numbers above all
 * earlier ones.
 */
export class Handles {
  readonly #offset: number;
  #highest: number;

  /** @param before The handles of the connection before. */
  constructor(before?: Handles) {
    this.#offset = before ? before.#highest : 0;
    this.#highest = this.#offset;
  }

  /** @throws {CryptokiError} CKR_DEVICE_ERROR for a handle above the exact integers of JavaScript. */
  toCaller(handle: number): number {
    if (handle === 0) return 0;
    const given = handle + this.#offset;
    if (!Number.isSafeInteger(given)) {
      throw new CryptokiError(CKR.DEVICE_ERROR, "the server's handles are too large; call C_Finalize and C_Initialize");
    }
    this.#highest = Math.max(this.#highest, given);
    return given;
  }

  /**
   * @param handle Any value from a caller in JavaScript; the encoder refuses what is not a number.
   * @throws {CryptokiError} for a handle of an earlier connection.
   */
  toServer(named: Named, handle: unknown): unknown {
    if (typeof handle !== "number" || !(handle > 0)) return handle;
    if (handle > this.#offset) return handle - this.#offset;
    throw new CryptokiError(
      INVALID[named],
      "the connection to the server broke, which ended its sessions, logins and objects; open a session and log in again",
    );
  }
}

const cancelled = (cause: unknown): CryptokiError => new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause });

/** The first bytes from a server, after which the stream is paused; undefined if it ends without any. */
function firstChunk(stream: Duplex): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const end = (): void => {
      resolve(undefined);
    };
    stream.once("data", (chunk: Uint8Array) => {
      stream.pause();
      stream.off("end", end).off("close", end);
      resolve(chunk);
    });
    stream.once("end", end).once("close", end);
  });
}
