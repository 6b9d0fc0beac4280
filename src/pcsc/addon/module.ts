import { PcscError } from "../error.ts";
import { CardLock } from "../memory/slot.ts";

/**
 * A reader of the npm package `pcsclite` 1.0.1 (`lib/pcsclite.js`, `src/cardreader.cpp`), as far as it is used here.
 */
export interface AddonReader {
  readonly name: string;
  readonly connected: boolean;
  connect(
    options: { readonly share_mode: number; readonly protocol: number },
    done: (error: unknown, protocol: number) => void,
  ): void;
  disconnect(disposition: number, done: (error: unknown) => void): void;
  transmit(
    data: Uint8Array,
    length: number,
    protocol: number,
    done: (error: unknown, answer: Uint8Array) => void,
  ): void;
  control(data: Uint8Array, code: number, length: number, done: (error: unknown, answer: Uint8Array) => void): void;
  SCARD_CTL_CODE(code: number): number;
  on(event: "status", listener: (status: { readonly state: number; readonly atr?: Uint8Array }) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  close(): unknown;
}

/** A context of the package, with a thread that waits for changes of the readers (`src/pcsclite.cpp`). */
export interface AddonContext {
  /** The package calls it once, with a callback for each list of names, which are separated by zero bytes. */
  start(listed: (error: unknown, names?: Uint8Array) => void): void;
  on(event: "reader", listener: (reader: AddonReader) => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  close(): unknown;
}

/** The package's export. Throws if there is no service. */
export type AddonModule = () => AddonContext;

const PACKAGE = "pcsclite";

/**
 * Returns the package's function: from `loaded`, or from `import`.
 * @throws {PcscError} SCARD_E_NO_SERVICE with what to install.
 */
export async function loadAddon(loaded?: unknown): Promise<AddonModule> {
  let module = loaded;
  try {
    module ??= await import(PACKAGE);
  } catch (cause) {
    const detail =
      "the npm package pcsclite does not load; install it: npm install pcsclite@1.0.1 " +
      "(it builds native code: a C++ compiler and Python, on Linux also libpcsclite-dev)";
    throw new PcscError("SCARD_E_NO_SERVICE", detail, { cause });
  }
  if (isAddonModule(module)) return module;
  const inner = typeof module === "object" && module !== null && "default" in module ? module.default : undefined;
  if (isAddonModule(inner)) return inner;
  throw new PcscError("SCARD_E_NO_SERVICE", "the given module is not the npm package pcsclite");
}

function isAddonModule(value: unknown): value is AddonModule {
  return typeof value === "function";
}

const NO_BLOCKING = "PCSCLITE_NO_BLOCKING";

/**
 * Makes a context. libpcsclite waits for ever on another program's transaction, unless this variable is set when the
 * process makes its first context (`winscard_clnt.c`, `init_lib`). It is removed afterwards, so that started programs
 * do not inherit it.
 * @throws {PcscError} such as SCARD_E_NO_SERVICE.
 */
export function openContext(module: AddonModule): AddonContext {
  const before = process.env[NO_BLOCKING];
  process.env[NO_BLOCKING] = "1";
  try {
    return module();
  } catch (error) {
    throw addonError(error);
  } finally {
    if (before === undefined) Reflect.deleteProperty(process.env, NO_BLOCKING);
    else process.env[NO_BLOCKING] = before;
  }
}

/** SCARD_E_UNSUPPORTED_FEATURE has one number on Windows and another in pcsc-lite. */
const WINDOWS_UNSUPPORTED_FEATURE = 0x80100022;

/** Parses the addon's error texts, which end in the code: "SCardConnect error: ...(0x8010000c)". */
export function addonError(error: unknown): PcscError {
  if (error instanceof PcscError) return error;
  const text = String(error);
  const [, digits] = /\(0x(?:f{8})?([0-9a-f]{1,8})\)\s*$/iu.exec(text) ?? [];
  if (digits === undefined) return new PcscError("SCARD_F_INTERNAL_ERROR", text, { cause: error });
  const code = Number.parseInt(digits, 16);
  if (code === WINDOWS_UNSUPPORTED_FEATURE) {
    return new PcscError("SCARD_E_UNSUPPORTED_FEATURE", undefined, { cause: error });
  }
  const known = new PcscError(code, undefined, { cause: error });
  return known.codeName.startsWith("0x") ? new PcscError(code, text, { cause: error }) : known;
}

type AddonReaderClass = new (name: string) => AddonReader;

/**
 * The addon's reader objects for connections, one for each connection at a time, apart from those that the package
 * makes to watch: with those, the events of a connected reader would wait for its exchanges, and the whole process with
 * them.
 *
 * They are created once, reused and never released. Their destructor joins a thread whose number only the watching
 * methods set (`cardreader.cpp`): in these objects it is uninitialised memory.
 */
export class AddonCards {
  readonly #class: AddonReaderClass;
  readonly #all: AddonReader[] = [];
  readonly #idle = new Map<string, AddonReader[]>();
  readonly #locks = new Map<string, CardLock>();

  private constructor(readerClass: AddonReaderClass) {
    this.#class = readerClass;
  }

  static readonly #ofClass = new Map<unknown, AddonCards>();

  /** The objects of the same loaded addon as `reader`: the class is not exported. */
  static like(reader: AddonReader): AddonCards {
    const readerClass = reader.constructor as AddonReaderClass;
    const cards = AddonCards.#ofClass.get(readerClass) ?? new AddonCards(readerClass);
    AddonCards.#ofClass.set(readerClass, cards);
    return cards;
  }

  /** The lock for transactions, one per reader in this process. */
  lock(name: string): CardLock {
    const lock = this.#locks.get(name) ?? new CardLock();
    this.#locks.set(name, lock);
    return lock;
  }

  /** Returns an unconnected object, reserved until it is given back. `fresh`: never used before. */
  take(name: string, fresh = false): AddonReader {
    const used = fresh ? undefined : this.#idle.get(name)?.pop();
    if (used) return used;
    const made = new this.#class(name);
    this.#all.push(made);
    return made;
  }

  /** Takes an object back for the next connection, unless it could not be disconnected. */
  give(reader: AddonReader): void {
    if (reader.connected) return;
    const idle = this.#idle.get(reader.name) ?? [];
    idle.push(reader);
    this.#idle.set(reader.name, idle);
  }
}
