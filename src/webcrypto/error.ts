import { DataError } from "../bytes/index.ts";
import { CKR, CryptokiError } from "../cryptoki/index.ts";

/** The names of DOMExceptions that are thrown here (Web Cryptography API section 13.4; Web IDL for NotFoundError). */
export type RefusalName =
  "DataError" | "InvalidAccessError" | "NotFoundError" | "NotSupportedError" | "OperationError" | "SyntaxError";

/** A DOMException of the W3C's, with the lower error as its `cause`. */
export function refusal(name: RefusalName, message: string, cause?: unknown): DOMException {
  return new DOMException(message, { name, ...(cause !== undefined && { cause }) });
}

/** What is no failure of the operation, but of what was asked. */
const NAMES: ReadonlyMap<number, RefusalName> = new Map<number, RefusalName>([
  [CKR.MECHANISM_INVALID, "NotSupportedError"],
  [CKR.MECHANISM_PARAM_INVALID, "NotSupportedError"],
  [CKR.FUNCTION_NOT_SUPPORTED, "NotSupportedError"],
  [CKR.KEY_SIZE_RANGE, "NotSupportedError"],
  [CKR.CURVE_NOT_SUPPORTED, "NotSupportedError"],
  [CKR.DOMAIN_PARAMS_INVALID, "NotSupportedError"],
  [CKR.KEY_FUNCTION_NOT_PERMITTED, "InvalidAccessError"],
  [CKR.KEY_TYPE_INCONSISTENT, "InvalidAccessError"],
  [CKR.KEY_UNEXTRACTABLE, "InvalidAccessError"],
  [CKR.PUBLIC_KEY_INVALID, "DataError"],
]);

/** What a failure is in WebCrypto: a {@link CryptokiError} becomes the cause of a DOMException; anything else stays what it is. */
function toRefusal(error: unknown): unknown {
  if (error instanceof CryptokiError) {
    return refusal(NAMES.get(error.rv) ?? "OperationError", error.message, error);
  }
  return error instanceof DataError ? refusal("DataError", error.message, error) : error;
}

/** Runs `work`; what it throws is {@link toRefusal}'s. */
export async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toRefusal(error);
  }
}
