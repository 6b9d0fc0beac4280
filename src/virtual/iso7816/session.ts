import type { DedicatedFile, ElementaryFile, KeyFile } from "./file.ts";
import type { IsoContents } from "./contents.ts";

/** What MANAGE SECURITY ENVIRONMENT chose. */
export interface SecurityEnvironment {
  /** Tag of the control reference template: A4 authentication, B6 signature, B8 confidentiality. */
  readonly template: number;
  readonly algorithm: number;
  /** Identifier of the key file. */
  readonly key: number;
}

/** What the card knows until the next reset. */
export interface IsoSession {
  /** Directories from the master file to the current one; none while another application is selected. */
  path: readonly DedicatedFile[];
  /** Current EF. */
  file: ElementaryFile | undefined;
  readonly verified: Set<number>;
  /** PINs verified and not yet used up by a key that wants one for each use. */
  readonly fresh: Set<number>;
  environment: SecurityEnvironment | undefined;
  /** The first half of a cryptogram that came in two commands. */
  half: Uint8Array | undefined;
  /** Parts of a private key that has not come whole yet. */
  loading: { readonly file: KeyFile; readonly parts: Map<number, Uint8Array> } | undefined;
}

/** The state after a reset: the master file is selected, if its application is. */
export function newSession({ masterFile }: IsoContents, { isDefault }: { readonly isDefault: boolean }): IsoSession {
  return {
    path: isDefault ? [masterFile] : [],
    file: undefined,
    verified: new Set(),
    fresh: new Set(),
    environment: undefined,
    half: undefined,
    loading: undefined,
  };
}
