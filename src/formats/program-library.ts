import { loadLibrary } from "./library.ts";

/*
 * What is used of resedit. Its own types need those of a browser's DOM, which would change the types of the whole program: it is imported
 * under `satisfies string`, so that the compiler does not look for them.
 */

/** A program or library of Windows. */
export interface ProgramFile {
  readonly newHeader: {
    readonly optionalHeaderDataDirectory: {
      get(index: number): { readonly virtualAddress: number; readonly size: number };
    };
  };
  setSectionByEntry(entry: number, section: object): void;
  generate(): ArrayBuffer;
}

/** As resedit's SignerObject. */
export interface ProgramSigner {
  getDigestAlgorithm(): string;
  getEncryptionAlgorithm(): string;
  getCertificateData(): ArrayBuffer[];
  digestData(parts: Iterator<ArrayBuffer, void>): Promise<Uint8Array>;
  signData(parts: Iterator<ArrayBuffer, void>): Promise<Uint8Array>;
  timestampData?(request: ArrayBuffer): Promise<ArrayBuffer>;
}

export interface ProgramLibrary {
  readonly NtExecutable: {
    createEmpty(is32Bit: boolean, isLibrary: boolean): ProgramFile;
    from(file: ArrayBuffer, options: { readonly ignoreCert: boolean }): ProgramFile;
  };
  generateExecutableWithSign(file: ProgramFile, signer: ProgramSigner, alignment: number): Promise<ArrayBuffer>;
}

/** @throws {FormatError} LIBRARY_MISSING. */
export const loadProgramLibrary = (): Promise<ProgramLibrary> =>
  loadLibrary("Authenticode", ["resedit"], async () => (await import("resedit" satisfies string)) as ProgramLibrary);
