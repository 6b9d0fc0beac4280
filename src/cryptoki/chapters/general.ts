import type { CallOptions } from "../../async/index.ts";
import { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError, requireFlags } from "../errors.ts";
import type { CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_INTERFACE, CK_VERSION, FunctionName } from "../structures.ts";
import { offeredVersions, sameVersion, toldVersions } from "../versions.ts";
import type { AnyChapter, Chapter, Module } from "../chapter.ts";

/** General purpose functions (PKCS#11 3.1 section 5.4). */
export interface GeneralFunctions {
  /**
   * Begins to follow the readers. Without readers, or without a smart-card service, there are no slots.
   * @throws {CryptokiError} CKR_CRYPTOKI_ALREADY_INITIALIZED.
   */
  C_Initialize(options?: CallOptions): Promise<void>;

  /**
   * Closes all sessions, after the pending calls, and the connections to cards that no other application shares.
   * @param options Its signal ends the wait for pending calls: they are abandoned, and the application ends anyway.
   */
  C_Finalize(options?: CallOptions): Promise<void>;

  C_GetInfo(options?: CallOptions): Promise<CK_INFO>;

  /** The functions of version 2: names of methods of this object. At any time, also before {@link C_Initialize}. */
  C_GetFunctionList(options?: CallOptions): Promise<CK_FUNCTION_LIST>;

  /** The versions of the standard that are offered, the newest first, then the extensions. At any time. */
  C_GetInterfaceList(options?: CallOptions): Promise<CK_INTERFACE[]>;

  /**
   * One interface. At any time.
   * @param interfaceName "PKCS 11", which null means as well, or "Vendor cryptoki" for the extensions.
   * @param version Null for the newest.
   * @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is none.
   */
  C_GetInterface(
    interfaceName: string | null,
    version: CK_VERSION | null,
    flags: CK_FLAGS,
    options?: CallOptions,
  ): Promise<CK_INTERFACE>;
}

async function initialize(module: Module, signal?: AbortSignal): Promise<void> {
  if (module.application) throw new CryptokiError(CKR.CRYPTOKI_ALREADY_INITIALIZED);
  const application = new Application(module.slots, module.options, (finding, reader) => {
    module.tracer.find(finding, reader);
  });
  module.application = application;
  try {
    await application.start(signal);
  } catch (error) {
    if (module.application === application) module.application = undefined;
    throw error;
  }
}

function finalize(module: Module, signal?: AbortSignal): Promise<void> {
  const { application } = module;
  if (!application) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED);
  module.application = undefined;
  return application.end(signal);
}

function getInfo(application: Application): CK_INFO {
  return {
    ...toldVersions(application.version),
    manufacturerID: "cryptoki",
    flags: 0,
    libraryDescription: "Smart cards in TypeScript",
  };
}

const STANDARD = "PKCS 11";
const VENDOR = "Vendor cryptoki";

/**
 * Functions that version 3.0 introduced; all others were in 2.40, and most of them earlier: a list may name more than
 * an old version had.
 */
const SINCE_3_0 = /^C_(?:GetInterface|GetInterfaceList|LoginUser|SessionCancel|.*Message.*)$/u;

function functionList(version: CK_VERSION, chapters: readonly AnyChapter[], vendor: boolean): CK_FUNCTION_LIST {
  const names = chapters
    .filter((chapter) => (chapter.vendor ?? false) === vendor)
    .flatMap(({ functions }) => Object.keys(functions) as FunctionName[])
    .filter((name) => vendor || version.major >= 3 || !SINCE_3_0.test(name));
  return { version, functions: names };
}

/** The functions of version 2, as C_GetFunctionList has always returned them. */
function getFunctionList(version: CK_VERSION, chapters: readonly AnyChapter[]): CK_FUNCTION_LIST {
  return functionList(offeredVersions(version).findLast(({ major }) => major === 2) ?? version, chapters, false);
}

function getInterfaceList(version: CK_VERSION, chapters: readonly AnyChapter[]): CK_INTERFACE[] {
  const standard = offeredVersions(version).map((offered) => ({
    pInterfaceName: STANDARD,
    pFunctionList: functionList(offered, chapters, false),
    flags: 0,
  }));
  const vendor = {
    pInterfaceName: VENDOR,
    pFunctionList: functionList({ major: 1, minor: 0 }, chapters, true),
    flags: 0,
  };
  return [...standard, vendor];
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is no such interface. */
function getInterface(
  { offered, chapters }: { readonly offered: CK_VERSION; readonly chapters: readonly AnyChapter[] },
  name: string | null,
  version: CK_VERSION | null,
  flags: CK_FLAGS,
): CK_INTERFACE {
  requireFlags(flags);
  if (version !== null && typeof (version as unknown) !== "object") {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "the version is { major, minor }, or null");
  }
  const found = getInterfaceList(offered, chapters).find(
    (one) =>
      one.pInterfaceName === (name ?? STANDARD) &&
      (version === null || sameVersion(one.pFunctionList.version, version)) &&
      (one.flags & flags) === flags,
  );
  if (!found)
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "no such interface; C_GetInterfaceList lists the existing ones");
  return found;
}

export const GENERAL: Chapter<GeneralFunctions> = {
  title: "General purpose",
  source: "PKCS#11 3.1 section 5.4",
  functions: {
    C_Initialize: { state: "software", parameters: [], result: "none", anyTime: initialize },
    C_Finalize: { state: "software", parameters: [], result: "none", anyTime: finalize },
    C_GetInfo: { state: "software", parameters: [], result: "value", body: getInfo },
    C_GetFunctionList: {
      state: "software",
      parameters: [],
      result: "value",
      note: "names the methods",
      anyTime: ({ options, chapters }) => getFunctionList(options.version, chapters),
    },
    C_GetInterfaceList: {
      state: "software",
      parameters: [],
      result: "value",
      anyTime: ({ options, chapters }) => getInterfaceList(options.version, chapters),
    },
    C_GetInterface: {
      state: "software",
      parameters: [
        ["pInterfaceName", "text"],
        ["pVersion", "version"],
        ["flags", "flags"],
      ],
      result: "value",
      anyTime: ({ options, chapters }, name, version, flags) =>
        getInterface({ offered: options.version, chapters }, name, version, flags),
    },
  },
};
