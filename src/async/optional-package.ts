const NOT_FOUND: ReadonlySet<unknown> = new Set(["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]);

/**
 * Loads an optional package when it is used.
 * @param load The import.
 * @param missing Makes the error for a package that is not installed; its message says what to install.
 * @throws What `missing` makes; the package's own error if it is installed and fails.
 */
export async function loadOptional<T>(load: () => Promise<T>, missing: (cause: unknown) => Error): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw isNotFound(error) ? missing(error) : error;
  }
}

const isNotFound = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && NOT_FOUND.has(error.code);
