/** Keys of a PIV card without Yubico's commands, which shows no key before its certificate is there. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createPublicKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import "reflect-metadata";
import { Pkcs10CertificateRequest } from "@peculiar/x509";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, json, jsonError, type Outcome } from "./program.ts";

let folder: CardFolder;
beforeEach(async () => {
  folder = await CardFolder.create({ keys: { "9a": null, "9c": "p-256", "9d": null, "9e": null } });
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const onCard = (...args: readonly string[]): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args, "--json"], { env: { ...OFFICER.env, ...PIN.env } });
const asked = (...args: readonly string[]): Promise<Outcome> =>
  onCard("certificate", "request", "--subject", "CN=Ada", ...args);

async function generate(reference: string, type: string): Promise<string> {
  const file = folder.file(`${reference}-${type}.pem`);
  const made = await onCard(
    "key",
    "generate",
    "--so",
    "--yes",
    "--reference",
    reference,
    "--type",
    type,
    "--output",
    file,
  );
  expect(made.code).toBe(0);
  return file;
}

test.each(["p256", "p384", "rsa2048"])("a request of a new %s key, signed by it", async (type) => {
  const key = await generate("9a", type);
  expect(jsonError(await asked("--reference", "9a"))).toMatchObject({
    exitCode: 3,
    message: expect.stringContaining("give its public key with --key"),
  });
  const { request } = json(await asked("--reference", "9a", "--key", key)) as { request: string };
  const parsed = new Pkcs10CertificateRequest(request);
  expect(await parsed.verify()).toBe(true);
  const spki = createPublicKey(readFileSync(key, "utf8")).export({ format: "der", type: "spki" });
  expect(Buffer.from(parsed.publicKey.rawData)).toEqual(spki);
});

test("a key beside an old certificate signs its own certificate, which takes the old one's place", async () => {
  const key = await generate("9c", "p384");
  const args = ["certificate", "self-sign", "--so", "--yes", "--reference", "9c", "--subject", "CN=Ada", "--key", key];
  expect(await onCard(...args)).toMatchObject({ code: 0 });
  const { stdout } = await cryptoki(["--virtual", folder.card, "certificate", "export", "--reference", "9c"]);
  const certificate = new X509Certificate(stdout);
  expect(certificate.subject).toBe("CN=Ada");
  expect(certificate.verify(createPublicKey(readFileSync(key, "utf8")))).toBe(true);
  expect(await onCard("key", "verify", "--reference", "9c")).toMatchObject({ code: 0 });
});

test("the public key of another key is refused, and no try is spent", async () => {
  const kept = folder.file("kept.pem", readFileSync(await generate("9a", "p256"), "utf8"));
  await onCard("key", "generate", "--so", "--reference", "9a");
  expect(jsonError(await asked("--reference", "9a", "--key", kept))).toMatchObject({
    exitCode: 1,
    message: expect.stringContaining("kept.pem is of another key than the one in 9A"),
  });
  expect(json(await onCard("pin", "status"))).toMatchObject([{ user: { triesLeft: 3 } }]);
});

test("an EC key in 9D agrees on secrets, and signs no request on such a card", async () => {
  const key = await generate("9d", "p256");
  expect(jsonError(await asked("--reference", "9d", "--key", key))).toMatchObject({
    message: expect.stringContaining("is for agreeing on secrets"),
  });
});
