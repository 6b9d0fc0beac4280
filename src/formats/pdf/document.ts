import type * as pdfLib from "pdf-lib";
import { FormatError, messageOf } from "../error.ts";
import { loadLibrary } from "../library.ts";

export type PdfLibrary = typeof pdfLib;

export const loadPdfLibrary = (): Promise<PdfLibrary> =>
  loadLibrary("PDF", ["pdf-lib", "@signpdf/signpdf"], () => import("pdf-lib"));

/**
 * Parses a PDF.
 * @throws {FormatError} MALFORMED; ENCRYPTED.
 */
export async function readPdf({ PDFDocument }: PdfLibrary, pdf: Uint8Array): Promise<pdfLib.PDFDocument> {
  let document: pdfLib.PDFDocument;
  try {
    document = await PDFDocument.load(pdf, { ignoreEncryption: true, updateMetadata: false });
    // Without a catalog nothing can be signed.
    document.catalog.toString();
  } catch (cause) {
    throw new FormatError("MALFORMED", `the PDF cannot be parsed: ${messageOf(cause)}`, { cause });
  }
  if (document.isEncrypted) {
    throw new FormatError(
      "ENCRYPTED",
      "the PDF is encrypted; sign it before it is encrypted, or take the password off",
    );
  }
  return document;
}

/** The entry of a dictionary, and the object in the file that has to be written anew when it changes. */
export interface Place<T> {
  readonly value: T;
  readonly holder: pdfLib.PDFRef;
}

/** An entry that may be an object of its own. It is made where it is missing. */
export function entryOf<T extends pdfLib.PDFObject>(
  { PDFName, PDFRef }: PdfLibrary,
  { value: dictionary, holder }: Place<pdfLib.PDFDict>,
  name: string,
  make: () => T,
): Place<T> {
  const key = PDFName.of(name);
  const raw = dictionary.get(key);
  const found = dictionary.lookup(key) as T | undefined;
  if (found) return { value: found, holder: raw instanceof PDFRef ? raw : holder };
  const made = make();
  dictionary.set(key, made);
  return { value: made, holder };
}
