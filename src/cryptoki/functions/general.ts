import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { type Chapter, CHAPTERS, type FunctionName } from "../function-table.ts";
import type { CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_INTERFACE, CK_VERSION } from "../structures.ts";

const VERSION: CK_VERSION = { major: 0, minor: 1 };

/** The versions of the standard that C_GetInfo may tell, and the interfaces that stand behind each, the newest first. */
const OFFERS: readonly (readonly CK_VERSION[])[] = [
  [
    { major: 3, minor: 1 },
    { major: 3, minor: 0 },
    { major: 2, minor: 40 },
  ],
  [
    { major: 3, minor: 0 },
    { major: 2, minor: 40 },
  ],
  [{ major: 2, minor: 40 }],
  [{ major: 2, minor: 20 }],
  // The last one whose appendix has tokens with several PINs; what applications with that in mind look for.
  [{ major: 2, minor: 11 }],
];

const sameVersion = (a: CK_VERSION, b: CK_VERSION): boolean => a.major === b.major && a.minor === b.minor;

const offerOf = (version: CK_VERSION): readonly CK_VERSION[] | undefined =>
  OFFERS.find(([first]) => first && sameVersion(first, version));

/**
 * The version that an application is told; 3.1 unless it wants another.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD for one that is not offered.
 */
export function checkedVersion(version: CK_VERSION = { major: 3, minor: 1 }): CK_VERSION {
  if (offerOf(version)) return version;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "the version is 2.11, 2.20, 2.40, 3.0 or 3.1");
}

export function getInfo(application: Application): CK_INFO {
  return {
    cryptokiVersion: application.version,
    manufacturerID: "cryptoki",
    flags: 0,
    libraryDescription: "Smart cards in TypeScript",
    libraryVersion: VERSION,
  };
}

const STANDARD = "PKCS 11";
const VENDOR = "Vendor cryptoki";

/** What version 3.0 brought; all else was there in 2.40, and under the same names before. */
const SINCE_3_0 = /^C_(?:GetInterface|GetInterfaceList|LoginUser|SessionCancel|.*Message.*)$/u;

function functionList(version: CK_VERSION, vendor: boolean): CK_FUNCTION_LIST {
  const chapters: readonly Chapter[] = CHAPTERS;
  const names = chapters
    .filter((chapter) => (chapter.vendor ?? false) === vendor)
    .flatMap(({ functions }) => Object.keys(functions) as FunctionName[])
    .filter((name) => vendor || version.major >= 3 || !SINCE_3_0.test(name));
  return { version, functions: names };
}

/** The functions of version 2, as C_GetFunctionList has given them since there was one. */
export function getFunctionList(version: CK_VERSION): CK_FUNCTION_LIST {
  return functionList(offerOf(version)?.findLast(({ major }) => major === 2) ?? version, false);
}

export function getInterfaceList(version: CK_VERSION): CK_INTERFACE[] {
  const standard = (offerOf(version) ?? []).map((offered) => ({
    pInterfaceName: STANDARD,
    pFunctionList: functionList(offered, false),
    flags: 0,
  }));
  const vendor = { pInterfaceName: VENDOR, pFunctionList: functionList({ major: 1, minor: 0 }, true), flags: 0 };
  return [...standard, vendor];
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is no such interface. */
export function getInterface(
  offered: CK_VERSION,
  name: string | null,
  version: CK_VERSION | null,
  flags: CK_FLAGS,
): CK_INTERFACE {
  const found = getInterfaceList(offered).find(
    (one) =>
      one.pInterfaceName === (name ?? STANDARD) &&
      (version === null || sameVersion(one.pFunctionList.version, version)) &&
      (one.flags & flags) === flags,
  );
  if (!found) throw new CryptokiError(CKR.ARGUMENTS_BAD, "no such interface; C_GetInterfaceList has those there are");
  return found;
}
