import type * as x509 from "@peculiar/x509";
import type * as pkijs from "pkijs";

/**
 * Two libraries for certificates and signed objects. They are optional peers: nothing else of this package needs them, so they are
 * loaded here only, when a card is examined.
 */
export interface Libraries {
  readonly pkijs: typeof pkijs;
  readonly x509: typeof x509;
}

/** The packages that an examination needs are not installed. */
export class LibraryMissingError extends Error {
  override readonly name = "LibraryMissingError";
}

/** What to type to have them. */
export const INSTALL = "npm install pkijs @peculiar/x509 reflect-metadata";

/** @throws {LibraryMissingError} if one is not installed. */
export async function loadLibraries(): Promise<Libraries> {
  try {
    // @peculiar/x509 finds its parts by decorators, which want this first.
    await import("reflect-metadata");
    return { pkijs: await import("pkijs"), x509: await import("@peculiar/x509") };
  } catch (cause) {
    throw new LibraryMissingError(
      `certificates and signed objects are examined with packages that are not installed; run: ${INSTALL}`,
      {
        cause,
      },
    );
  }
}
