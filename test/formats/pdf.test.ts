import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { PDFDocument, PDFName } from "pdf-lib";
import { type PdfOptions, signPdf, verifyPdf } from "../../src/formats/index.ts";
import { opened } from "../tokens/opened.ts";
import { Authority } from "./authority.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await Authority.create();
}, 60_000);
afterAll(() => authority[Symbol.asyncDispose]());

async function contract(useObjectStreams: boolean): Promise<Uint8Array> {
  const document = await PDFDocument.create();
  for (const text of ["A contract", "Page two"])
    document.addPage([300, 200]).drawText(text, { x: 20, y: 150, size: 14 });
  return document.save({ useObjectStreams });
}

/** What pdfsig says of a PDF. */
async function pdfsig(pdf: Uint8Array): Promise<string> {
  const file = await authority.write("signed.pdf", pdf);
  const { stdout } = await promisify(execFile)("pdfsig", ["-nocert", file]);
  return stdout;
}

test.each<[string, boolean, "9a" | "9c", PdfOptions]>([
  ["a table", false, "9a", {}],
  ["a stream", true, "9c", { reason: "I agree (gladly)", location: "Tromsø" }],
  ["a table", false, "9a", { visible: { page: 2, rectangle: [20, 20, 220, 70] }, reason: "Zażółć" }],
])(
  "pdfsig verifies a PDF with %s of references (%s), signed by %s, with %j",
  async (_name, streams, reference, options) => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference });
    const pdf = await contract(streams);
    const signed = await signPdf(key, pdf, options);
    expect(Buffer.from(signed.subarray(0, pdf.length))).toEqual(Buffer.from(pdf));
    const said = await pdfsig(signed);
    expect(said).toContain("Signature is Valid.");
    expect(said).toContain("Total document signed");
    expect(said).toContain("Signature Type: ETSI.CAdES.detached");
    const { signatures } = await verifyPdf(signed);
    expect(signatures).toMatchObject([{ coversWholeFile: true, reason: options.reason, location: options.location }]);
    const altered = Uint8Array.from(signed);
    const place = Buffer.from(altered).indexOf("/MediaBox");
    altered[place < 0 ? 100 : place + 12] = 0x39;
    await expect(verifyPdf(altered)).rejects.toMatchObject({ code: "NOT_VALID" });
    const longer = Buffer.concat([signed, Buffer.from("\n% more")]);
    await expect(verifyPdf(longer)).rejects.toMatchObject({ message: "the PDF was changed after it was signed" });
  },
  30_000,
);

test("a second signer leaves the first signature right, and a time stamp makes it PAdES B-T", async () => {
  await using rig = await opened();
  const first = await rig.token.keys.get({ reference: "9a" });
  const second = await rig.token.keys.get({ reference: "9e" });
  for (const streams of [true, false]) {
    const once = await signPdf(first, await contract(streams), { timestamp: authority.timestamp });
    const twice = await signPdf(second, once, { visible: { rectangle: [10, 10, 110, 60] } });
    const said = await pdfsig(twice);
    expect(said.match(/Signature is Valid\./gu)).toHaveLength(2);
    expect(said.match(/Signature Field Name: Signature [12]/gu)).toHaveLength(2);
    const { signatures } = await verifyPdf(twice);
    expect(signatures).toMatchObject([
      { coversWholeFile: false, timestamp: { authority: { subject: "CN=tsa" } } },
      { coversWholeFile: true, timestamp: undefined },
    ]);
  }
}, 30_000);

test("an encrypted, a certified and a broken PDF are refused before the PIN is asked for", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const plain = await authority.write("plain.pdf", await contract(false));
  const locked = authority.file("locked.pdf");
  await promisify(execFile)("qpdf", ["--encrypt", "user", "owner", "256", "--", plain, locked]);
  await expect(signPdf(key, await readFile(locked))).rejects.toMatchObject({ code: "ENCRYPTED" });
  const document = await PDFDocument.load(await contract(false));
  document.catalog.set(PDFName.of("Perms"), document.context.obj({ DocMDP: {} }));
  await expect(signPdf(key, await document.save())).rejects.toMatchObject({ code: "CERTIFIED" });
  await expect(signPdf(key, Buffer.from("no PDF"))).rejects.toMatchObject({ code: "MALFORMED" });
  const cut = (await contract(false)).slice(0, -40);
  await expect(signPdf(key, cut)).rejects.toMatchObject({ code: "MALFORMED" });
  await expect(
    signPdf(key, await contract(false), { visible: { page: 3, rectangle: [0, 0, 9, 9] } }),
  ).rejects.toMatchObject({ code: "BAD_INPUT", message: "the PDF has 2 pages" });
  await expect(verifyPdf(await contract(false))).rejects.toMatchObject({ message: "the PDF has no signature" });
  expect(rig.requests).toHaveLength(0);
}, 30_000);
