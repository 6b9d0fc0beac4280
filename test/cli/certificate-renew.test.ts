import { webcrypto, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

const BOTH = { env: { ...OFFICER.env, ...PIN.env } };
const SUBJECT = ["--subject", "CN=Ada Lovelace,O=Example", "--san", "upn:ada@example.org", "--for", "smart-card-logon"];
let folder: CardFolder;
let request: string;
beforeEach(async () => {
  folder = await CardFolder.create({ yubico: true, keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
  request = folder.file("request.pem");
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const on = (card: string, args: readonly string[], given: Given = BOTH): Promise<Outcome> =>
  cryptoki(["--virtual", card, ...args], given);
const onCard = (args: readonly string[], given: Given = BOTH): Promise<Outcome> => on(folder.card, args, given);
const exported = async (card: string, ...place: string[]): Promise<X509Certificate> =>
  new X509Certificate((await on(card, ["certificate", "export", ...place])).stdout);

/** A certificate for a request, in a file. */
async function issue(name = "issued.pem", days = 3650): Promise<string> {
  const made = new x509.Pkcs10CertificateRequest(readFileSync(request, "utf8"));
  expect(await made.verify(webcrypto)).toBe(true);
  const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const { privateKey } = await webcrypto.subtle.generateKey(signingAlgorithm, false, ["sign"]);
  const leaf = await x509.X509CertificateGenerator.create({
    subject: made.subjectName,
    issuer: "CN=Authority",
    notAfter: new Date(Date.now() + days * 86_400_000),
    publicKey: made.publicKey,
    signingKey: privateKey,
    signingAlgorithm,
  });
  return folder.file(name, leaf.toString("pem"));
}

const KEEP = (): string[] => ["certificate", "renew", "--so", "--reference", "9a", "--request", request];
const NEW = (): string[] => [...KEEP(), "--new-key", "p256"];

describe("with the same key", () => {
  test("a request with the names and uses of the old certificate, then the new certificate", async () => {
    await onCard(["certificate", "self-sign", "--so", "--yes", "--reference", "9a", "--days", "3", ...SUBJECT]);
    const old = await exported(folder.card, "--reference", "9a");
    expect(await onCard(KEEP())).toMatchObject({ code: 0, stderr: expect.stringContaining("--certificate") });
    const made = new x509.Pkcs10CertificateRequest(readFileSync(request, "utf8"));
    expect(made.subject).toBe("CN=Ada Lovelace, O=Example");
    expect(made.extensions.map(({ type }) => type).sort()).toEqual(["2.5.29.15", "2.5.29.17", "2.5.29.37"]);
    const issued = await issue();
    expect(json(await onCard([...KEEP(), "--certificate", issued, "--json"]))).toMatchObject({
      written: true,
      reference: "9a",
    });
    const renewed = await exported(folder.card, "--reference", "9a");
    expect(renewed.publicKey.equals(old.publicKey)).toBe(true);
    expect(renewed.issuer).toBe("CN=Authority");
    // Once more: it is there, and no login is needed.
    expect(await onCard([...KEEP(), "--certificate", issued], { env: {} })).toMatchObject({ code: 0 });
  });

  test("another subject and other names, where they are given", async () => {
    await onCard(["certificate", "self-sign", "--so", "--yes", "--reference", "9a", ...SUBJECT]);
    expect(await onCard([...KEEP(), "--subject", "CN=Ada King", "--san", "email:ada@king.org"])).toMatchObject({
      code: 0,
    });
    const made = new x509.Pkcs10CertificateRequest(readFileSync(request, "utf8"));
    expect(made.subject).toBe("CN=Ada King");
    const names = made.getExtension("2.5.29.17");
    expect(names && new x509.SubjectAlternativeNameExtension(names.rawData).names.toJSON()).toEqual([
      { type: "email", value: "ada@king.org" },
    ]);
  });

  test("asks before a certificate is replaced by one that expires earlier", async () => {
    await onCard(KEEP());
    const short = await issue("short.pem", 2);
    const args = [...KEEP(), "--certificate", short];
    expect(jsonError(await onCard([...args, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("--yes"),
    });
    expect(await onCard([...args, "--yes"])).toMatchObject({ code: 0 });
  });
});

describe("with a new key", () => {
  test("asks before the old key is destroyed; the request is of the new one, and a second call makes no other", async () => {
    const old = await exported(folder.card, "--reference", "9a");
    expect(jsonError(await onCard([...NEW(), "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/the key in 9A \(id 01\) is destroyed, and a new one made.*--yes/u),
    });
    expect(await onCard(NEW(), { ...BOTH, typed: "n\n" })).toMatchObject({ code: 2 });
    expect(await onCard(["key", "verify", "--reference", "9a"])).toMatchObject({ code: 0 });
    expect(await onCard([...NEW(), "--yes", "--policy", "touch=cached"])).toMatchObject({ code: 0 });
    const first = readFileSync(request, "utf8");
    // Without a question: an earlier call has made the key.
    expect(json(await onCard([...NEW(), "--json"]))).toMatchObject({ wasThere: true, request: first });
    rmSync(request);
    expect(await onCard(NEW())).toMatchObject({ code: 0 });
    const made = new x509.Pkcs10CertificateRequest(readFileSync(request, "utf8"));
    expect(made.publicKey.toString("base64")).toBe(
      new x509.Pkcs10CertificateRequest(first).publicKey.toString("base64"),
    );
    expect(await onCard([...KEEP(), "--certificate", await issue()])).toMatchObject({ code: 0 });
    const renewed = await exported(folder.card, "--reference", "9a");
    expect(renewed.publicKey.equals(old.publicKey)).toBe(false);
    expect(await onCard(["key", "verify", "--reference", "9a"])).toMatchObject({ code: 0 });
  });

  test("a request that was cut off while it was written is written anew", async () => {
    await onCard([...NEW(), "--yes"]);
    writeFileSync(request, readFileSync(request, "utf8").slice(0, 100));
    expect(await onCard(NEW())).toMatchObject({ code: 0 });
    expect(readFileSync(request, "utf8")).toContain("-----END CERTIFICATE REQUEST-----");
    writeFileSync(request, "");
    expect(await onCard(NEW())).toMatchObject({ code: 0 });
    await issue();
  });

  test("on a card of the standard, which shows the old key until the new certificate is there", async () => {
    const card = folder.file("standard.json");
    const args = [
      "virtual",
      "create",
      card,
      "--key",
      "9a=rsa-2048",
      "--key",
      "9c=none",
      "--key",
      "9d=none",
      "--key",
      "9e=none",
    ];
    expect((await cryptoki(args)).code).toBe(0);
    expect(await on(card, [...NEW(), "--yes"])).toMatchObject({ code: 0 });
    expect(json(await on(card, [...NEW(), "--json"]))).toMatchObject({ wasThere: true });
    const issued = await issue();
    expect(await on(card, [...NEW(), "--certificate", issued])).toMatchObject({ code: 0 });
    expect(await on(card, ["key", "verify", "--reference", "9a"])).toMatchObject({ code: 0 });
    expect((await exported(card, "--reference", "9a")).issuer).toBe("CN=Authority");
  });

  test("on a PKCS #15 card the new key has an identifier of its own, and the old one stays", async () => {
    const card = folder.file("pkcs15.json");
    await cryptoki(["virtual", "create", card, "--profile", "pkcs15"]);
    const token = ["--token", "pkcs11:token=Virtual%20eID%20%28PIN%29"];
    const renew = [...token, "certificate", "renew", "--id", "01", "--request", request, "--new-key", "p256"];
    expect(await on(card, renew)).toMatchObject({ code: 2, stderr: expect.stringContaining("--new-id") });
    expect(await on(card, [...renew, "--new-id", "46"])).toMatchObject({ code: 0 });
    expect(json(await on(card, [...renew, "--new-id", "46", "--json"]))).toMatchObject({ id: "46", wasThere: true });
    expect(await on(card, [...renew, "--new-id", "46", "--certificate", await issue()])).toMatchObject({ code: 0 });
    expect(await on(card, [...token, "key", "verify", "--id", "46"])).toMatchObject({ code: 0 });
    expect(await on(card, [...token, "key", "verify", "--id", "01"])).toMatchObject({ code: 0 });
    expect(await on(card, [...renew, "--new-id", "02", "--force"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("there is a certificate in id 02 already"),
    });
  });
});

describe("refusals", () => {
  test.each<[string[], number, RegExp]>([
    [["--reference", "9c"], 3, /no certificate in 9C \(id 02\) to renew/u],
    [["--reference", "9a", "--new-key", "x25519"], 2, /Allowed choices/u],
    [["--reference", "9a", "--new-id", "05", "--new-key", "p256"], 2, /takes the old one's place/u],
    [["--reference", "9a", "--policy", "pin=once"], 2, /are for --new-key/u],
    [["--reference", "9a", "--certificate", "absent.pem"], 1, /no such file/u],
  ])("%j", async (args, exitCode, message) => {
    const refused = await onCard(["certificate", "renew", "--so", "--request", request, ...args, "--json"]);
    expect(jsonError(refused)).toMatchObject({ exitCode, message: expect.stringMatching(message) });
    expect(existsSync(request)).toBe(false);
  });

  test("a certificate of another key, and one before there is a new key", async () => {
    await onCard(KEEP());
    const issued = await issue();
    await onCard(["key", "generate", "--so", "--yes", "--reference", "9a"]);
    rmSync(request);
    expect(jsonError(await onCard([...KEEP(), "--certificate", issued, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("is not of the key in 9A"),
    });
    // The key that is kept must be the old certificate's.
    expect(jsonError(await onCard([...KEEP(), "--json"]))).toMatchObject({
      message: expect.stringContaining("not its certificate's any more"),
    });
  });

  test("a file that is no request, or that of another key, is written over with --force only", async () => {
    await onCard([...NEW(), "--yes"]);
    const other = readFileSync(request, "utf8");
    await onCard(["key", "generate", "--so", "--yes", "--reference", "9a"]);
    expect(jsonError(await onCard([...NEW(), "--json"]))).toMatchObject({
      message: expect.stringContaining("of another key than the one in 9A"),
    });
    writeFileSync(request, "a letter");
    expect(jsonError(await onCard([...NEW(), "--json"]))).toMatchObject({
      message: expect.stringContaining("holds no certificate request"),
    });
    expect(readFileSync(request, "utf8")).toBe("a letter");
    expect(await onCard([...NEW(), "--force"])).toMatchObject({ code: 0 });
    expect(readFileSync(request, "utf8")).not.toBe(other);
    await issue();
  });

  test("an EC key in 9D, on a card that would not sign its request, leaves the old key", async () => {
    using standard = await CardFolder.create({ keys: { "9a": null, "9c": null, "9d": "rsa-2048", "9e": null } });
    const args = [
      "certificate",
      "renew",
      "--so",
      "--yes",
      "--reference",
      "9d",
      "--new-key",
      "p256",
      "--request",
      request,
    ];
    expect(jsonError(await on(standard.card, [...args, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("--new-key rsa2048"),
    });
    expect(await on(standard.card, ["key", "verify", "--reference", "9d"])).toMatchObject({ code: 0 });
  });
});
