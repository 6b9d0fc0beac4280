import { FormatError } from "./error.ts";

const NOT_FOUND: ReadonlySet<unknown> = new Set(["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]);

/**
 * Loads the library of a format when it is used. The libraries are optional peers: who signs no PDF installs none for it.
 * @param format As the message names it: "PDF".
 * @param packages What npm is to install.
 * @param load The import.
 * @throws {FormatError} LIBRARY_MISSING with the line that installs it.
 */
export async function loadLibrary<T>(format: string, packages: readonly string[], load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!isNotFound(cause)) throw cause;
    const advice = `npm install ${packages.join(" ")}`;
    throw new FormatError("LIBRARY_MISSING", `${format} needs packages that are not installed; run: ${advice}`, {
      cause,
    });
  }
}

const isNotFound = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && NOT_FOUND.has(error.code);
