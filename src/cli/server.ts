import { DataError } from "../bytes/index.ts";
import type { CryptokiFunctions } from "../cryptoki/index.ts";
import { UsageError } from "./failure.ts";

/**
 * The module behind a p11-kit server, not yet initialised.
 * @throws {UsageError} if the address is none.
 */
export async function openServer(address: string): Promise<CryptokiFunctions> {
  const { P11KitModule } = await import("../p11kit/index.ts");
  try {
    return new P11KitModule({ address });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new UsageError(`--server: ${cause.message}`, { cause });
  }
}
