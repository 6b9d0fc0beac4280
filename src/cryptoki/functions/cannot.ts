import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Token } from "../slots/token.ts";

/**
 * The error for what a token has no way to do: CKR_TOKEN_WRITE_PROTECTED where nothing on it changes.
 * @param rv Where something does.
 */
export async function cannot(
  token: Token,
  detail: string,
  rv: number = CKR.FUNCTION_NOT_SUPPORTED,
  options?: ErrorOptions,
): Promise<CryptokiError> {
  const { writeProtected } = await token.info();
  return new CryptokiError(writeProtected ? CKR.TOKEN_WRITE_PROTECTED : rv, detail, options);
}
