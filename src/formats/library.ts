import { loadOptional } from "../async/index.ts";
import { FormatError } from "./error.ts";

/**
 * Loads the library of a format when it is used. The libraries are optional peers: who signs no PDF installs none for it.
 * @param format As the message names it: "PDF".
 * @param packages What npm is to install.
 * @param load The import.
 * @throws {FormatError} LIBRARY_MISSING with the line that installs it.
 */
export function loadLibrary<T>(format: string, packages: readonly string[], load: () => Promise<T>): Promise<T> {
  return loadOptional(load, (cause) => {
    const advice = `npm install ${packages.join(" ")}`;
    return new FormatError("LIBRARY_MISSING", `${format} needs packages that are not installed; run: ${advice}`, {
      cause,
    });
  });
}
