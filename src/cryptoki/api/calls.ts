import { throwIfAborted, untilAborted } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError, toCryptokiError } from "../errors.ts";
import type { FunctionName } from "../function-table.ts";
import { Tracer, type UlongBits } from "../trace/tracer.ts";

/**
 * The gate that every function of an application goes through. The chapters of the standard stand above it, one on another.
 *
 * Here alone an AbortSignal ends the wait of a caller, at once and whatever hangs: CKR_FUNCTION_CANCELED. A function that has begun
 * is finished behind its caller; it gets the signal as well, to leave a line that it stands in.
 */
export abstract class Calls {
  /** From C_Initialize to C_Finalize. */
  protected application: Application | undefined;
  /** Records every call. */
  protected readonly tracer: Tracer;

  /** @param bits Of a CK_ULONG, for the trace. */
  constructor(bits: UlongBits) {
    this.tracer = new Tracer(bits);
  }

  /**
   * Runs `work` for the application: every error below is a {@link CryptokiError} above.
   * @param signal The caller's; also the last of `values`, where `work` takes it.
   */
  protected call<Arguments extends readonly unknown[], Result>(
    name: FunctionName,
    signal: AbortSignal | undefined,
    work: (application: Application, ...values: Arguments) => Result | Promise<Result>,
    ...values: Arguments
  ): Promise<Result> {
    return this.callAnyTime(
      name,
      signal,
      (...given) => {
        if (!this.application) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED);
        return work(this.application, ...given);
      },
      ...values,
    );
  }

  /** The same for a function that may be called before C_Initialize. */
  protected callAnyTime<Arguments extends readonly unknown[], Result>(
    name: FunctionName,
    signal: AbortSignal | undefined,
    work: (...values: Arguments) => Result | Promise<Result>,
    ...values: Arguments
  ): Promise<Result> {
    const run = (): Promise<Result> => raced(() => work(...values), signal);
    return this.tracer.listening ? this.tracer.trace(name, values, run) : run();
  }
}

async function raced<Result>(work: () => Result | Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  try {
    requireSignal(signal);
    throwIfAborted(signal, cancelled);
    return await untilAborted(Promise.resolve(work()), signal, cancelled);
  } catch (error) {
    throw toCryptokiError(error);
  }
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD: callers in JavaScript have no types. */
function requireSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "the last argument is an AbortSignal, or left out; lengths are not given");
}
