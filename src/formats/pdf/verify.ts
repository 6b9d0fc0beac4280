import type * as pdfLib from "pdf-lib";
import { concat, equalBytes } from "../../bytes/index.ts";
import { type TrustOptions, type VerifiedSigner, verifyCms } from "../cms-verify.ts";
import { FormatError } from "../error.ts";
import { loadPki } from "../pki.ts";
import { loadPdfLibrary, type PdfLibrary, readPdf } from "./document.ts";

/** A signature of a PDF that is right. */
export interface VerifiedPdfSignature extends VerifiedSigner {
  readonly reason: string | undefined;
  readonly location: string | undefined;
  /** Whether nothing was added after it. An earlier signature does not cover what later signers added. */
  readonly coversWholeFile: boolean;
}

/**
 * Verifies the signatures of a PDF, in the order in which they were made. Something must be signed, and nothing may come after the last one.
 * @throws {FormatError} NOT_VALID, MALFORMED, ENCRYPTED, TIMESTAMP, LIBRARY_MISSING.
 */
export async function verifyPdf(
  pdf: Uint8Array,
  options: TrustOptions = {},
): Promise<{ readonly signatures: readonly VerifiedPdfSignature[] }> {
  const library = await loadPdfLibrary();
  const found = signaturesOf(library, (await readPdf(library, pdf)).context);
  const ranged = found.map((dictionary) => ({ dictionary, range: rangeOf(library, dictionary, pdf) }));
  ranged.sort((a, b) => a.range.end - b.range.end);
  const last = ranged.at(-1);
  if (!last) throw new FormatError("NOT_VALID", "the PDF has no signature");
  if (last.range.end !== pdf.length) throw new FormatError("NOT_VALID", "the PDF was changed after it was signed");
  const signatures: VerifiedPdfSignature[] = [];
  for (const { dictionary, range } of ranged) {
    const { signers } = await verifyCms(await messageOf(library, dictionary, range.gap), {
      ...options,
      content: range.signed,
    });
    for (const signer of signers) {
      const text = (name: string): string | undefined => textOf(library, dictionary, name);
      signatures.push({
        ...signer,
        signingTime: dateOf(library, dictionary) ?? signer.signingTime,
        reason: text("Reason"),
        location: text("Location"),
        coversWholeFile: range.end === pdf.length,
      });
    }
  }
  return { signatures };
}

/** Dictionaries of signatures: those with a range of bytes. */
function signaturesOf({ PDFDict, PDFName }: PdfLibrary, context: pdfLib.PDFContext): pdfLib.PDFDict[] {
  const found: pdfLib.PDFDict[] = [];
  for (const [, object] of context.enumerateIndirectObjects()) {
    if (object instanceof PDFDict && object.has(PDFName.of("ByteRange"))) found.push(object);
  }
  return found;
}

interface Range {
  readonly signed: Uint8Array;
  /** Between the two signed parts: the signature itself, in hexadecimal. */
  readonly gap: Uint8Array;
  readonly end: number;
}

function rangeOf({ PDFName, PDFArray, PDFNumber }: PdfLibrary, dictionary: pdfLib.PDFDict, pdf: Uint8Array): Range {
  const value = dictionary.lookup(PDFName.of("ByteRange"));
  const numbers = value instanceof PDFArray ? value.asArray() : [];
  const [start, before, after, rest, ...more] = numbers.map((one) =>
    one instanceof PDFNumber ? one.asNumber() : -1,
  ) as [number, number, number, number, ...number[]];
  const fits = [before, after, rest].every((one) => Number.isSafeInteger(one) && one >= 0);
  if (!fits || start !== 0 || more.length > 0 || before >= after || after + rest > pdf.length) {
    throw new FormatError("NOT_VALID", "a signature covers a range of bytes that the PDF does not have");
  }
  const signed = concat(pdf.subarray(0, before), pdf.subarray(after, after + rest));
  return { signed, gap: pdf.subarray(before, after), end: after + rest };
}

/** The message of a signature. It must fill what is not signed: otherwise something could be hidden there. */
async function messageOf(
  { PDFName, PDFHexString }: PdfLibrary,
  dictionary: pdfLib.PDFDict,
  gap: Uint8Array,
): Promise<Uint8Array> {
  const contents = dictionary.lookup(PDFName.of("Contents"));
  const unsigned = new TextDecoder("latin1").decode(gap);
  if (!(contents instanceof PDFHexString) || !/^<[0-9A-Fa-f\s]*>$/u.test(unsigned)) {
    throw new FormatError("NOT_VALID", "a signature leaves more of the PDF unsigned than itself");
  }
  const bytes = contents.asBytes();
  if (!equalBytes(bytes, PDFHexString.of(unsigned.slice(1, -1)).asBytes())) {
    throw new FormatError("NOT_VALID", "a signature is not where its range of bytes says");
  }
  // Zeros fill the room up.
  const { offset } = (await loadPki()).asn1js.fromBER(Uint8Array.from(bytes).buffer);
  return offset > 0 ? bytes.subarray(0, offset) : bytes;
}

function textOf(
  { PDFName, PDFHexString, PDFString }: PdfLibrary,
  dictionary: pdfLib.PDFDict,
  name: string,
): string | undefined {
  const value = dictionary.lookup(PDFName.of(name));
  return value instanceof PDFHexString || value instanceof PDFString ? value.decodeText() : undefined;
}

function dateOf({ PDFName, PDFHexString, PDFString }: PdfLibrary, dictionary: pdfLib.PDFDict): Date | undefined {
  const value = dictionary.lookup(PDFName.of("M"));
  try {
    return value instanceof PDFHexString || value instanceof PDFString ? value.decodeDate() : undefined;
  } catch {
    return undefined;
  }
}
