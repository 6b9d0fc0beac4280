import { FormatError } from "../../formats/index.ts";
import { CryptokiError } from "../../cryptoki/index.ts";
import { TokenError } from "../../tokens/index.ts";
import { FileError, NotFoundError, UsageError, VerificationFailedError } from "../output/failures.ts";

/** Errors of the formats as the command tells them, with its exit codes. */
export async function asCommandErrors<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw commandError(file, error);
  }
}

function commandError(file: string, error: unknown): unknown {
  if (error instanceof FormatError) {
    const message = `${file}: ${error.message}`;
    if (error.is("NOT_VALID")) return new VerificationFailedError(message, { cause: error });
    return error.is("LIBRARY_MISSING") ? error : new FileError(message, { cause: error });
  }
  if (!(error instanceof TokenError)) return error;
  if (error.cause instanceof CryptokiError) return error.cause;
  if (error.is("NO_OBJECT")) return new NotFoundError(error.message, { cause: error });
  return error.is("KEY_CANNOT", "BAD_INPUT") ? new UsageError(error.message, { cause: error }) : error;
}
