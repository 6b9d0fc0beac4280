import type { Application } from "../application.ts";
import { requireFlags } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import { type Chapter, CHAPTERS, type FunctionName } from "../function-table.ts";
import type { CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_INTERFACE, CK_VERSION } from "../structures.ts";
import { offeredVersions, sameVersion, toldVersions } from "../versions.ts";

export function getInfo(application: Application): CK_INFO {
  return {
    ...toldVersions(application.version),
    manufacturerID: "cryptoki",
    flags: 0,
    libraryDescription: "Smart cards in TypeScript",
  };
}

const STANDARD = "PKCS 11";
const VENDOR = "Vendor cryptoki";

/** What version 3.0 brought; all else was there in 2.40, and most of it under the same names before: a list may name more than an old version had. */
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
  return functionList(offeredVersions(version).findLast(({ major }) => major === 2) ?? version, false);
}

export function getInterfaceList(version: CK_VERSION): CK_INTERFACE[] {
  const standard = offeredVersions(version).map((offered) => ({
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
  requireFlags(flags);
  if (version !== null && typeof (version as unknown) !== "object") {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "the version is { major, minor }, or null");
  }
  const found = getInterfaceList(offered).find(
    (one) =>
      one.pInterfaceName === (name ?? STANDARD) &&
      (version === null || sameVersion(one.pFunctionList.version, version)) &&
      (one.flags & flags) === flags,
  );
  if (!found) throw new CryptokiError(CKR.ARGUMENTS_BAD, "no such interface; C_GetInterfaceList has those there are");
  return found;
}
