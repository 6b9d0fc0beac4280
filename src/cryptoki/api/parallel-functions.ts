import * as parallel from "../chapters/random.ts";
import type { CK_SESSION_HANDLE } from "../structures.ts";
import { RandomFunctions } from "./random-functions.ts";

/** Parallel function management functions (PKCS#11 3.1 section 5.20): what is left of a version before 2. */
export abstract class ParallelFunctions extends RandomFunctions {
  /** @throws {CryptokiError} CKR_FUNCTION_NOT_PARALLEL. */
  C_GetFunctionStatus(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_GetFunctionStatus", signal, parallel.notParallel, session);
  }

  /** @throws {CryptokiError} CKR_FUNCTION_NOT_PARALLEL. */
  C_CancelFunction(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_CancelFunction", signal, parallel.notParallel, session);
  }
}
