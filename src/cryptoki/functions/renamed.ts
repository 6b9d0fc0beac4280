import { CryptokiError } from "../error.ts";

/** Runs `work`, and tells its return values by the names that `names` has for them. */
export async function renamed<T>(names: ReadonlyMap<number, number>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const rv = error instanceof CryptokiError ? names.get(error.rv) : undefined;
    if (rv === undefined) throw error;
    throw new CryptokiError(rv, undefined, { cause: error });
  }
}
