import { CKR, Cryptoki, CryptokiError, type CryptokiFunctions } from "../../cryptoki/index.ts";
import { parseServerAddress } from "../address.ts";
import { type Call, CALLS } from "../wire/calls.ts";
import { DEFAULT_MESSAGE_LIMIT } from "../wire/frame.ts";
import type { Reply, Request } from "../wire/message.ts";
import { fetchAttributes } from "./attributes.ts";
import { Link } from "./link.ts";

/** The newest version of the protocol that is spoken here. */
const VERSION = 2;
/** Milliseconds that a socket may take to answer the first byte. */
const PATIENCE = 10_000;
/** Bytes of room for what a function puts out, besides as much as went in. */
const OUTPUT_ROOM = 16 * 1024;
/** Numbers of room for a list. */
const LIST_ROOM = 512;

export interface P11KitOptions {
  /** As P11_KIT_SERVER_ADDRESS has it: `unix:path=/...`, or a command that speaks for a server, `|ssh host p11-kit remote ...`. */
  readonly address: string;
  /** The newest version of the protocol to offer: 0, 1 or 2. 2 unless told. */
  readonly version?: number;
  /** Bytes that an answer may have; 16 MiB unless told. */
  readonly messageLimit?: number;
}

/** The C_ functions of PKCS#11, made from the description of the protocol's calls. */
const RemoteFunctions = Object as unknown as new () => CryptokiFunctions;

/**
 * Any PKCS#11 module behind a server of p11-kit's protocol, with the same functions as a {@link Cryptoki} over cards. It is reached
 * with C_Initialize and left with C_Finalize; calls may be made side by side, and an AbortSignal ends the wait for one.
 *
 *     const hsm = new P11KitModule({ address: "unix:path=/run/user/1000/p11-kit/pkcs11" });
 *     await hsm.C_Initialize();
 *     const slots = await hsm.C_GetSlotList(true);
 *
 * What is not CKR_OK is thrown, as {@link CryptokiError}; a connection that breaks is CKR_DEVICE_ERROR, from then on.
 */
export class P11KitModule extends RemoteFunctions implements AsyncDisposable {
  readonly #options: P11KitOptions;
  #link: Promise<Link> | undefined;

  /** @throws {DataError} if the address is none. */
  constructor(options: P11KitOptions) {
    super();
    parseServerAddress(options.address);
    this.#options = options;
  }

  static {
    for (const name of functionNames()) {
      Object.defineProperty(P11KitModule.prototype, name, {
        configurable: true,
        writable: true,
        value: async function (this: P11KitModule, ...args: readonly unknown[]): Promise<unknown> {
          if (name === "C_Initialize") return this.#initialize();
          if (name === "C_Finalize") return this.#finalize();
          return this.#invoke(name, args);
        },
      });
    }
  }

  /** {@link C_Finalize}, unless it was called already. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#link) await this.#finalize();
  }

  async #initialize(): Promise<void> {
    if (this.#link) throw new CryptokiError(CKR.CRYPTOKI_ALREADY_INITIALIZED);
    const link = this.#open();
    this.#link = link;
    try {
      await link;
    } catch (cause) {
      if (this.#link === link) this.#link = undefined;
      if (cause instanceof CryptokiError) throw cause;
      const reason = cause instanceof Error ? cause.message : "";
      throw new CryptokiError(CKR.GENERAL_ERROR, `no connection to the server: ${reason}`, { cause });
    }
  }

  async #open(): Promise<Link> {
    const { address, version = VERSION, messageLimit = DEFAULT_MESSAGE_LIMIT } = this.#options;
    const link = await Link.open({ address: parseServerAddress(address), version, messageLimit, patience: PATIENCE });
    try {
      await link.call(requestFor(callOf("C_Initialize", 0), []));
      return link;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  async #finalize(): Promise<void> {
    const link = await this.#connected();
    this.#link = undefined;
    try {
      // The end of the connection says the same, and what is broken has ended already.
      await link.call(requestFor(callOf("C_Finalize", 0), [])).catch(() => undefined);
    } finally {
      await link.close();
    }
  }

  #connected(): Promise<Link> {
    return this.#link ?? Promise.reject(new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED));
  }

  async #invoke(name: string, args: readonly unknown[]): Promise<unknown> {
    const link = await this.#connected();
    if (PARALLEL.has(name)) throw new CryptokiError(CKR.FUNCTION_NOT_PARALLEL);
    const call = callOf(name, link.dialect.offered);
    const count = call.request.filter(({ role }) => role !== "room" && role !== "constant").length;
    const signal = args[count];
    const ask = (room = 0, wanted: Request["wanted"] = [], own = args): Promise<Reply> =>
      link.call(
        requestFor(call, own.slice(0, count), room, wanted),
        signal instanceof AbortSignal ? signal : undefined,
      );

    if (call.result.kind === "attributes") {
      return fetchAttributes(args[2] as readonly number[], link.dialect, (wanted) => ask(0, wanted));
    }
    const amount = call.request.findIndex(({ role }) => role === "amount");
    if (amount >= 0)
      return call.result.kind === "list" ? findAll(args[amount], ask) : given(await ask(asRoom(args[amount])));
    if (call.result.kind === "list") return withRoom(LIST_ROOM, ask);
    if (call.result.kind !== "bytes") return given(await ask());
    const input = args.reduce<number>((sum, arg) => sum + (arg instanceof Uint8Array ? arg.length : 0), 0);
    const output = await withRoom(input + OUTPUT_ROOM, ask);
    return name === "C_SignMessageNext" && args[LAST] !== true ? undefined : output;
  }
}

/** C_SignMessageNext's argument that says whether its part is the last. */
const LAST = 3;

/** What is left of functions that ran in parallel (PKCS#11 3.1 section 5.20). */
const PARALLEL: ReadonlySet<string> = new Set(["C_GetFunctionStatus", "C_CancelFunction"]);

/** All C_ functions that the facade has: those that the protocol does not carry are refused one by one. */
function functionNames(): ReadonlySet<string> {
  const names = new Set(CALLS.map((call) => call.function));
  for (let at: object | null = Cryptoki.prototype; at; at = Object.getPrototypeOf(at) as object | null) {
    for (const name of Object.getOwnPropertyNames(at)) if (name.startsWith("C_")) names.add(name);
  }
  return names;
}

/** The newest call for a function that both ends know. @throws {CryptokiError} CKR_FUNCTION_NOT_SUPPORTED. */
function callOf(name: string, agreed: number): Call {
  const call = CALLS.findLast((one) => one.function === name && one.portable && one.since <= agreed);
  if (!call) throw new CryptokiError(CKR.FUNCTION_NOT_SUPPORTED, "p11-kit's protocol does not carry this function");
  return call;
}

const requestFor = (call: Call, args: readonly unknown[], room = 0, wanted: Request["wanted"] = []): Request => ({
  call,
  args,
  room,
  wanted,
});

/** What a reply gives to the caller. */
function given(reply: Reply): unknown {
  switch (reply.kind) {
    case "nothing":
      return undefined;
    case "number":
    case "structure":
      return reply.value;
    case "bytes":
      if ("bytes" in reply.value) return reply.value.bytes;
      // p11-kit's server takes no room for no result.
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
  throw new CryptokiError(CKR.DEVICE_ERROR, "the server finds no room enough");
}

/** Asks with some room, and if that is not enough with as much as the server says. */
async function withRoom(room: number, ask: (room: number) => Promise<Reply>): Promise<unknown> {
  const reply = await ask(room);
  const { value } = reply as { readonly value?: { readonly needed?: number } };
  const needed = value?.needed ?? 0;
  return given(needed > room ? await ask(needed) : reply);
}

function asRoom(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 0xffffffff) return value;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "an amount is a whole number");
}

/** C_FindObjects: as many as the caller wants, all unless it says. */
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
