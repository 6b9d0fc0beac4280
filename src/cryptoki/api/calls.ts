import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { toCryptokiError } from "../error-map.ts";
import type { FunctionName } from "../function-table.ts";

/** The gate that every function of an application goes through. The chapters of the standard stand above it, one on another. */
export abstract class Calls {
  /** From C_Initialize to C_Finalize. */
  protected application: Application | undefined;

  /**
   * Runs `work` for the application: whatever is thrown below is a {@link CryptokiError} above.
   * @param _name The function that was called.
   */
  protected async call<Arguments extends readonly unknown[], Result>(
    _name: FunctionName,
    work: (application: Application, ...values: Arguments) => Result | Promise<Result>,
    ...values: Arguments
  ): Promise<Result> {
    try {
      if (!this.application) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED);
      return await work(this.application, ...values);
    } catch (error) {
      throw toCryptokiError(error);
    }
  }
}
