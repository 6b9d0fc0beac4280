import { CKR } from "./constants/ckr.ts";
import { CryptokiError } from "./errors.ts";
import type { CK_INFO, CK_VERSION } from "./structures.ts";

/** The versions of the standard that C_GetInfo can report, by their names, the oldest first. */
export const CRYPTOKI_VERSIONS = {
  "1.0": { major: 1, minor: 0 },
  "2.01": { major: 2, minor: 1 },
  "2.10": { major: 2, minor: 10 },
  "2.11": { major: 2, minor: 11 },
  "2.20": { major: 2, minor: 20 },
  "2.30": { major: 2, minor: 30 },
  "2.40": { major: 2, minor: 40 },
  "3.0": { major: 3, minor: 0 },
  "3.1": { major: 3, minor: 1 },
} as const satisfies Readonly<Record<string, CK_VERSION>>;

/** CK_INFO.libraryVersion: this package's. */
const LIBRARY: CK_VERSION = { major: 0, minor: 1 };

/**
 * The last version whose appendix describes tokens with several PINs. Applications that use them check
 * CK_INFO.libraryVersion (Net iD, PKCS#11 extensions: library version).
 */
const MULTIPLE_PINS: CK_VERSION = CRYPTOKI_VERSIONS["2.11"];

export const sameVersion = (a: CK_VERSION, b: CK_VERSION): boolean => a.major === b.major && a.minor === b.minor;

/**
 * The version to report; default: 3.1.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD unless it is one of {@link CRYPTOKI_VERSIONS}.
 */
export function checkedVersion(version: CK_VERSION = CRYPTOKI_VERSIONS["3.1"]): CK_VERSION {
  const found = Object.values(CRYPTOKI_VERSIONS).find((one) => sameVersion(one, version));
  if (found) return found;
  const names = Object.keys(CRYPTOKI_VERSIONS).join(", ");
  throw new CryptokiError(CKR.ARGUMENTS_BAD, `the version is one of ${names}; its minor number is in hundredths`);
}

/** The versions that C_GetInfo reports. With 2.11 the library's version is 2.11 as well. */
export function toldVersions(version: CK_VERSION): Pick<CK_INFO, "cryptokiVersion" | "libraryVersion"> {
  return { cryptokiVersion: version, libraryVersion: sameVersion(version, MULTIPLE_PINS) ? MULTIPLE_PINS : LIBRARY };
}

/** The versions whose interfaces are offered after the reported one, the newest first. */
export function offeredVersions(version: CK_VERSION): readonly CK_VERSION[] {
  if (version.major < 3) return [version];
  return [CRYPTOKI_VERSIONS["3.1"], CRYPTOKI_VERSIONS["3.0"], CRYPTOKI_VERSIONS["2.40"]].filter(
    ({ major, minor }) => major < version.major || minor <= version.minor,
  );
}
