import { CryptokiError } from "../cryptoki/index.ts";
import { type LayerCode, TokenError } from "./error.ts";

const WEB_CRYPTO_CODES: Readonly<Record<string, LayerCode>> = {
  NotFoundError: "NO_OBJECT",
  DataError: "SEVERAL_OBJECTS",
  NotSupportedError: "KEY_CANNOT",
  InvalidAccessError: "KEY_CANNOT",
};

/** Throws the error of the Web Cryptography API as this layer has it. */
export function fromWebCrypto(error: unknown): never {
  if (!(error instanceof DOMException)) throw error;
  const { cause } = error as { readonly cause?: unknown };
  if (cause instanceof CryptokiError || cause instanceof TokenError) throw cause;
  throw new TokenError(WEB_CRYPTO_CODES[error.name] ?? "BAD_INPUT", error.message, { cause: error });
}
