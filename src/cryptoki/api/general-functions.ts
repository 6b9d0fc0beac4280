import { Application, type ApplicationOptions } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import * as general from "../chapters/general.ts";
import { type CardAccess, SlotTable } from "../slots/slot-table.ts";
import type { CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_INTERFACE, CK_VERSION } from "../structures.ts";
import { checkedVersion } from "../versions.ts";
import type { CK_TRACE_CALLBACK, UlongBits } from "../trace/tracer.ts";
import { Calls } from "./calls.ts";

/** The way to the cards, or the slots of another Cryptoki to share. */
export type CryptokiOptions = (CardAccess | { readonly slots: SlotTable }) &
  Omit<ApplicationOptions, "version"> & {
    /**
     * What C_GetInfo says of the standard: one of {@link CRYPTOKI_VERSIONS}; default: 3.1. With 2.11 it says so of the library, too,
     * as applications expect that look for tokens with several PINs.
     */
    readonly version?: CK_VERSION;
    /** Hears of every call from the first on, and of what is wrong on cards; C_SetTraceCallback sets another. */
    readonly trace?: CK_TRACE_CALLBACK;
    /**
     * Bits of a CK_ULONG for who calls, which the first line of a trace tells; default: 32, because a CK_ULONG is a number from 0 to
     * 2^32 - 1 here. 64 for a server whose clients are C programs of a machine with 64 bits.
     */
    readonly ulongBits?: UlongBits;
  };

/** General purpose functions (PKCS#11 3.1 section 5.4). */
export abstract class GeneralFunctions extends Calls implements AsyncDisposable {
  /** The readers, cards and slot IDs, to be shared with others: `new Cryptoki({ slots: first.slots })`. */
  readonly slots: SlotTable;
  readonly #options: ApplicationOptions;

  /** @throws {CryptokiError} CKR_ARGUMENTS_BAD for a version that is not offered. */
  constructor(options: CryptokiOptions) {
    super(options.ulongBits ?? 32);
    this.slots = "slots" in options ? options.slots : new SlotTable(options);
    this.#options = { ...options, version: checkedVersion(options.version) };
    if (options.trace) this.tracer.listen(options.trace);
  }

  /**
   * Begins to follow the readers. A machine without readers, or without a smart-card service, is one without slots.
   * @throws {CryptokiError} CKR_CRYPTOKI_ALREADY_INITIALIZED.
   */
  C_Initialize(signal?: AbortSignal): Promise<void> {
    return this.callAnyTime("C_Initialize", signal, async () => {
      if (this.application) throw new CryptokiError(CKR.CRYPTOKI_ALREADY_INITIALIZED);
      const application = new Application(this.slots, this.#options, (finding, reader) => {
        this.tracer.find(finding, reader);
      });
      this.application = application;
      try {
        await application.start(signal);
      } catch (error) {
        if (this.application === application) this.application = undefined;
        throw error;
      }
    });
  }

  /**
   * Closes all sessions, after the calls under way, and the connections to the cards that no other application shares.
   * @param signal Ends the wait for the calls under way: they are left behind, and the application is over all the same.
   */
  C_Finalize(signal?: AbortSignal): Promise<void> {
    return this.call("C_Finalize", signal, (application) => {
      this.application = undefined;
      return application.end(signal);
    });
  }

  C_GetInfo(signal?: AbortSignal): Promise<CK_INFO> {
    return this.call("C_GetInfo", signal, general.getInfo);
  }

  /** The functions of version 2: names of methods of this object. At any time, also before {@link C_Initialize}. */
  C_GetFunctionList(signal?: AbortSignal): Promise<CK_FUNCTION_LIST> {
    return this.callAnyTime("C_GetFunctionList", signal, () => general.getFunctionList(this.#options.version));
  }

  /** The versions of the standard that are offered, the newest first, then the extensions. At any time. */
  C_GetInterfaceList(signal?: AbortSignal): Promise<CK_INTERFACE[]> {
    return this.callAnyTime("C_GetInterfaceList", signal, () => general.getInterfaceList(this.#options.version));
  }

  /**
   * One interface. At any time.
   * @param interfaceName "PKCS 11", which null means as well, or "Vendor cryptoki" for the extensions.
   * @param version Null for the newest.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is none.
   */
  C_GetInterface(
    interfaceName: string | null,
    version: CK_VERSION | null,
    flags: CK_FLAGS,
    signal?: AbortSignal,
  ): Promise<CK_INTERFACE> {
    return this.callAnyTime(
      "C_GetInterface",
      signal,
      (...wanted) => general.getInterface(this.#options.version, ...wanted),
      interfaceName,
      version,
      flags,
    );
  }

  /** {@link C_Finalize}, unless it was called already. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.application) await this.C_Finalize();
  }
}
