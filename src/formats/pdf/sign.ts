import type * as pdfLib from "pdf-lib";
import type { CallOptions } from "../../async/index.ts";
import { concat, utf8 } from "../../bytes/index.ts";
import { TokenError } from "../../tokens/index.ts";
import { signedMessage } from "../cms.ts";
import { FormatError } from "../error.ts";
import { loadLibrary } from "../library.ts";
import type { CmsHash } from "../pki.ts";
import { type CertificateOptions, type SigningCertificate, signingCertificate } from "../signing-certificate.ts";
import type { SigningKey } from "../signing-key.ts";
import type { Timestamp } from "../timestamp.ts";
import { entryOf, loadPdfLibrary, type PdfLibrary, type Place, readPdf } from "./document.ts";
import { type UpdatedObject, withUpdate } from "./update.ts";

/** Where a signature is shown. */
export interface PdfPlace {
  /** From 1. Default: the first one. */
  readonly page?: number;
  /** Left, bottom, right and top, in points from the lower left corner of the page. */
  readonly rectangle: readonly [number, number, number, number];
}

export interface PdfOptions extends CertificateOptions, CallOptions {
  /** Default: SHA-256; for keys on P-384 and P-521 the hash of the curve's length. */
  readonly hash?: CmsHash;
  /** As the document says it. Default: now. */
  readonly signingTime?: Date;
  /** A time-stamping authority: with it the signature is PAdES B-T, without it B-B. */
  readonly timestamp?: Timestamp;
  /** Why the document is signed, and where. */
  readonly reason?: string;
  readonly location?: string;
  /** Default: the signature is not shown on a page. */
  readonly visible?: PdfPlace;
}

/** Bytes of a signature, its attributes and what is around the certificates. */
const SIGNATURE_ROOM = 4096;
/** Bytes of a time stamp with the authority's certificates. */
const TIMESTAMP_ROOM = 16_384;
/** Longest file, in bytes. */
const MAX_PDF = 512 * 1024 * 1024;

/** What @signpdf/signpdf looks for, and replaces by the four numbers. */
const BYTE_RANGE = "/ByteRange [0 /********** /********** /**********]";

/** Flags of a field (print, locked), and of a form that has signatures and may only grow (ISO 32000-2 tables 167 and 225). */
const WIDGET_FLAGS = 132;
const SIGNATURE_FLAGS = 3;

/**
 * Signs a PDF (PAdES B-B or B-T, ETSI EN 319 142-1) by an incremental update: earlier signatures stay right.
 * @returns The signed PDF.
 * @throws {FormatError} ENCRYPTED; CERTIFIED; MALFORMED; TIMESTAMP; CERTIFICATE_UNFIT with `strict`; LIBRARY_MISSING.
 * @throws {TokenError} as signCms.
 */
export async function signPdf(key: SigningKey, pdf: Uint8Array, options: PdfOptions = {}): Promise<Uint8Array> {
  const { signal, signingTime = new Date(), hash, timestamp } = options;
  if (pdf.length > MAX_PDF) throw new TokenError("BAD_INPUT", `a PDF of more than ${MAX_PDF} bytes`);
  const library = await loadPdfLibrary();
  const { SignPdf, Signer } = await loadLibrary("PDF", ["@signpdf/signpdf"], () => import("@signpdf/signpdf"));
  const document = await readPdf(library, pdf);
  requireUncertified(library, document);
  const signer = await signingCertificate(key, options);
  const prepared = withPlaceholder(library, document, pdf, signer, options, signingTime);
  class TokenSigner extends Signer {
    override async sign(data: Uint8Array): Promise<Buffer> {
      const message = await signedMessage(key, signer, data, {
        cades: true,
        // The dictionary has it; a PAdES signature must not (ETSI EN 319 142-1 section 6.3).
        signingTime: null,
        signal,
        ...(hash && { hash }),
        ...(timestamp !== undefined && { timestamp }),
      });
      return Buffer.from(message);
    }
  }
  return new Uint8Array(await new SignPdf().sign(prepared, new TokenSigner()));
}

/** A certified document says in its catalog which changes its author allows (ISO 32000-2 section 12.8.4). */
function requireUncertified({ PDFName, PDFDict }: PdfLibrary, { catalog }: pdfLib.PDFDocument): void {
  const permissions = catalog.lookup(PDFName.of("Perms"));
  if (!(permissions instanceof PDFDict) || !permissions.has(PDFName.of("DocMDP"))) return;
  throw new FormatError("CERTIFIED", "the PDF is certified: its author's signature does not allow others");
}

function withPlaceholder(
  library: PdfLibrary,
  document: pdfLib.PDFDocument,
  pdf: Uint8Array,
  signer: SigningCertificate,
  options: PdfOptions,
  signingTime: Date,
): Uint8Array {
  const { PDFName, PDFArray, PDFDict, PDFNumber, PDFHexString, PDFRef } = library;
  const { context, catalog } = document;
  const { visible } = options;
  const pages = document.getPages();
  const page = pages[(visible?.page ?? 1) - 1];
  if (!page) throw new TokenError("BAD_INPUT", `the PDF has ${pages.length} pages`);
  const root = context.trailerInfo.Root;
  if (!(root instanceof PDFRef)) throw new FormatError("MALFORMED", "the PDF has no catalog");
  const signatureRef = context.nextRef();
  const fieldRef = context.nextRef();
  const form = entryOf(library, { value: catalog, holder: root }, "AcroForm", () => PDFDict.withContext(context));
  const fields = entryOf(library, form, "Fields", () => PDFArray.withContext(context));
  const field = context.obj({
    Type: "Annot",
    Subtype: "Widget",
    FT: "Sig",
    Rect: [...(visible?.rectangle ?? [0, 0, 0, 0])],
    F: WIDGET_FLAGS,
    P: page.ref,
    V: signatureRef,
  });
  field.set(PDFName.of("T"), PDFHexString.fromText(freeName(library, context, fields)));
  const added: UpdatedObject[] = [];
  if (visible) {
    const appearanceRef = context.nextRef();
    field.set(PDFName.of("AP"), context.obj({ N: appearanceRef }));
    added.push(objectOf(appearanceRef, appearance(visible, signer, options, signingTime)));
  }
  fields.value.push(fieldRef);
  form.value.set(PDFName.of("SigFlags"), PDFNumber.of(SIGNATURE_FLAGS));
  const annotations = entryOf(library, { value: page.node, holder: page.ref }, "Annots", () =>
    PDFArray.withContext(context),
  );
  annotations.value.push(fieldRef);
  const changed = new Set([form.holder, fields.holder, annotations.holder]);
  return withUpdate(pdf, context, [
    ...[...changed].map((ref) => objectOf(ref, bytesOf(context.lookup(ref)))),
    objectOf(fieldRef, bytesOf(field)),
    objectOf(signatureRef, signatureDictionary(library, signer, options, signingTime)),
    ...added,
  ]);
}

function objectOf({ objectNumber, generationNumber }: pdfLib.PDFRef, body: Uint8Array): UpdatedObject {
  return { number: objectNumber, generation: generationNumber, body };
}

function bytesOf(object: pdfLib.PDFObject | undefined): Uint8Array {
  if (!object) throw new FormatError("MALFORMED", "the PDF refers to an object that it does not have");
  const bytes = new Uint8Array(object.sizeInBytes());
  object.copyBytesInto(bytes, 0);
  return bytes;
}

/** "Signature 1", or the next number that no field has. */
function freeName(
  { PDFDict, PDFName, PDFHexString, PDFString }: PdfLibrary,
  context: pdfLib.PDFContext,
  fields: Place<pdfLib.PDFArray>,
): string {
  const names = new Set<string>();
  for (const one of fields.value.asArray()) {
    const field = context.lookup(one);
    const name = field instanceof PDFDict ? field.lookup(PDFName.of("T")) : undefined;
    if (name instanceof PDFHexString || name instanceof PDFString) names.add(name.decodeText());
  }
  for (let number = 1; ; number++) if (!names.has(`Signature ${number}`)) return `Signature ${number}`;
}

/** The signature's dictionary, with room for what @signpdf/signpdf fills in (ISO 32000-2 section 12.8.1). */
function signatureDictionary(
  { PDFHexString, PDFString }: PdfLibrary,
  { certificate, chain }: SigningCertificate,
  { reason, location, timestamp }: PdfOptions,
  signingTime: Date,
): Uint8Array {
  const certificates = [certificate, ...chain].reduce((sum, { der }) => sum + der.length, 0);
  const room = certificates + SIGNATURE_ROOM + (timestamp === undefined ? 0 : TIMESTAMP_ROOM);
  const text = (name: string, value: string | undefined): string[] =>
    value === undefined ? [] : [`/${name} ${PDFHexString.fromText(value).toString()}`];
  const entries = [
    "/Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached",
    `/M ${PDFString.fromDate(signingTime).toString()}`,
    ...text("Name", commonName(certificate.subject)),
    ...text("Reason", reason),
    ...text("Location", location),
    BYTE_RANGE,
    `/Contents <${"00".repeat(room)}>`,
  ];
  return utf8(`<< ${entries.join("\n")} >>`);
}

/** The CN of a name in a line, or the whole line. */
function commonName(subject: string): string {
  return /(?:^|, *)CN=((?:\\.|[^,\\])*)/u.exec(subject)?.[1]?.replace(/\\(.)/gu, "$1") ?? subject;
}

/** Points of the largest letters, and how the width of a letter compares with its height. */
const LARGEST = 11;
const LETTER_WIDTH = 0.55;
const LINE_HEIGHT = 1.25;

/** What is shown: who signed, when and why, in Helvetica, as large as the place allows. */
function appearance(
  { rectangle: [left, bottom, right, top] }: PdfPlace,
  { certificate }: SigningCertificate,
  { reason, location }: PdfOptions,
  signingTime: Date,
): Uint8Array {
  const [width, height] = [right - left, top - bottom];
  if (!(width > 0 && height > 0)) throw new TokenError("BAD_INPUT", "a visible signature has a width and a height");
  const lines = [
    `Signed by ${commonName(certificate.subject)}`,
    signingTime.toISOString().replace("T", " ").slice(0, 19) + " UTC",
    ...[reason, location].filter((line) => line !== undefined),
  ];
  const longest = Math.max(...lines.map((line) => line.length));
  const size = Math.min(LARGEST, height / ((lines.length + 0.5) * LINE_HEIGHT), width / ((longest + 2) * LETTER_WIDTH));
  const shown = lines.map((line) => `${escaped(line)} Tj T*`).join("\n");
  const start = `${(size * LETTER_WIDTH).toFixed(2)} ${(height - size * LINE_HEIGHT).toFixed(2)} Td`;
  const content = latin1(
    `BT\n/F1 ${size.toFixed(2)} Tf\n${(size * LINE_HEIGHT).toFixed(2)} TL\n${start}\n${shown}\nET`,
  );
  const font = "/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >> >>";
  const head = `<< /Type /XObject /Subtype /Form /BBox [0 0 ${width} ${height}] /Resources << ${font} >> /Length ${content.length} >>`;
  return concat(utf8(`${head}\nstream\n`), content, utf8("\nendstream"));
}

const escaped = (line: string): string => `(${line.replace(/[\\()]/gu, "\\$&")})`;

/** Letters that Helvetica's encoding does not have are shown as question marks. */
function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => {
    const code = letter.codePointAt(0) ?? 0;
    return code < 0x100 ? code : 0x3f;
  });
}
