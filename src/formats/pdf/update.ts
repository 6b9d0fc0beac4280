import type { PDFContext } from "pdf-lib";
import { concat, utf8 } from "../../bytes/index.ts";
import { FormatError } from "../error.ts";

/** An object that is new or changed: its number, generation, and what stands between "obj" and "endobj". */
export interface UpdatedObject {
  readonly number: number;
  readonly generation: number;
  readonly body: Uint8Array;
}

/** How far from its end a PDF says where its cross-reference section is (ISO 32000-2 section 7.5.5); readers look in as much. */
const TAIL = 1024;

/**
 * Appends objects to a PDF as an incremental update (ISO 32000-2 section 7.5.6): all that was there stays as it was, so that earlier
 * signatures stay right. The update has a cross-reference table or stream, as the file has.
 * @throws {FormatError} MALFORMED if the end of the file does not say where its cross-reference section is.
 */
export function withUpdate(pdf: Uint8Array, context: PDFContext, objects: readonly UpdatedObject[]): Uint8Array {
  const previous = startOfReferences(pdf);
  const parts: Uint8Array[] = [pdf];
  let length = pdf.length;
  const append = (bytes: Uint8Array): void => {
    parts.push(bytes);
    length += bytes.length;
  };
  append(utf8("\n"));
  const written: { number: number; generation: number; offset: number }[] = [];
  for (const { number, generation, body } of [...objects].sort((a, b) => a.number - b.number)) {
    written.push({ number, generation, offset: length });
    append(concat(utf8(`${number} ${generation} obj\n`), body, utf8("\nendobj\n")));
  }
  const start = length;
  const last = Math.max(context.largestObjectNumber, ...objects.map(({ number }) => number));
  const { Root, Info, ID } = context.trailerInfo;
  const common = [
    `/Root ${String(Root)}`,
    ...(Info ? [`/Info ${String(Info)}`] : []),
    ...(ID ? [`/ID ${String(ID)}`] : []),
    `/Prev ${previous}`,
  ];
  if (hasTable(pdf, previous)) {
    append(utf8(`xref\n${subsections(written)}trailer\n<< /Size ${last + 1} ${common.join(" ")} >>\n`));
  } else {
    const number = last + 1;
    const entries = [...written, { number, generation: 0, offset: start }];
    const content = concat(...entries.map(entryOf));
    const index = entries.map((entry) => `${entry.number} 1`).join(" ");
    const dictionary = `<< /Type /XRef /Size ${number + 1} /W [1 4 2] /Index [${index}] /Length ${content.length} ${common.join(" ")} >>`;
    append(concat(utf8(`${number} 0 obj\n${dictionary}\nstream\n`), content, utf8("\nendstream\nendobj\n")));
  }
  append(utf8(`startxref\n${start}\n%%EOF`));
  return concat(...parts);
}

function startOfReferences(pdf: Uint8Array): number {
  const tail = latin1(pdf.subarray(Math.max(0, pdf.length - TAIL)));
  const matches = [...tail.matchAll(/startxref\s+(\d{1,15})\s+%%EOF/gu)];
  const start = Number(matches.at(-1)?.[1]);
  if (start < pdf.length) return start;
  throw new FormatError("MALFORMED", "the PDF does not end as one: no startxref before %%EOF");
}

const hasTable = (pdf: Uint8Array, start: number): boolean =>
  latin1(pdf.subarray(start, start + 16))
    .trimStart()
    .startsWith("xref");

const latin1 = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

/** Rows of 20 bytes (ISO 32000-2 section 7.5.4), each in a subsection of its own. */
function subsections(entries: readonly { number: number; generation: number; offset: number }[]): string {
  const row = (offset: number, generation: number): string =>
    `${String(offset).padStart(10, "0")} ${String(generation).padStart(5, "0")} n \n`;
  return entries.map(({ number, generation, offset }) => `${number} 1\n${row(offset, generation)}`).join("");
}

/** A row of a cross-reference stream: type 1, offset in 4 bytes, generation in 2 (ISO 32000-2 section 7.5.8.3). */
function entryOf({ offset, generation }: { offset: number; generation: number }): Uint8Array {
  const bytes = new Uint8Array(7);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 1);
  view.setUint32(1, offset);
  view.setUint16(5, generation);
  return bytes;
}
