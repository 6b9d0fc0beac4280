import { CKR, CryptokiError, type CryptokiFunctions, FUNCTIONS } from "../../cryptoki/index.ts";
import { parseServerAddress } from "../address.ts";
import { type CallOptions, signalOf, throwIfAborted } from "../../async/index.ts";
import { type Call, callsOf } from "../wire/calls.ts";
import { DEFAULT_MESSAGE_LIMIT } from "../wire/frame.ts";
import type { Reply, Request } from "../wire/message.ts";
import { fetchAttributes } from "./attributes.ts";
import { type Connection, Connections } from "./connections.ts";
import type { Handles } from "./link.ts";

/** The newest version of the protocol that this client speaks. */
const VERSION = 2;
/** Milliseconds for connecting: a command such as ssh may ask for a password. */
const PATIENCE = { unix: 10_000, command: 120_000 } as const;
/** Bytes of room for an output, in addition to the length of the input. */
const OUTPUT_ROOM = 16 * 1024;
/** Entries of room for a list. */
const LIST_ROOM = 512;

export interface P11KitOptions {
  /**
   * As in P11_KIT_SERVER_ADDRESS: `unix:path=/...`, or a command that speaks the protocol, `|ssh host p11-kit remote
   * ...`.
   */
  readonly address: string;
  /** The newest version of the protocol to offer: 0, 1 or 2. Default: 2. */
  readonly version?: number;
  /** Most bytes of an answer; default: 16 MiB. */
  readonly messageLimit?: number;
  /**
   * Milliseconds for connecting, including the server's answer to C_Initialize. Default: 10,000, or 120,000 for a
   * command.
   */
  readonly patience?: number;
}

/**
 * Any PKCS#11 module behind a server of p11-kit's protocol, with the same functions as a `Cryptoki` over cards. It is reached
 * with C_Initialize and left with C_Finalize; calls may be made side by side, and the `signal` of a call's options ends the wait for it.
 *
 *     const hsm = new P11KitModule({ address: "unix:path=/run/user/1000/p11-kit/pkcs11" });
 *     await hsm.C_Initialize();
 *     const slots = await hsm.C_GetSlotList(true);
 *
 * Any result but CKR_OK is thrown as {@link CryptokiError}. When the connection breaks, the pending calls fail with
 * CKR_DEVICE_ERROR; none is sent again, because the server may have carried it out. The next call connects anew, and
 * fails with CKR_DEVICE_ERROR as long as there is no server. Sessions, logins and objects ended with their connection:
 * an earlier session is CKR_SESSION_HANDLE_INVALID, an object CKR_OBJECT_HANDLE_INVALID, a key CKR_KEY_HANDLE_INVALID.
 * Handles are never reused.
 */
// Its methods come from the interface of the same name, and are bound one by one.
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class P11KitModule implements AsyncDisposable {
  readonly #options: P11KitOptions;
  /** From C_Initialize to C_Finalize. */
  #connections: Connections | undefined;

  /** @throws {DataError} if the address is malformed. */
  constructor(options: P11KitOptions) {
    parseServerAddress(options.address);
    this.#options = options;
  }

  static {
    for (const [name, { parameters }] of FUNCTIONS) {
      const calls = callsOf(name);
      Object.defineProperty(P11KitModule.prototype, name, {
        configurable: true,
        writable: true,
        value: async function (this: P11KitModule, ...args: readonly unknown[]): Promise<unknown> {
          const signal = signalOf(args[parameters.length] as CallOptions | undefined, badArgument);
          if (name === "C_Initialize") return this.#initialize(signal);
          if (name === "C_Finalize") return this.#finalize(signal);
          return this.#invoke(calls, name, args, signal);
        },
      });
    }
  }

  /** Calls {@link C_Finalize} if necessary. Also ends a C_Initialize that waits for its server. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#connections) await this.#finalize();
  }

  async #initialize(signal?: AbortSignal): Promise<void> {
    if (this.#connections) throw new CryptokiError(CKR.CRYPTOKI_ALREADY_INITIALIZED);
    const { address, version = VERSION, messageLimit = DEFAULT_MESSAGE_LIMIT } = this.#options;
    const server = parseServerAddress(address);
    const patience = this.#options.patience ?? PATIENCE[server.kind];
    const connections = new Connections({ address: server, version, messageLimit, patience });
    this.#connections = connections;
    try {
      await connected(connections, CKR.GENERAL_ERROR, signal);
    } catch (error) {
      if (this.#connections === connections) this.#connections = undefined;
      await connections.close(AbortSignal.abort());
      throw error;
    }
  }

  async #finalize(signal?: AbortSignal): Promise<void> {
    const connections = this.#connections;
    if (!connections) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED);
    this.#connections = undefined;
    await connections.close(signal);
  }

  /** @param calls The call of the function in each version of the protocol. */
  async #invoke(
    calls: ReturnType<typeof callsOf>,
    name: string,
    args: readonly unknown[],
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const connections = this.#connections;
    if (!connections) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED);
    if (PARALLEL.has(name)) throw new CryptokiError(CKR.FUNCTION_NOT_PARALLEL);
    const { link, handles } = connections.open ?? (await connected(connections, CKR.DEVICE_ERROR, signal));
    const call = calls[Math.min(link.dialect.offered, calls.length - 1)];
    if (!call) throw new CryptokiError(CKR.FUNCTION_NOT_SUPPORTED, "p11-kit's protocol does not carry this function");
    const own: unknown[] = [];
    for (const part of call.parameters) {
      const arg = args[own.length];
      own.push("names" in part ? handles.toServer(part.names, arg) : arg);
    }
    const ask = async (room = 0, wanted: Request["wanted"] = []): Promise<Reply> => {
      const reply = await link.call({ call, args: own, room, wanted }, signal);
      return reply.kind === "bytes" ? reply : withHandles(reply, call, handles);
    };

    if (call.result.kind === "attributes") {
      return fetchAttributes(args[2] as readonly number[], link.dialect, (wanted) => ask(0, wanted));
    }
    if (call.amountAt >= 0) {
      const amount = args[call.amountAt];
      return call.result.kind === "list" ? findAll(amount, ask) : given(await ask(asRoom(amount)));
    }
    if (call.result.kind === "list") return withRoom(LIST_ROOM, ask);
    if (call.result.kind !== "bytes") return given(await ask());
    let room = OUTPUT_ROOM;
    for (const arg of args) if (arg instanceof Uint8Array) room += arg.length;
    const output = await withRoom(room, ask);
    return name === "C_SignMessageNext" && args[LAST] !== true ? undefined : output;
  }
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type -- declares the methods of the class
export interface P11KitModule extends CryptokiFunctions {}

const badArgument = (problem: string): CryptokiError => new CryptokiError(CKR.ARGUMENTS_BAD, problem);

/** @param rv The error if there is no connection. @throws {CryptokiError} only. */
async function connected(connections: Connections, rv: number, signal?: AbortSignal): Promise<Connection> {
  throwIfAborted(signal, cancelled);
  try {
    return await connections.get(signal);
  } catch (cause) {
    throwIfAborted(signal, cancelled);
    if (cause instanceof CryptokiError) throw cause;
    const reason = cause instanceof Error ? cause.message : "";
    throw new CryptokiError(rv, `no connection to the server: ${reason}`, { cause });
  }
}

const cancelled = (cause: unknown): CryptokiError => new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause });

/** Replaces the handles in the reply by the caller's. */
function withHandles(reply: Reply, { result }: Call, handles: Handles): Reply {
  const own = (handle: number): number => handles.toCaller(handle);
  switch (reply.kind) {
    case "number":
      return result.kind === "number" && result.isHandle ? { ...reply, value: own(reply.value) } : reply;
    case "list":
      return result.kind === "list" && result.areHandles && "list" in reply.value
        ? { ...reply, value: { list: reply.value.list.map(own) } }
        : reply;
    case "key pair":
      return { ...reply, publicKey: own(reply.publicKey), privateKey: own(reply.privateKey) };
    case "derived key":
      return { ...reply, key: own(reply.key) };
    default:
      return reply;
  }
}

/** C_SignMessageNext's argument for the last part. */
const LAST = 3;

/** The functions for parallel execution, which only return an error (PKCS#11 3.1 section 5.20). */
const PARALLEL: ReadonlySet<string> = new Set(["C_GetFunctionStatus", "C_CancelFunction"]);

/** Returns the reply in the caller's form. */
function given(reply: Reply): unknown {
  switch (reply.kind) {
    case "nothing":
      return undefined;
    case "number":
    case "structure":
      return reply.value;
    case "bytes":
      if ("bytes" in reply.value) return reply.value.bytes;
      // p11-kit's server does not accept an output buffer of 0 bytes.
      if (reply.value.needed === 0) return new Uint8Array();
      break;
    case "list":
      if ("list" in reply.value) return [...reply.value.list];
      if (reply.value.needed === 0) return [];
      break;
    case "key pair":
      return { publicKey: reply.publicKey, privateKey: reply.privateKey };
    case "derived key":
      return reply.key;
    case "attributes":
  }
  throw new CryptokiError(CKR.DEVICE_ERROR, "the server reports every buffer as too small");
}

/** Calls with some room, and if that is too small again with as much as the server requires. */
async function withRoom(room: number, ask: (room: number) => Promise<Reply>): Promise<unknown> {
  const reply = await ask(room);
  const { value } = reply as { readonly value?: { readonly needed?: number } };
  const needed = value?.needed ?? 0;
  return given(needed > room ? await ask(needed) : reply);
}

function asRoom(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 0xffffffff) return value;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "the maximum must be a whole number");
}

/** C_FindObjects: returns up to the given number, default all. */
async function findAll(max: unknown, ask: (room: number) => Promise<Reply>): Promise<unknown> {
  const limit = max === undefined || max === Infinity ? Infinity : asRoom(max);
  const found: unknown[] = [];
  for (;;) {
    const room = Math.min(LIST_ROOM, limit - found.length);
    const some = given(await ask(room)) as readonly unknown[];
    found.push(...some);
    if (some.length < room || found.length >= limit) return found;
  }
}
