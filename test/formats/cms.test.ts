import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { type CmsOptions, signCms } from "../../src/formats/index.ts";
import type { KEYS } from "../tokens/opened.ts";
import { opened } from "../tokens/opened.ts";

const LETTER = "an important letter\n";
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "cms-"));
});
afterAll(() => rm(folder, { recursive: true }));

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
