/** A new card of each make that can be initialised, from its first PIN to its end, with the command alone. */
import { afterAll, describe, expect, test } from "@jest/globals";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import "reflect-metadata";
import { Pkcs10CertificateRequest, X509CertificateGenerator } from "@peculiar/x509";
import { CardFolder } from "./card.ts";
import { cryptoki, json, jsonError, type Outcome } from "./program.ts";

interface Make {
  readonly name: string;
  readonly create: readonly string[];
  readonly officer: string;
  /** How a key is named. */
  readonly place: readonly string[];
  readonly type: string;
  /** The label after `token init --label Ada`. */
  readonly label: RegExp;
  /** Writing wants the officer. */
  readonly so: boolean;
  /** What `token reset` wants, if the card knows a reset. */
  readonly eraser: "PIN" | "SO PIN" | "nothing" | undefined;
}

const ON_PKCS15 = { place: ["--id", "01"], label: /^Ada$/u, so: false } as const;
const MAKES: readonly Make[] = [
  { ...ON_PKCS15, name: "myeid", create: ["--profile", "myeid"], officer: "87654321", type: "p256", eraser: "SO PIN" },
  {
    ...ON_PKCS15,
    name: "iso-applet",
    create: ["--profile", "iso-applet"],
    officer: "1234567890123456",
    type: "rsa2048",
    eraser: "PIN",
  },
  {
    ...ON_PKCS15,
    name: "smartcard-hsm",
    create: ["--profile", "smartcard-hsm"],
    officer: "3537363231383830",
    type: "p256",
    eraser: undefined,
  },
  {
    name: "yubikey",
    create: ["--yubico", "--empty"],
    officer: "010203040506070801020304050607080102030405060708",
    place: ["--reference", "9a"],
    type: "p256",
    label: /^PIV \d+$/u,
    so: true,
    eraser: "nothing",
  },
];
const PIN = "246802";

const folder = new CardFolder();
afterAll(() => {
  folder[Symbol.dispose]();
});

/** An authority's certificate for a request. */
async function issue(request: string): Promise<string> {
  const { subjectName, publicKey } = new Pkcs10CertificateRequest(request);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const pkcs8 = privateKey.export({ format: "der", type: "pkcs8" });
  const signingKey = await crypto.subtle.importKey("pkcs8", pkcs8, ecdsa, false, ["sign"]);
  const made = { subject: subjectName, issuer: "CN=Authority", publicKey, signingKey, signingAlgorithm: ecdsa };
  return (await X509CertificateGenerator.create(made)).toString("pem");
}

describe.each(MAKES)("a new $name", ({ name, create, officer, place, type, label, so, eraser }) => {
  const file = folder.file(`${name}.json`);
  const on = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
    cryptoki(["--virtual", file, ...args, "--json"], { env });
  const secrets = { CRYPTOKI_PIN: PIN, ...(so && { CRYPTOKI_SO_PIN: officer }) };
  const asOfficer = so ? ["--so"] : [];
  const labelOf = async (): Promise<string> => (json(await on(["tokens"])) as [{ label: string }])[0].label;

  test("is initialised, and gets a key, a certificate of an authority, and signs", async () => {
    expect(await cryptoki(["virtual", "create", file, ...create])).toMatchObject({ code: 0 });
    const init = ["token", "init", "--label", "Ada", "--new-pin-source", "env:FIRST"];
    expect(jsonError(await on(init, { CRYPTOKI_SO_PIN: officer, FIRST: PIN }))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("are destroyed for ever; add --yes"),
    });
    // A new PIN that cannot be read is said before anything is destroyed.
    const { stdout: before } = await on(["tokens"]);
    const unread = on([...init, "--yes", "--new-pin-source", "env:ABSENT"], { CRYPTOKI_SO_PIN: officer });
    expect(jsonError(await unread)).toMatchObject({ exitCode: 4, message: expect.stringContaining("ABSENT") });
    expect((await on(["tokens"])).stdout).toBe(before);
    const made = await on([...init, "--yes"], { CRYPTOKI_SO_PIN: officer, FIRST: PIN });
    expect(json(made)).toEqual({ label: expect.stringMatching(label), initialised: true, pinSet: true });
    expect(await labelOf()).toMatch(label);
    expect(await on(["key", "generate", ...place, ...asOfficer, "--type", type], secrets)).toMatchObject({ code: 0 });
    const request = folder.file(`${name}.csr`);
    const asked = ["certificate", "request", ...place, "--subject", "CN=Ada", "--output", request];
    expect(await on(asked, secrets)).toMatchObject({ code: 0 });
    const certificate = folder.file(`${name}.pem`, await issue(readFileSync(request, "utf8")));
    expect(await on(["certificate", "import", ...place, ...asOfficer, certificate], secrets)).toMatchObject({
      code: 0,
    });
    const listed = json(await on(["certificate", "list"])) as { subject: string; issuer: string }[];
    expect(listed).toMatchObject([{ subject: "CN=Ada", issuer: "CN=Authority" }]);
    const [letter, signature] = [folder.file("letter", "a letter"), folder.file(`${name}.sig`)];
    expect(await on(["sign", "--id", "01", letter, "--output", signature], secrets)).toMatchObject({ code: 0 });
    const { publicKey } = new X509Certificate(readFileSync(certificate));
    const spki = folder.file(`${name}.pub`, publicKey.export({ format: "pem", type: "spki" }));
    const verify = ["verify", "--key", spki, "--signature", signature, letter];
    expect(json(await cryptoki([...verify, "--json"]))).toMatchObject({ valid: true });
    expect(
      json(await cryptoki([...verify.slice(0, -1), folder.file("other", "another letter"), "--json"])),
    ).toMatchObject({ valid: false });
  });

  test("has another label and another PIN set, or says why not", async () => {
    const renamed = await on(["token", "label", "Grace"], secrets);
    if (so)
      expect(jsonError(renamed)).toMatchObject({ message: expect.stringContaining("made from its serial number") });
    else {
      expect(json(renamed)).toEqual({ label: "Grace", changed: true });
      expect(await labelOf()).toBe("Grace");
    }
    const set = await on(["pin", "set"], { CRYPTOKI_SO_PIN: officer, CRYPTOKI_NEW_PIN: "135790" });
    // Of a YubiKey with the PUK of the factory, which is still the card's.
    const isSet = name !== "myeid";
    if (isSet) expect(json(set)).toMatchObject({ set: true });
    else {
      const message = "is set with the PUK, not by the security officer";
      expect(jsonError(set)).toMatchObject({ message: expect.stringContaining(message) });
    }
    const tested = await on(["self-test"], { CRYPTOKI_PIN: isSet ? "135790" : PIN });
    expect(json(tested)).toMatchObject([
      { passed: true, keys: expect.arrayContaining([expect.objectContaining({ use: "sign", passed: true })]) },
    ]);
    if (isSet) {
      const back = { CRYPTOKI_SO_PIN: officer, CRYPTOKI_NEW_PIN: PIN };
      expect(await on(["pin", "set"], back)).toMatchObject({ code: 0 });
    }
  });

  test("is without a defect", async () => {
    expect(json(await on(["card", "doctor"]))).toMatchObject({ clean: true });
  });

  test("is backed up as far as it can be, and emptied", async () => {
    const backup = folder.file(`${name}.backup`);
    const copied = json(await on(["card", "backup", backup], secrets)) as { left: object[] };
    expect(copied).toMatchObject({ keys: 0, left: [{ class: "private-key" }] });
    const reset = (env: Readonly<Record<string, string>>): Promise<Outcome> => on(["token", "reset", "--yes"], env);
    if (eraser === undefined) {
      const refused = await reset(secrets);
      expect(jsonError(refused)).toMatchObject({
        exitCode: 2,
        message: expect.stringContaining("cryptoki token init"),
      });
      const again = ["token", "init", "--label", "Ada", "--yes"];
      expect(jsonError(await on(again, { CRYPTOKI_SO_PIN: "0000000000000000" }))).toMatchObject({ exitCode: 4 });
      expect(await on(again, { CRYPTOKI_SO_PIN: officer })).toMatchObject({ code: 0 });
    } else {
      const pin = eraser === "SO PIN" ? officer : PIN;
      expect(json(await reset(eraser === "nothing" ? {} : { CRYPTOKI_PIN: pin }))).toMatchObject({ reset: true });
    }
    expect(jsonError(await on(["objects"]))).toMatchObject({
      exitCode: 3,
      message: "no key or certificate on the token, or none that it shows without --login; --all lists the rest",
    });
    expect(await on(["key", "list"])).toMatchObject({ code: 3 });
    expect(await on(["certificate", "list"])).toMatchObject({ code: 3 });
    if (eraser !== "PIN" && eraser !== "SO PIN") return;
    const twice = await reset({ CRYPTOKI_PIN: PIN });
    expect(jsonError(twice)).toMatchObject({ exitCode: 2, message: expect.stringContaining("cryptoki token init") });
    const { stdout } = await cryptoki(["--virtual", file, "tokens"]);
    expect(stdout).toMatch(/^\(no label\)\n[^]*the card is not initialised/u);
  });
});

test("an EC key of an IsoApplet hashes with SHA-1 only: a request says so before it asks for the PIN", async () => {
  const file = folder.file("applet.json");
  await cryptoki(["virtual", "create", file, "--profile", "iso-applet"]);
  const env = { CRYPTOKI_SO_PIN: "1234567890123456", CRYPTOKI_NEW_PIN: PIN };
  const init = ["token", "init", "--yes", "--new-pin-source", "env:CRYPTOKI_NEW_PIN"];
  expect(await cryptoki(["--virtual", file, ...init], { env })).toMatchObject({ code: 0 });
  const generate = ["key", "generate", "--id", "01", "--type", "p256"];
  expect(await cryptoki(["--virtual", file, ...generate], { env: { CRYPTOKI_PIN: PIN } })).toMatchObject({ code: 0 });
  const refused = await cryptoki(["--virtual", file, "certificate", "request", "--id", "01", "--subject", "CN=Ada"]);
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("the card does not sign with ECDSA and SHA-256 with the key in id 01"),
  });
  expect(refused.stderr).not.toContain("cryptoki help");
});

test("a card that is full says so, and holds what it held", async () => {
  const file = folder.file("full.json");
  const on = (...args: string[]): Promise<Outcome> =>
    cryptoki(["--virtual", file, ...args, "--json"], {
      env: { CRYPTOKI_SO_PIN: "3537363231383830", CRYPTOKI_NEW_PIN: PIN, CRYPTOKI_PIN: PIN },
    });
  await cryptoki(["virtual", "create", file, "--profile", "smartcard-hsm"]);
  expect(await on("token", "init", "--yes", "--new-pin-source", "env:CRYPTOKI_NEW_PIN")).toMatchObject({ code: 0 });
  const write = (name: string, length: number): Promise<Outcome> =>
    on("object", "write", name, "--application", "test", folder.file("big", new Uint8Array(length)));
  expect(jsonError(await write("longer", 32_768))).toMatchObject({
    message: expect.stringContaining("32768 bytes, 32767 at most in a file"),
  });
  for (const name of ["big", "too"]) expect(await write(name, 32_767)).toMatchObject({ code: 0 });
  expect(await on("key", "generate", "--id", "01")).toMatchObject({ code: 0 });
  expect(jsonError(await write("much", 32_767))).toMatchObject({
    name: "CKR_DEVICE_MEMORY",
    message: expect.stringContaining("memory"),
  });
  expect(json(await on("self-test"))).toMatchObject([{ passed: true }]);
  expect(json(await on("object", "read", "big"))).toMatchObject({ length: 32_767 });
});
