/** Documents of each format, signed by a card through pcscd and verified by programs of others. */
import { createPublicKey } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { compactVerify } from "jose";
import { PDFDocument } from "pdf-lib";
import { loadProgramLibrary } from "../../../src/formats/program-library.ts";
import { type PluggedCard, plugIntoVpcd, VirtualPivCard } from "../../../src/virtual/index.ts";
import { MAIN } from "../../cli/built.ts";
import { Authority } from "../../formats/authority.ts";
import { testKey } from "../../virtual/keys.ts";
import { type Pcscd, startPcscd } from "../rig/pcscd.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const LETTER = "an important letter\n";
/** The same keys on two cards. */
const KEYS = { "9a": { privateKey: testKey("rsa-2048", "9a") }, "9c": { privateKey: testKey("p-256", "9c") } };

let daemon: Pcscd;
let authority: Authority;
const plugged: PluggedCard[] = [];
let file: (name: string) => string;

/** The command with the first card; it must succeed. */
async function cryptoki(...args: readonly string[]): Promise<string> {
  const env = { ...daemon.env, CRYPTOKI_PIN: "123456" };
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args], { env });
  if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return stdout + stderr;
}

/** Signs a file with a key of the first card. @returns The name of the result. */
async function signed(as: string, id: string, name: string, ...options: readonly string[]): Promise<string> {
  const output = file(`${as}-${id}`);
  const card = ["--reader", "00 00", "--id", id];
  await cryptoki("sign", "--as", as, ...card, "--output", output, "--strict", file(name), ...options);
  return output;
}

async function verdict(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}:\n${stdout}${stderr}`);
  return stdout + stderr;
}

/** Waits until pcscd has noticed both cards. */
async function bothPresent(): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const { stdout } = await run(process.execPath, [MAIN, "readers", "--json"], { env: daemon.env });
    if ((JSON.parse(stdout) as { readonly present?: boolean }[]).filter(({ present }) => present).length === 2) return;
  }
  throw new Error(`pcscd did not notice the cards:\n${daemon.log}`);
}

beforeAll(async () => {
  requirePrograms("openssl", "pdfsig", "xmlsec1", "osslsigncode");
  daemon = await startPcscd({ friendlyName: "Formats" });
  authority = await Authority.create();
  file = (name): string => authority.file(name);
  for (const port of [daemon.port, daemon.port + 1]) {
    const card = await VirtualPivCard.create({ keys: { ...KEYS, "9d": null, "9e": null }, yubico: true });
    plugged.push(await plugIntoVpcd(card, { port }));
  }
  await bothPresent();
  await authority.write("letter.txt", LETTER);
  for (const [id, slot] of [
    ["01", "9a"],
    ["02", "9c"],
  ] as const) {
    const spki = createPublicKey(KEYS[slot].privateKey).export({ format: "pem", type: "spki" }).toString();
    const uses = ["keyUsage=digitalSignature", "extendedKeyUsage=codeSigning,emailProtection"];
    await authority.write(`${id}.pem`, (await authority.issue(spki, "Ada", uses)) + (await authority.ca()));
  }
}, 1_000_000);
afterAll(async () => {
  for (const card of plugged) await card[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
}, 60_000);

test.each(["01", "02"])("openssl verifies CMS and S/MIME of key %s, down to the authority", async (id) => {
  const certificate = ["--certificate", file(`${id}.pem`)];
  const p7s = await signed("cades", id, "letter.txt", ...certificate);
  const trust = ["cms", "-verify", "-CAfile", file("ca.pem"), "-purpose", "any"];
  const content = ["-inform", "DER", "-cades", "-binary", "-content", file("letter.txt")];
  expect(await verdict("openssl", ...trust, ...content, "-in", p7s)).toContain(LETTER);
  const eml = await signed("smime", id, "letter.txt", ...certificate);
  expect(await verdict("openssl", ...trust, "-in", eml)).toContain("an important letter");
});

test("openssl ts verifies the time stamp of a signature", async () => {
  const { requestTimestamp, verifyCms } = await import("../../../src/formats/index.ts");
  const token = await requestTimestamp(Buffer.from(LETTER), authority.timestamp);
  await authority.write("token.der", token);
  const query = ["ts", "-verify", "-data", file("letter.txt"), "-in", file("token.der"), "-token_in"];
  expect(await verdict("openssl", ...query, "-CAfile", file("tsa.pem"))).toContain("Verification: OK");
  const message = await readFile(await signed("cms", "01", "letter.txt", "--certificate", file("01.pem"), "--force"));
  expect((await verifyCms(message, { content: Buffer.from(LETTER) })).signers).toHaveLength(1);
});

test("pdfsig verifies a PDF", async () => {
  const document = await PDFDocument.create();
  document.addPage([300, 200]).drawText("A contract", { x: 20, y: 150 });
  await authority.write("contract.pdf", await document.save());
  const shown = ["--visible", "20,20,220,70", "--reason", "I agree"];
  const pdf = await signed("pdf", "01", "contract.pdf", "--certificate", file("01.pem"), ...shown);
  const said = await verdict("pdfsig", "-nocert", pdf);
  expect(said).toContain("Signature is Valid.");
  expect(said).toContain("Total document signed");
  expect(await cryptoki("verify", "--as", "pdf", pdf, "--trust", file("ca.pem"))).toContain("which is trusted");
});

test.each(["01", "02"])("xmlsec1 verifies an XML document of key %s", async (id) => {
  await authority.write("order.xml", "<order><item>Bread</item></order>");
  const xml = await signed("xml", id, "order.xml", "--certificate", file(`${id}.pem`));
  const ids = ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"];
  const trust = ["--trusted-pem", file("ca.pem"), "--enabled-key-data", "x509"];
  expect(await verdict("xmlsec1", "--verify", ...trust, ...ids, xml)).toContain("OK");
});

test("osslsigncode verifies a program", async () => {
  const { NtExecutable } = await loadProgramLibrary();
  await authority.write("program.exe", new Uint8Array(NtExecutable.createEmpty(false, false).generate()));
  const exe = await signed("authenticode", "01", "program.exe", "--certificate", file("01.pem"));
  expect(await verdict("osslsigncode", "verify", "-CAfile", file("ca.pem"), exe)).toContain(
    "Number of verified signatures: 1",
  );
});

test("jose and a second library for COSE verify", async () => {
  const jws = await readFile(await signed("jws", "02", "letter.txt"), "utf8");
  const { payload } = await compactVerify(jws.trim(), createPublicKey(KEYS["9c"].privateKey));
  expect(Buffer.from(payload).toString()).toBe(LETTER);
  const { sign } = createRequire(import.meta.url)("cose-js") as {
    readonly sign: { verify(message: Buffer, verifier: object): Promise<Buffer> };
  };
  const message = await readFile(await signed("cose", "01", "letter.txt"));
  const key = createPublicKey(KEYS["9a"].privateKey).export({ format: "pem", type: "spki" });
  expect((await sign.verify(message, { key })).toString()).toBe(LETTER);
});

test("two cards with one key share the work", async () => {
  const names = Array.from({ length: 12 }, (_, index) => file(`many-${index}.txt`));
  await Promise.all(names.map((name, index) => writeFile(name, `letter ${index}`)));
  await mkdir(file("out"));
  const jobs = ["--jobs", "2", "--id", "01", "--certificate", file("01.pem")];
  const trace = await cryptoki("sign", "--as", "cms", ...jobs, "--trace", "--output", file("out"), ...names);
  expect(await readdir(file("out"))).toHaveLength(12);
  // One PIN for each card.
  expect(trace.match(/-> 00 20 00 80 \*\*/gu)).toHaveLength(2);
  const check = ["cms", "-verify", "-CAfile", file("ca.pem"), "-purpose", "any", "-binary", "-inform", "DER"];
  for (const [index, name] of names.entries()) {
    const message = file(`out/many-${index}.txt.p7s`);
    expect(await verdict("openssl", ...check, "-in", message, "-content", name)).toContain(`letter ${index}`);
  }
  expect(await cryptoki("sign", "--as", "cms", ...jobs.with(1, "3"), "--force", names[0] ?? "")).toContain(
    "--jobs 3: 2 cards hold the key",
  );
});
