import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";

/** Neither is what a function that takes its time here is ended by: that is its AbortSignal. */
export function notParallel(application: Application, handle: number): void {
  application.sessions.get(handle);
  throw new CryptokiError(CKR.FUNCTION_NOT_PARALLEL);
}
