import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { toCryptokiError } from "../error-map.ts";
import type { FunctionName } from "../function-table.ts";
import { Tracer } from "../trace/tracer.ts";

/** The gate that every function of an application goes through. The chapters of the standard stand above it, one on another. */
export abstract class Calls {
  /** From C_Initialize to C_Finalize. */
  protected application: Application | undefined;
  /** Hears of every call. */
  protected readonly tracer = new Tracer();

  /** Runs `work` for the application: whatever is thrown below is a {@link CryptokiError} above. */
  protected call<Arguments extends readonly unknown[], Result>(
    name: FunctionName,
    work: (application: Application, ...values: Arguments) => Result | Promise<Result>,
    ...values: Arguments
  ): Promise<Result> {
    return this.callAnyTime(
      name,
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
    work: (...values: Arguments) => Result | Promise<Result>,
    ...values: Arguments
  ): Promise<Result> {
    const run = (): Promise<Result> => translated(work, values);
    return this.tracer.listening ? this.tracer.trace(name, values, run) : run();
  }
}

async function translated<Arguments extends readonly unknown[], Result>(
  work: (...values: Arguments) => Result | Promise<Result>,
  values: Arguments,
): Promise<Result> {
  try {
    return await work(...values);
  } catch (error) {
    throw toCryptokiError(error);
  }
}
