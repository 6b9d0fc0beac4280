import type { DedicatedFile } from "./file.ts";
import type { IsoContext } from "./make.ts";

/** The directory that is current. */
export function currentDf({ contents, session }: IsoContext): DedicatedFile {
  return session.path.at(-1) ?? contents.masterFile;
}
