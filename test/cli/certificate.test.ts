import { generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

const BOTH = { env: { ...OFFICER.env, ...PIN.env } };
let folder: CardFolder;
beforeAll(async () => {
  folder = await CardFolder.create({
    yubico: true,
    keys: {
      "9a": { privateKey: { type: "rsa-2048" }, certificate: null },
      "9c": { privateKey: { type: "p-384" }, certificate: null },
      "9d": { privateKey: { type: "p-256" }, certificate: null },
      "9e": { privateKey: { type: "ed25519" }, certificate: null },
      "82": { privateKey: { type: "x25519" }, certificate: null },
    },
  });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given: Given = BOTH): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, "certificate", ...args], given);

/** A certificate for the key of a request, by an authority of this test, and that authority's own. */
async function issue(requestPem: string, days = 365): Promise<{ leaf: string; root: string }> {
  const request = new x509.Pkcs10CertificateRequest(requestPem);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=Root",
    keys,
    signingAlgorithm: algorithm,
  });
  const leaf = await x509.X509CertificateGenerator.create({
    subject: request.subjectName,
    issuer: root.subjectName,
    notAfter: new Date(Date.now() + days * 86_400_000),
    publicKey: request.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: algorithm,
  });
  return { leaf: leaf.toString("pem"), root: root.toString("pem") };
}

const request = async (reference: string, ...more: string[]): Promise<string> => {
  const made = await onCard([
    "request",
    "--reference",
    reference,
    "--subject",
    "CN=Ada Lovelace,O=Example,C=NO",
    ...more,
  ]);
  expect(made).toMatchObject({ code: 0 });
  return made.stdout;
};

describe("certificate request", () => {
  test.each([["9a"], ["9c"], ["9d"], ["9e"]])("is signed by the key in %s", async (reference) => {
    const made = new x509.Pkcs10CertificateRequest(await request(reference));
    expect(await made.verify(webcrypto)).toBe(true);
    expect(made.subject).toBe("CN=Ada Lovelace, O=Example, C=NO");
  });

  test("says what --for, --san, --key-usage and --extended-key-usage say", async () => {
    const parsed = async (...more: string[]): Promise<object> => {
      const made = new x509.Pkcs10CertificateRequest(await request("9a", ...more));
      const [usage, purposes, names] = ["2.5.29.15", "2.5.29.37", "2.5.29.17"].map((oid) => made.getExtension(oid));
      return {
        usages: usage && new x509.KeyUsagesExtension(usage.rawData).usages,
        critical: usage?.critical,
        purposes: purposes && new x509.ExtendedKeyUsageExtension(purposes.rawData).usages,
        names: names && new x509.SubjectAlternativeNameExtension(names.rawData).names.toJSON(),
      };
    };
    const { digitalSignature, nonRepudiation, keyEncipherment } = x509.KeyUsageFlags;
    const logon = ["--for", "smart-card-logon", "--san", "upn:ada@example.org", "--san", "dns:ada.example.org"];
    expect(await parsed(...logon)).toEqual({
      usages: digitalSignature,
      critical: true,
      purposes: ["1.3.6.1.4.1.311.20.2.2", "1.3.6.1.5.5.7.3.2"],
      names: [
        { type: "upn", value: "ada@example.org" },
        { type: "dns", value: "ada.example.org" },
      ],
    });
    const signing = ["--for", "signing", "--san", "ip:192.0.2.1", "--san", "email:a@b.no"];
    expect(await parsed(...signing, "--extended-key-usage", "1.2.3.4")).toMatchObject({
      // Bits of the extension: both.
      usages: digitalSignature + nonRepudiation,
      purposes: ["1.2.3.4"],
      names: [
        { type: "ip", value: "192.0.2.1" },
        { type: "email", value: "a@b.no" },
      ],
    });
    expect(await parsed("--for", "client-login")).toMatchObject({ purposes: ["1.3.6.1.5.5.7.3.2"] });
    expect(await parsed("--key-usage", "key-encipherment")).toMatchObject({ usages: keyEncipherment });
    expect(await parsed()).toEqual({ usages: null, critical: undefined, purposes: null, names: null });
  });

  test.each([
    [["--reference", "82"], 2, /X25519 key in 82 \(id 05\) agrees on secrets, and cannot sign/u],
    [["--reference", "83"], 3, /there is no key in 83/u],
    [["--reference", "9a", "--for", "smart-card-logon"], 2, /--san upn:/u],
    [["--reference", "9a", "--san", "ip:1.2.3"], 2, /1\.2\.3 is no IP address/u],
    [["--reference", "9a", "--san", "ada"], 2, /write dns:, email:/u],
    [["--reference", "9a", "--san", "upn:ada"], 2, /write upn:name@domain/u],
    [["--reference", "9a", "--key-usage", "crl-sign"], 2, /there are digital-signature/u],
    [["--reference", "9a", "--extended-key-usage", "anything"], 2, /there are client-auth/u],
  ])("refuses %j", async (args, exitCode, message) => {
    const refused = await onCard(["request", "--subject", "CN=Ada", ...args, "--json"]);
    expect(jsonError(refused)).toMatchObject({ exitCode, message: expect.stringMatching(message) });
  });

  test("an EC key in 9D that wants the PIN each time signs its request with the card's own command, and CKA_SIGN stays false", async () => {
    using own = await CardFolder.create({
      yubico: true,
      keys: { "9a": null, "9c": null, "9d": { privateKey: { type: "p-384" }, pinPolicy: "always" }, "9e": null },
    });
    const on = ["--virtual", own.card];
    const made = await cryptoki([...on, "certificate", "request", "--reference", "9d", "--subject", "CN=Ada"], PIN);
    // The PIN that every new card has is said, once.
    expect(made).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^warning: the PIN is .*cryptoki pin change\n$/u),
    });
    expect(await new x509.Pkcs10CertificateRequest(made.stdout).verify(webcrypto)).toBe(true);
    expect(await cryptoki([...on, "sign", "--id", "03", "--json"], { ...PIN, stdin: "letter" })).not.toMatchObject({
      code: 0,
    });
    const wrong = await cryptoki(
      [...on, "certificate", "request", "--reference", "9d", "--subject", "CN=Ada", "--json"],
      {
        env: { CRYPTOKI_PIN: "999999" },
      },
    );
    expect(jsonError(wrong)).toMatchObject({ exitCode: 4, triesLeft: 2 });
  });

  test("an EC key in 9D of a card that does not sign with it", async () => {
    using standard = await CardFolder.create({ keys: { "9a": null, "9c": null, "9d": "p-256", "9e": null } });
    const args = ["certificate", "request", "--reference", "9d", "--subject", "CN=Ada", "--json"];
    expect(jsonError(await cryptoki(["--virtual", standard.card, ...args], PIN))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(
        "the key in 9D (id 03) is for agreeing on secrets: the card does not sign with it",
      ),
    });
  });

  test("warns once of the PIN that every new card has, and of no other", async () => {
    using own = await CardFolder.create({
      yubico: true,
      pin: "246802",
      keys: { "9a": null, "9c": "p-256", "9d": null, "9e": null },
    });
    const args = ["certificate", "request", "--reference", "9c", "--subject", "CN=Ada"];
    expect(await cryptoki(["--virtual", own.card, ...args], { env: { CRYPTOKI_PIN: "246802" } })).toMatchObject({
      code: 0,
      stderr: "",
    });
    const warned = await onCard(["request", "--reference", "9c", "--subject", "CN=Ada"]);
    expect(warned.stderr.match(/the PIN is the one that every new card has/gu)).toHaveLength(1);
  });

  test("refuses a subject that is none, and tells a wrong PIN with the tries that are left", async () => {
    expect(jsonError(await onCard(["request", "--reference", "9a", "--subject", "Ada", "--json"]))).toMatchObject({
      exitCode: 2,
      message: "--subject Ada names no attribute; write it as CN=Ada Lovelace,O=Example,C=NO",
    });
    const wrong = await onCard(["request", "--reference", "9a", "--subject", "CN=Ada", "--json"], {
      env: { CRYPTOKI_PIN: "999999" },
    });
    expect(jsonError(wrong)).toMatchObject({ name: "CKR_PIN_INCORRECT", exitCode: 4, triesLeft: 2 });
  });
});

describe("certificate import", () => {
  test("finds the key's own certificate in a chain of any order, and says what was left out", async () => {
    const { leaf, root } = await issue(await request("9a"));
    const file = folder.file("chain.pem", root + "\n" + leaf);
    const written = await onCard(["import", "--so", "--reference", "9a", file, "--json"]);
    expect(json(written)).toMatchObject({
      written: true,
      reference: "9a",
      subject: expect.stringContaining("Ada Lovelace"),
    });
    expect(written.stderr).toContain("no place for the other certificate of the chain");
    expect(written.stderr).toContain("in the wrong order");
    const sorted = folder.file("sorted.pem", leaf + "\n" + root);
    const again = await onCard(["import", "--so", "--reference", "9a", sorted]);
    expect(again).toMatchObject({ code: 0, stderr: expect.not.stringContaining("in the wrong order") });
    const back = (await onCard(["export", "--reference", "9a"])).stdout;
    expect(new X509Certificate(back).fingerprint256).toBe(new X509Certificate(leaf).fingerprint256);
  });

  test("refuses a certificate of another key, which --unchecked writes all the same", async () => {
    const { leaf, root } = await issue(await request("9a"));
    const file = folder.file("one.pem", leaf);
    const args = ["import", "--so", "--reference", "9c"];
    expect(jsonError(await onCard([...args, file, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/the certificate of .*Ada Lovelace is not of the key in 9C/u),
    });
    const two = folder.file("two.pem", leaf + "\n" + root);
    expect(jsonError(await onCard([...args, two, "--json"]))).toMatchObject({
      message: expect.stringContaining("none of the 2 certificates is of the key in 9C"),
    });
    expect((await onCard(["export", "--reference", "9c"])).code).toBe(3);
    expect(await onCard([...args, file, "--unchecked"])).toMatchObject({ code: 0 });
    expect(await onCard(["delete", "--so", "--reference", "9c", "--yes"])).toMatchObject({ code: 0 });
  });

  test("asks before it replaces a certificate", async () => {
    const pem = await request("9e");
    const first = folder.file("first.der", new X509Certificate((await issue(pem)).leaf).raw);
    const second = folder.file("second.der", new X509Certificate((await issue(pem)).leaf).raw);
    expect(await onCard(["import", "--so", "--reference", "9e", first])).toMatchObject({ code: 0 });
    // The same one again replaces nothing.
    expect(await onCard(["import", "--so", "--reference", "9e", first])).toMatchObject({ code: 0 });
    const args = ["import", "--so", "--reference", "9e", second];
    expect(jsonError(await onCard([...args, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/certificate of .*Ada Lovelace.* in 9E \(id 04\) already.*--yes/u),
    });
    expect(await onCard(args, { ...BOTH, typed: "n\n" })).toMatchObject({ code: 2 });
    expect(await onCard(args, { ...BOTH, typed: "yes\n" })).toMatchObject({ code: 0 });
  });

  test("refuses a file without a certificate", async () => {
    const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "pem", type: "spki" });
    const refused = await onCard(["import", "--so", "--reference", "9a", folder.file("key.pem", key), "--json"]);
    expect(jsonError(refused)).toMatchObject({ exitCode: 1, message: expect.stringContaining("holds no certificate") });
  });
});

describe("certificate self-sign", () => {
  test("writes a certificate that its own key signed, with the PIN and the management key", async () => {
    const made = await onCard([
      "self-sign",
      "--so",
      "--reference",
      "9c",
      "--subject",
      "CN=Ada",
      "--days",
      "10",
      "--json",
    ]);
    expect(json(made)).toMatchObject({ written: true, reference: "9c", subject: "CN=Ada" });
    const certificate = new X509Certificate((await onCard(["export", "--reference", "9c"])).stdout);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)).toBe(10 * 86_400_000);
    expect(
      await onCard(["self-sign", "--so", "--reference", "9c", "--subject", "CN=Ada", "--days", "0"]),
    ).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--days"),
    });
  });

  test("on a PKCS #15 card, with its PIN alone", async () => {
    const file = folder.file("pkcs15.json");
    expect((await cryptoki(["virtual", "create", file, "--profile", "pkcs15"])).code).toBe(0);
    const token = ["--virtual", file, "--token", "pkcs11:token=Virtual%20eID%20%28PIN%29"];
    const [first] = json(await cryptoki([...token, "key", "list", "--json"])) as { id: string }[];
    const args = ["certificate", "self-sign", "--id", first?.id ?? "", "--subject", "CN=Ada", "--yes", "--json"];
    const made = await cryptoki([...token, ...args], PIN);
    expect(made.stderr).toBe("");
    expect(json(made)).toMatchObject({ written: true, subject: "CN=Ada" });
    const listed = json(await cryptoki([...token, "certificate", "list", "--json"])) as {
      subject: string;
      id: string;
    }[];
    expect(listed.filter(({ id }) => id === first?.id).map(({ subject }) => subject)).toEqual(["CN=Ada"]);
  });
});

describe("certificate list and delete", () => {
  test("list shows what expires, and --expires-within only that", async () => {
    const { leaf } = await issue(await request("9a"), 20);
    await onCard(["import", "--so", "--yes", "--reference", "9a", folder.file("short.pem", leaf)]);
    const subjects = async (...more: string[]): Promise<string[]> =>
      (json(await onCard(["list", "--json", ...more])) as { reference: string }[]).map(({ reference }) => reference);
    expect(await subjects()).toEqual(expect.arrayContaining(["9a", "9e"]));
    expect(await subjects("--expires-within", "30d")).toContain("9a");
    expect(await subjects("--expires-within", "30d")).not.toContain("9e");
    expect(await subjects("--expires-within", "2w")).not.toContain("9a");
    expect((await onCard(["list"])).stdout).toMatch(/in (?:19|20) days/u);
    expect(await onCard(["list", "--expires-within", "soon"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("30d or 8w"),
    });
  });

  test("delete asks, takes the certificate, and leaves the key", async () => {
    const args = ["delete", "--so", "--reference", "9a"];
    expect(jsonError(await onCard([...args, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("--yes"),
    });
    expect((await onCard(["export", "--reference", "9a"])).code).toBe(0);
    expect(await onCard([...args, "--yes"])).toMatchObject({ code: 0 });
    expect(await onCard(["export", "--reference", "9a"])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("there is no certificate in 9A (id 01)"),
    });
    expect((await cryptoki(["--virtual", folder.card, "key", "info", "--reference", "9a"])).code).toBe(0);
  });

  test("export writes PEM or DER", async () => {
    const out = folder.file("out.der");
    expect((await onCard(["export", "--reference", "9e", "--format", "der", "--output", out])).code).toBe(0);
    expect(new X509Certificate(readFileSync(out)).subject).toContain("Ada Lovelace");
  });
});
