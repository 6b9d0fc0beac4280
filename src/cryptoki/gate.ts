import { CHANNELS } from "../channels/index.ts";
import { type CallOptions, signalOf, throwIfAborted, untilAborted } from "../async/index.ts";
import type { ApplicationOptions } from "./application.ts";
import type { AnyChapter, AnyEntry, Module } from "./chapter.ts";
import { CKR } from "./constants/ckr.ts";
import { cancelled, CryptokiError, toCryptokiError } from "./errors.ts";
import { type CardAccess, SlotTable } from "./slots/slot-table.ts";
import type { CK_VERSION, FunctionName } from "./structures.ts";
import { type CK_TRACE_CALLBACK, Tracer, type UlongBits } from "./trace/tracer.ts";
import { checkedVersion } from "./versions.ts";

/** The connection to the cards, or the slots of another Cryptoki to share. */
export type CryptokiOptions = (CardAccess | { readonly slots: SlotTable }) &
  Omit<ApplicationOptions, "version"> & {
    /**
     * The version that C_GetInfo reports: one of {@link CRYPTOKI_VERSIONS}; default: 3.1. With 2.11 the library reports
     * 2.11 too, as applications expect that look for tokens with several PINs.
     */
    readonly version?: CK_VERSION;
    /** Receives every call from the first on, and every finding on cards; C_SetTraceCallback replaces it. */
    readonly trace?: CK_TRACE_CALLBACK;
    /**
     * Bits of the caller's CK_ULONG, which the first line of a trace states; default: 32, because a CK_ULONG is a
     * number from 0 to 2^32 - 1 here. 64 for a server with C programs of a 64-bit machine as clients.
     */
    readonly ulongBits?: UlongBits;
  };

/**
 * Every call of a function passes here: it is traced, and every lower error becomes a {@link CryptokiError}.
 *
 * Only here the `signal` of a caller's options ends its wait, at once and whatever hangs: CKR_FUNCTION_CANCELED. A
 * function that has begun is finished in the background; its body gets the signal itself, to leave a queue.
 */
export class Gate {
  /** The readers, cards and slot IDs, for sharing: `new Cryptoki({ slots: first.slots })`. */
  readonly slots: SlotTable;
  readonly #module: Module;

  /** @throws {CryptokiError} CKR_ARGUMENTS_BAD for a version that is not offered. */
  protected constructor(options: CryptokiOptions, chapters: readonly AnyChapter[]) {
    const tracer = new Tracer(options.ulongBits ?? 32);
    this.slots = "slots" in options ? options.slots : new SlotTable(options);
    const own = { ...options, version: checkedVersion(options.version) };
    this.#module = { slots: this.slots, options: own, tracer, chapters, application: undefined };
    if (options.trace) tracer.listen(options.trace);
  }

  /** Gives a class the functions of `chapters` as methods. @internal */
  protected static bind(prototype: Gate, chapters: readonly AnyChapter[]): void {
    for (const { functions } of chapters) {
      for (const [name, entry] of Object.entries(functions)) {
        const method = function (this: Gate, ...args: unknown[]): Promise<unknown> {
          const { tracer } = this.#module;
          const { call, callStart, error } = CHANNELS;
          const observed = call.hasSubscribers || callStart.hasSubscribers || error.hasSubscribers;
          if (!observed && !tracer.listening) return this.#run(entry, args);
          return tracer.trace(name as FunctionName, entry, args, () => this.#run(entry, args));
        };
        Object.defineProperty(method, "name", { value: name });
        Object.defineProperty(method, "length", { value: entry.parameters.length });
        Object.defineProperty(prototype, name, { value: method, configurable: true, writable: true });
      }
    }
  }

  async #run(entry: AnyEntry, args: unknown[]): Promise<unknown> {
    try {
      const count = entry.parameters.length;
      const signal = signalOf(args[count] as CallOptions | undefined, badArgument);
      throwIfAborted(signal, cancelled);
      // A caller in JavaScript may leave arguments out; the signal comes after all of them.
      const values = args.slice(0, count);
      while (values.length < count) values.push(undefined);
      const { application } = this.#module;
      if (!entry.anyTime && !application) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED);
      const work = entry.anyTime
        ? entry.anyTime(this.#module, ...values, signal)
        : application && entry.body?.(application, ...values, signal);
      // A result that is there already needs no wait.
      return work instanceof Promise ? await untilAborted(work as Promise<unknown>, signal, cancelled) : work;
    } catch (error) {
      throw toCryptokiError(error);
    }
  }

  /** From C_Initialize to C_Finalize. */
  protected get isInitialized(): boolean {
    return this.#module.application !== undefined;
  }
}

const badArgument = (problem: string): CryptokiError => new CryptokiError(CKR.ARGUMENTS_BAD, problem);
