import { copySecret } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import {
  type Abi,
  abiOf,
  decodeTexts,
  encodeText,
  type NativeState,
  readNumber,
  ReaderStates,
  writeNumber,
} from "./abi.ts";
import { ThreadBudget } from "./threads.ts";

/** The npm package koffi, as far as it is used here. */
interface Koffi {
  load(library: string): {
    func(name: string, result: string, parameters: readonly string[]): NativeFunction;
  };
  address(memory: Uint8Array): bigint;
}

interface NativeFunction {
  /** Calls it in a thread of Node's pool. */
  async(...args: unknown[]): void;
}

const PACKAGE = "koffi";

/** Parameters: w a word, h a handle, p a pointer to memory. */
const FUNCTIONS = {
  SCardEstablishContext: "wppp",
  SCardReleaseContext: "h",
  SCardCancel: "h",
  SCardListReaders: "hppp",
  SCardGetStatusChange: "hwpw",
  SCardConnect: "hpwwpp",
  SCardReconnect: "hwwwp",
  SCardDisconnect: "hw",
  SCardBeginTransaction: "h",
  SCardEndTransaction: "hw",
  SCardTransmit: "hppwppp",
  SCardControl: "hwpwpwp",
  SCardGetAttrib: "hwpp",
  SCardStatus: "hpppppp",
} as const;

type FunctionName = keyof typeof FUNCTIONS;

/** SCARDCONTEXT and SCARDHANDLE. */
export type Handle = number;

const SCOPE_SYSTEM = 2;
/** pcsc-lite's limit for commands and answers (MAX_BUFFER_SIZE_EXTENDED), in bytes; more than any APDU. */
export const MAX_PAYLOAD = 65_548;
/** libpcsclite refuses a longer buffer (MAX_BUFFER_SIZE). */
const MAX_ATTRIBUTE = 264;
/** Bytes for the reader's name, which SCardStatus wants to tell. */
const MAX_NAME = 1_024;
const MAX_ATR = 36;
/** The list of readers as UTF-8 or UTF-16, in bytes. */
const MAX_LIST = 32_768;
/** How often the list is asked for again if it grew meanwhile. */
const LIST_TRIES = 3;

/** SCARD_E_UNSUPPORTED_FEATURE has one number on Windows and another in pcsc-lite; and errors of Windows itself (winerror.h). */
const OTHER_CODES: ReadonlyMap<number, ConstructorParameters<typeof PcscError>[0]> = new Map([
  [0x8010_0022, "SCARD_E_UNSUPPORTED_FEATURE"],
  [6, "SCARD_E_INVALID_HANDLE"],
  [22, "SCARD_W_REMOVED_CARD"],
  [31, "SCARD_F_COMM_ERROR"],
  [50, "SCARD_E_UNSUPPORTED_FEATURE"],
  [1117, "SCARD_F_COMM_ERROR"],
  [1167, "SCARD_E_READER_UNAVAILABLE"],
]);

/** A connection as SCardConnect and SCardStatus tell it. */
export interface Connected {
  readonly card: Handle;
  readonly protocol: number;
}

/** The functions of the system's PC/SC library, each as a promise. Every rejection is a {@link PcscError}. */
export class Winscard {
  readonly abi: Abi;
  readonly threads = new ThreadBudget();
  readonly #koffi: Koffi;
  readonly #functions = new Map<FunctionName, NativeFunction>();
  /** Arguments of calls that run: their memory must not be freed. */
  readonly #inUse = new Set<unknown>();
  #initialised: Promise<unknown> | undefined;

  /** @throws {PcscError} SCARD_E_NO_SERVICE if the system has no such library. */
  constructor(koffi: Koffi, abi: Abi) {
    this.abi = abi;
    this.#koffi = koffi;
    const library = loadFirst(koffi, abi.libraries);
    const types = { w: abi.word, h: abi.handle, p: "void *" } as const;
    for (const [name, parameters] of Object.entries(FUNCTIONS)) {
      const list = Array.from(parameters, (letter) => types[letter as keyof typeof types]);
      this.#functions.set(name as FunctionName, library.func(abi.names[name] ?? name, abi.result, list));
    }
  }

  /** Makes a context. Calls in one context run one after the other, so each connection has its own. */
  async establish(): Promise<Handle> {
    // The first one initialises the library, see withoutBlocking.
    this.#initialised ??= withoutBlocking(() => this.#establish().then((context) => this.release(context)));
    await this.#initialised.catch(() => {
      this.#initialised = undefined;
    });
    return this.#establish();
  }

  async #establish(): Promise<Handle> {
    const { handleSize } = this.abi;
    const context = new Cell(handleSize);
    await this.#call("SCardEstablishContext", SCOPE_SYSTEM, null, null, context.memory);
    return context.value;
  }

  async release(context: Handle): Promise<void> {
    await this.#call("SCardReleaseContext", context);
  }

  /** Ends the waiting {@link statusChange} of a context. */
  async cancel(context: Handle): Promise<void> {
    await this.#callNow("SCardCancel", context);
  }

  /** The names of the readers. */
  async listReaders(context: Handle): Promise<string[]> {
    for (let tries = 1; ; tries++) {
      const length = new Cell(this.abi.wordSize);
      const list = memory(MAX_LIST);
      // The list's length counts characters.
      length.value = this.abi.wide ? MAX_LIST / 2 : MAX_LIST;
      try {
        await this.#call("SCardListReaders", context, null, list, length.memory);
        return decodeTexts(this.abi, list.subarray(0, length.value * (this.abi.wide ? 2 : 1)));
      } catch (error) {
        if (error instanceof PcscError && error.is("SCARD_E_NO_READERS_AVAILABLE")) return [];
        const grew = error instanceof PcscError && error.is("SCARD_E_INSUFFICIENT_BUFFER");
        if (!grew || tries === LIST_TRIES) throw error;
      }
    }
  }

  /** Memory for {@link statusChange}. */
  readerStates(names: readonly string[]): ReaderStates {
    const texts = names.map((name) => copySecret(encodeText(this.abi, name)));
    return new ReaderStates(this.abi, texts, (text) => this.#koffi.address(text));
  }

  /** The states now, without waiting: expect nothing of them. */
  async states(context: Handle, names: readonly string[]): Promise<readonly NativeState[]> {
    if (names.length === 0) return [];
    const states = this.readerStates(names);
    try {
      await this.#call("SCardGetStatusChange", context, 0, states.memory, states.length);
    } catch (error) {
      if (!(error instanceof PcscError && error.is("SCARD_E_TIMEOUT"))) throw error;
    }
    return names.map((_, index) => states.found(index));
  }

  /**
   * Waits until a state is not the expected one. Do not call it twice at a time: it keeps a thread of Node's pool.
   * @returns False after `milliseconds` without a change, and after {@link cancel}.
   */
  async statusChange(context: Handle, milliseconds: number, states: ReaderStates): Promise<boolean> {
    try {
      await this.#callNow("SCardGetStatusChange", context, milliseconds, states.memory, states.length);
      return true;
    } catch (error) {
      if (error instanceof PcscError && error.is("SCARD_E_TIMEOUT", "SCARD_E_CANCELLED")) return false;
      throw error;
    }
  }

  async connect(context: Handle, reader: string, share: number, protocols: number): Promise<Connected> {
    const card = new Cell(this.abi.handleSize);
    const protocol = new Cell(this.abi.wordSize);
    const name = encodeText(this.abi, reader);
    const wanted = this.#toNative(protocols);
    await this.#call("SCardConnect", context, name, share, wanted, card.memory, protocol.memory);
    return { card: card.value, protocol: this.#fromNative(protocol.value) };
  }

  /** @returns The protocol. */
  async reconnect(card: Handle, share: number, protocols: number, initialization: number): Promise<number> {
    const protocol = new Cell(this.abi.wordSize);
    await this.#call("SCardReconnect", card, share, this.#toNative(protocols), initialization, protocol.memory);
    return this.#fromNative(protocol.value);
  }

  async disconnect(card: Handle, disposition: number): Promise<void> {
    await this.#call("SCardDisconnect", card, disposition);
  }

  async begin(card: Handle): Promise<void> {
    await this.#call("SCardBeginTransaction", card);
  }

  async end(card: Handle, disposition: number): Promise<void> {
    await this.#call("SCardEndTransaction", card, disposition);
  }

  /** The answer to reset. @throws {PcscError} SCARD_W_RESET_CARD, SCARD_W_REMOVED_CARD. */
  async atr(card: Handle): Promise<Uint8Array> {
    const { wordSize, wide } = this.abi;
    const [nameLength, state, protocol, atrLength] = [0, 1, 2, 3].map(() => new Cell(wordSize)) as [
      Cell,
      Cell,
      Cell,
      Cell,
    ];
    const name = memory(MAX_NAME);
    nameLength.value = wide ? MAX_NAME / 2 : MAX_NAME;
    const atr = memory(MAX_ATR);
    atrLength.value = MAX_ATR;
    const cells = [nameLength.memory, state.memory, protocol.memory, atr, atrLength.memory];
    await this.#call("SCardStatus", card, name, ...cells);
    return atr.slice(0, Math.min(atrLength.value, MAX_ATR));
  }

  /**
   * @param command Must not change until the answer.
   * @param room Memory for the answer, of {@link MAX_PAYLOAD} bytes; it must not be used until then.
   * @returns The part of `room` with the answer.
   */
  async transmit(card: Handle, protocol: number, command: Uint8Array, room: Uint8Array): Promise<Uint8Array> {
    const { wordSize, ioRequestSize } = this.abi;
    const request = new DataView(new ArrayBuffer(ioRequestSize));
    writeNumber(request, 0, wordSize, BigInt(this.#toNative(protocol)));
    writeNumber(request, wordSize, wordSize, BigInt(ioRequestSize));
    const length = new Cell(wordSize);
    length.value = room.length;
    const header = new Uint8Array(request.buffer);
    await this.#call("SCardTransmit", card, header, command, command.length, null, room, length.memory);
    return room.subarray(0, Math.min(length.value, room.length));
  }

  /** As {@link transmit}. @param code As pcsc-lite has it. */
  async control(card: Handle, code: number, data: Uint8Array, room: Uint8Array): Promise<Uint8Array> {
    const length = new Cell(this.abi.wordSize);
    const native = this.abi.controlCode(code) >>> 0;
    await this.#call("SCardControl", card, native, data, data.length, room, room.length, length.memory);
    return room.subarray(0, Math.min(length.value, room.length));
  }

  async attribute(card: Handle, id: number): Promise<Uint8Array> {
    const length = new Cell(this.abi.wordSize);
    const value = memory(MAX_ATTRIBUTE);
    length.value = MAX_ATTRIBUTE;
    await this.#call("SCardGetAttrib", card, id, value, length.memory);
    return value.slice(0, Math.min(length.value, MAX_ATTRIBUTE));
  }

  #toNative(protocols: number): number {
    return (protocols & ~RAW) | ((protocols & RAW) === 0 ? 0 : this.abi.raw);
  }

  #fromNative(protocol: number): number {
    return protocol === this.abi.raw ? RAW : protocol;
  }

  #call(name: FunctionName, ...args: unknown[]): Promise<void> {
    return this.threads.run(() => this.#callNow(name, ...args));
  }

  /** Calls a function without a place among the threads. The arguments stay in memory until its end. */
  #callNow(name: FunctionName, ...args: unknown[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#inUse.add(args);
      this.#functions.get(name)?.async(...args, (error: unknown, result: number | bigint | undefined) => {
        this.#inUse.delete(args);
        const code = Number(BigInt.asUintN(32, BigInt(result ?? 0)));
        if (error) reject(new PcscError("SCARD_F_INTERNAL_ERROR", `koffi cannot call ${name}`, { cause: error }));
        else if (code === 0) resolve();
        else reject(new PcscError(OTHER_CODES.get(code) ?? code));
      });
    });
  }
}

/** SCARD_PROTOCOL.RAW. */
const RAW = 4;

/** Memory for one number that a function returns. */
class Cell {
  readonly memory: Uint8Array;
  readonly #view: DataView;
  readonly #size: 4 | 8;

  constructor(size: 4 | 8) {
    this.memory = memory(size);
    this.#view = new DataView(this.memory.buffer);
    this.#size = size;
  }

  get value(): number {
    return readNumber(this.#view, 0, this.#size);
  }

  set value(value: number) {
    writeNumber(this.#view, 0, this.#size, BigInt(value));
  }
}

/** Memory that does not move: V8 keeps small typed arrays on its heap. */
export function memory(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

const NO_BLOCKING = "PCSCLITE_NO_BLOCKING";

/**
 * libpcsclite waits for ever on another program's transaction, unless this variable is set when the process makes its first context
 * (`winscard_clnt.c`, `init_lib`). It is removed afterwards, so that started programs do not inherit it.
 */
async function withoutBlocking<T>(work: () => Promise<T>): Promise<T> {
  const before = process.env[NO_BLOCKING];
  process.env[NO_BLOCKING] = "1";
  try {
    return await work();
  } finally {
    if (before === undefined) Reflect.deleteProperty(process.env, NO_BLOCKING);
    else process.env[NO_BLOCKING] = before;
  }
}

function loadFirst(koffi: Koffi, libraries: readonly string[]): ReturnType<Koffi["load"]> {
  let cause: unknown;
  for (const library of libraries) {
    try {
      return koffi.load(library);
    } catch (error) {
      cause ??= error;
    }
  }
  const detail = `this system's PC/SC library (${libraries.join(" or ")}) does not load`;
  throw new PcscError("SCARD_E_NO_SERVICE", detail, { cause });
}

/** One for each koffi: its calls share the threads, and one call waits for changes. */
const loaded = new Map<unknown, Winscard>();

/**
 * Loads koffi and the system's library.
 * @param given The package koffi, if it is loaded already; otherwise it is imported.
 * @throws {PcscError} SCARD_E_NO_SERVICE with what to install.
 */
export async function loadWinscard(given?: unknown): Promise<Winscard> {
  const koffi = given ?? (await importKoffi());
  if (!isKoffi(koffi)) throw new PcscError("SCARD_E_NO_SERVICE", "the given module is not the npm package koffi");
  const winscard = loaded.get(koffi) ?? new Winscard(koffi, abiOf(process.platform, pointerSize()));
  loaded.set(koffi, winscard);
  return winscard;
}

async function importKoffi(): Promise<unknown> {
  try {
    const module: unknown = await import(PACKAGE);
    return typeof module === "object" && module !== null && "default" in module ? module.default : module;
  } catch (cause) {
    const detail =
      "the npm package koffi does not load; install it: npm install koffi " +
      "(it has programs for each system in its packages, so --ignore-scripts is possible)";
    throw new PcscError("SCARD_E_NO_SERVICE", detail, { cause });
  }
}

function isKoffi(value: unknown): value is Koffi {
  return typeof value === "object" && value !== null && "load" in value && "address" in value;
}

/** Of this process. */
function pointerSize(): 4 | 8 {
  return ["arm", "ia32", "mips", "mipsel", "ppc", "s390"].includes(process.arch) ? 4 : 8;
}
