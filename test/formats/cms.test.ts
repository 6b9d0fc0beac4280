import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { type CmsOptions, signCms, verifyCms } from "../../src/formats/index.ts";
import { loadLibrary } from "../../src/formats/library.ts";
import type { KEYS } from "../tokens/opened.ts";
import { opened } from "../tokens/opened.ts";
import { Authority } from "./authority.ts";

const LETTER = "an important letter\n";
let folder: string;
let authority: Authority;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "cms-"));
  authority = await Authority.create();
}, 60_000);
afterAll(async () => {
  await rm(folder, { recursive: true });
  await authority[Symbol.asyncDispose]();
});

async function inFolder(name: string, content: string | Uint8Array): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
}

/** What openssl says of a message; its certificates are not followed to an authority. */
async function openssl(message: Uint8Array, content?: string): Promise<string> {
  const file = await inFolder("message.p7s", message);
  const detached = content === undefined ? [] : ["-content", await inFolder("content", content)];
  const args = ["cms", "-verify", "-binary", "-noverify", "-inform", "DER", "-in", file, ...detached];
  const { stdout } = await promisify(execFile)("openssl", args);
  return stdout;
}

test.each<[keyof typeof KEYS, Partial<CmsOptions>]>([
  ["9a", {}],
  ["9a", { hash: "SHA-512", signingTime: null }],
  ["9c", {}],
  ["9e", { hash: "SHA-256", signingTime: new Date("2051-01-01") }],
])("openssl verifies a message of key %s with %j, detached and enclosed", async (reference, more) => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference });
  const certificate = await rig.token.certificates.get({ reference });
  const data = Buffer.from(LETTER);
  const detached = await signCms(key, new Blob([data]).stream(), { certificate, ...more });
  expect(await openssl(detached, LETTER)).toBe(LETTER);
  await expect(openssl(detached, "another letter\n")).rejects.toMatchObject({ code: 4 });
  const enclosed = await signCms(key, data, { certificate: certificate.toPem(), detached: false, ...more });
  expect(await openssl(enclosed)).toBe(LETTER);
});

test("a certificate of another key, and a key that signs no CMS, are refused before the PIN is asked for", async () => {
  await using rig = await opened();
  const rsa = await rig.token.keys.get({ reference: "9a" });
  const other = await rig.token.certificates.get({ reference: "9c" });
  await expect(signCms(rsa, Buffer.from(LETTER), { certificate: other })).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: "the certificate is not of the key that signs",
  });
  const ed25519 = await rig.token.keys.get({ reference: "82" });
  const own = await rig.token.certificates.get({ reference: "82" });
  await expect(signCms(ed25519, Buffer.from(LETTER), { certificate: own })).rejects.toMatchObject({
    code: "KEY_CANNOT",
  });
  expect(rig.requests).toHaveLength(0);
});

test("the key's own certificate is taken where none is given, and the message verifies here too", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9c" });
  const own = await key.certificate();
  const data = Buffer.from(LETTER);
  const detached = await signCms(key, data);
  const { signers } = await verifyCms(detached, { content: data });
  expect(signers).toMatchObject([{ certificate: { subject: own.subject }, trusted: undefined, timestamp: undefined }]);
  expect(Math.abs((signers[0]?.signingTime?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  await expect(verifyCms(detached)).rejects.toMatchObject({
    code: "NOT_VALID",
    message: "the message does not hold what was signed: give it too",
  });
  await expect(verifyCms(detached, { content: Buffer.from("another letter") })).rejects.toMatchObject({
    code: "NOT_VALID",
    message: expect.stringContaining("Message digest doesn't match"),
  });
  const enclosed = await signCms(key, data, { detached: false });
  expect(Buffer.from((await verifyCms(enclosed)).content).toString()).toBe(LETTER);
  await expect(verifyCms(enclosed, { content: Buffer.from("another") })).rejects.toMatchObject({
    message: "the message holds another content",
  });
  const altered = Uint8Array.from(detached);
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
  await expect(verifyCms(altered, { content: data })).rejects.toMatchObject({ code: "NOT_VALID" });
  await expect(verifyCms(Buffer.from("no message"))).rejects.toMatchObject({ code: "MALFORMED" });
});

test("a signature with chain, certificate and time stamp (CAdES B-T) is verified by openssl, also the time stamp", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const certificate = await authority.issue((await key.publicKey()).toPem(), "Ada", ["keyUsage=digitalSignature"]);
  const ca = await authority.ca();
  const data = Buffer.from(LETTER);
  const signed = await signCms(key, data, {
    certificate,
    chain: [ca],
    cades: true,
    timestamp: authority.timestamp,
    strict: true,
  });
  await authority.write("signed.p7s", signed);
  await authority.write("letter", LETTER);
  const trust = ["-CAfile", "ca.pem", "-cades", "-purpose", "any"];
  const input = ["-inform", "DER", "-in", "signed.p7s", "-content", "letter", "-binary"];
  expect(await authority.openssl("cms", "-verify", ...trust, ...input)).toBe(LETTER);
  const { signers } = await verifyCms(signed, { content: data, trusted: [ca] });
  expect(signers).toMatchObject([
    { trusted: true, certificate: { subject: "CN=Ada" }, timestamp: { authority: { subject: "CN=tsa" } } },
  ]);
  const stranger = (await rig.token.certificates.get({ reference: "9c" })).toPem();
  await expect(verifyCms(signed, { content: data, trusted: [stranger] })).rejects.toMatchObject({
    code: "NOT_VALID",
    message: expect.stringContaining("is not trusted"),
  });
}, 30_000);

test("a time stamp for other data, one that was refused, and a wrong address are errors", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const data = Buffer.from(LETTER);
  let earlier: Uint8Array | undefined;
  await signCms(key, data, {
    timestamp: async (request) => (earlier = await authority.timestamp(request)),
  });
  const replay = (): Promise<Uint8Array> => Promise.resolve(earlier ?? new Uint8Array());
  await expect(signCms(key, data, { timestamp: replay })).rejects.toMatchObject({
    code: "TIMESTAMP",
    message: "the time-stamping authority gave a time stamp for other data",
  });
  // PKIStatusInfo with status 2, rejection.
  const rejection = (): Promise<Uint8Array> => Promise.resolve(Uint8Array.of(0x30, 5, 0x30, 3, 2, 1, 2));
  await expect(signCms(key, data, { timestamp: rejection })).rejects.toMatchObject({
    message: "the time-stamping authority refused the request: status 2",
  });
  await expect(signCms(key, data, { timestamp: "ftp://example.org" })).rejects.toMatchObject({ code: "TIMESTAMP" });
}, 30_000);

test("a time-stamping authority is asked over HTTP", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const server = createServer((request, response) => {
    void (async (): Promise<void> => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      if (request.url !== "/tsa" || request.headers["content-type"] !== "application/timestamp-query") {
        response.writeHead(404).end();
        return;
      }
      response.end(await authority.timestamp(Buffer.concat(parts)));
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const signed = await signCms(key, Buffer.from(LETTER), { timestamp: `http://127.0.0.1:${port}/tsa` });
    const { signers } = await verifyCms(signed, { content: Buffer.from(LETTER) });
    expect(signers[0]?.timestamp?.authority.subject).toBe("CN=tsa");
    const elsewhere = { timestamp: `http://127.0.0.1:${port}/nothing` };
    await expect(signCms(key, Buffer.from(LETTER), elsewhere)).rejects.toMatchObject({
      code: "TIMESTAMP",
      message: `the time-stamping authority at 127.0.0.1:${port} answered 404 Not Found`,
    });
  } finally {
    server.close();
    server.closeAllConnections();
  }
}, 30_000);

test("a certificate that is not fit is told, and refused with strict", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const spki = (await key.publicKey()).toPem();
  const past = ["-days", "-1"];
  const expired = await authority.issue(spki, "Old", ["keyUsage=digitalSignature"], past);
  const forEncryption = await authority.issue(spki, "Box", ["keyUsage=keyEncipherment"]);
  for (const [certificate, problem] of [
    [expired, /^the certificate of CN=Old expired on \d{4}-\d\d-\d\d$/u],
    [forEncryption, /^the certificate of CN=Box is not for signatures: its key usage says so$/u],
  ] as const) {
    const warnings: string[] = [];
    await signCms(key, Buffer.from(LETTER), { certificate, onWarning: (warning) => warnings.push(warning) });
    expect(warnings).toEqual([expect.stringMatching(problem)]);
    const questions = rig.requests.length;
    await expect(signCms(key, Buffer.from(LETTER), { certificate, strict: true })).rejects.toMatchObject({
      code: "CERTIFICATE_UNFIT",
      message: expect.stringMatching(problem),
    });
    expect(rig.requests).toHaveLength(questions);
  }
}, 30_000);

test("a package that is not installed is named, with the line that installs it", async () => {
  const absent = loadLibrary("PDF", ["@signpdf/signpdf"], () => import(["@signpdf", "absent"].join("/")));
  await expect(absent).rejects.toMatchObject({
    code: "LIBRARY_MISSING",
    message: "PDF needs packages that are not installed; run: npm install @signpdf/signpdf",
  });
  await expect(loadLibrary("PDF", [], () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
});
