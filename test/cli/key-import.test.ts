import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

const PASSWORD = { CRYPTOKI_KEY_PASSWORD: "secret" };
const BOTH = { env: { ...OFFICER.env, ...PIN.env, ...PASSWORD } };
let folder: CardFolder;
let root: string;
let leaf: string;
const OPENSSL = "openssl";
const openssl = (...args: string[]): Buffer => execFileSync(OPENSSL, args, { stdio: ["ignore", "pipe", "ignore"] });

beforeAll(async () => {
  folder = await CardFolder.create({ yubico: true, keys: { "9a": null, "9c": "p-256", "9d": null, "9e": null } });
  for (const name of ["ec", "root"]) {
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", folder.file(`${name}.pem`));
  }
  openssl(
    "req",
    "-x509",
    "-key",
    folder.file("root.pem"),
    "-subj",
    "/CN=Root",
    "-days",
    "9",
    "-out",
    folder.file("ca.pem"),
  );
  openssl("req", "-new", "-key", folder.file("ec.pem"), "-subj", "/CN=Leaf", "-out", folder.file("leaf.csr"));
  const ca = ["-CA", folder.file("ca.pem"), "-CAkey", folder.file("root.pem"), "-CAcreateserial"];
  leaf = openssl("x509", "-req", "-in", folder.file("leaf.csr"), ...ca).toString();
  root = openssl("x509", "-in", folder.file("ca.pem")).toString();
  const files = [
    "-inkey",
    folder.file("ec.pem"),
    "-in",
    folder.file("leaf.pem", leaf),
    "-certfile",
    folder.file("ca.pem"),
  ];
  openssl("pkcs12", "-export", ...files, "-passout", "pass:secret", "-out", folder.file("key.p12"));
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given: Given = BOTH): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);
const info = async (reference: string): Promise<unknown> =>
  json(await onCard(["key", "info", "--reference", reference, "--json"]));
const pkcs8 = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();
const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });

describe("key import", () => {
  test("a PKCS #12 file onto a YubiKey: the key with policies, and its certificate; the chain is said to be left out", async () => {
    const args = [
      "key",
      "import",
      "--so",
      "--reference",
      "9a",
      "--policy",
      "pin=once,touch=never",
      folder.file("key.p12"),
    ];
    const imported = await onCard([...args, "--json"]);
    expect(json(imported)).toMatchObject({ imported: true, reference: "9a", key: "P-256", certificate: "CN=Leaf" });
    expect(imported.stderr).toContain("no place for the other certificate of the chain");
    expect(await info("9a")).toMatchObject({
      policy: { pin: "once", touch: "never", origin: "imported" },
      certificate: { subject: "CN=Leaf" },
    });
    expect(await onCard(["key", "verify", "--reference", "9a"])).toMatchObject({ code: 0, stderr: "" });
    // Once more, as after an interruption: the same key and certificate are no question.
    expect(await onCard(args)).toMatchObject({ code: 0 });
  });

  test.each([
    ["82", "RSA-2048", "decryption", RSA.privateKey],
    ["83", "P-384", "agreement", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
    ["84", "Ed25519", "signature", generateKeyPairSync("ed25519").privateKey],
    ["85", "X25519", "agreement", generateKeyPairSync("x25519").privateKey],
  ] as const)("into %s from standard input: %s, verified by its %s", async (place, key, by, privateKey) => {
    const imported = await onCard(["key", "import", "--so", "--id", place, "--json"], {
      ...BOTH,
      stdin: pkcs8(privateKey),
    });
    expect(json(imported)).toMatchObject({ imported: true, reference: place, key });
    const publicKey = createPublicKey(privateKey).export({ format: "pem", type: "spki" });
    const args = ["key", "verify", "--reference", place, "--key", folder.file("public.pem", publicKey), "--json"];
    const verified = json(await onCard(args)) as { by: string };
    // RSA keys sign too, and one proof is enough.
    expect(verified.by).toBe(key === "RSA-2048" ? "signature" : by);
  });

  test("asks before another key is destroyed, and refuses without the answer", async () => {
    const before = (await info("9c")) as { fingerprint: string };
    const args = ["key", "import", "--so", "--reference", "9c", "--no-certificates", folder.file("key.p12")];
    expect(jsonError(await onCard([...args, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/key of type P-256 in 9C \(id 02\) already, which a new one destroys.*--yes/u),
    });
    expect(await onCard(args, { ...BOTH, typed: "n\n" })).toMatchObject({ code: 2 });
    expect(await info("9c")).toMatchObject({ fingerprint: before.fingerprint });
    expect(await onCard([...args, "--yes"])).toMatchObject({ code: 0 });
    // The old certificate stays, and is of another key now.
    expect(jsonError(await onCard(["key", "verify", "--reference", "9c", "--json"]))).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining("is of another key than the one there"),
    });
  });

  test.each<[string[], Readonly<Record<string, string>>, number, RegExp]>([
    [["--reference", "9a", "key.p12"], { CRYPTOKI_KEY_PASSWORD: "wrong" }, 4, /key\.p12: the password is wrong/u],
    [["--reference", "9a", "key.p12"], { CRYPTOKI_KEY_PASSWORD: "" }, 4, /^Password of .*key\.p12: it is empty/u],
    [["--reference", "9b", "key.p12"], PASSWORD, 2, /a PIV card has 9a, 9c, 9d, 9e/u],
    [["key.p12"], PASSWORD, 2, /say which key: --reference/u],
    [["--reference", "9d", "ca.pem"], PASSWORD, 1, /holds no private key/u],
    [["--reference", "9d", "--usage", "sign", "key.p12"], PASSWORD, 2, /the place of a key says what it is for/u],
    [["--reference", "9d", "--usage", "seal", "key.p12"], PASSWORD, 2, /write sign, decrypt or derive/u],
    [["--reference", "9d", "--policy", "pin=twice", "key.p12"], PASSWORD, 2, /pin=default\|never/u],
  ])("refuses %j", async (args, env, exitCode, message) => {
    const file = folder.file(args.at(-1) ?? "");
    const refused = await onCard(["key", "import", "--so", ...args.slice(0, -1), file, "--json"], {
      env: { ...BOTH.env, ...env },
    });
    expect(jsonError(refused)).toMatchObject({ exitCode, message: expect.stringMatching(message) });
  });

  test("a key of a type or exponent that the card does not take", async () => {
    const odd = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 }).privateKey;
    const p521 = generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey;
    const refused = async (key: KeyObject): Promise<unknown> =>
      jsonError(await onCard(["key", "import", "--so", "--reference", "9d", "--json"], { ...BOTH, stdin: pkcs8(key) }));
    expect(await refused(odd)).toMatchObject({ message: expect.stringContaining("public exponent 65537 only") });
    expect(await refused(p521)).toMatchObject({ exitCode: 1, name: expect.stringMatching(/^CKR_/u) });
  });

  test("warns of the management key that every new card has", async () => {
    const made = await onCard(["key", "import", "--so", "--reference", "9a", folder.file("key.p12")]);
    expect(made.stderr).toContain("cryptoki so change");
  });

  test("a PIV card of the standard takes no keys, and says what to do", async () => {
    using standard = await CardFolder.create({ keys: { "9a": null, "9c": null, "9d": null, "9e": null } });
    const args = [
      "--virtual",
      standard.card,
      "key",
      "import",
      "--so",
      "--reference",
      "9a",
      folder.file("key.p12"),
      "--json",
    ];
    expect(jsonError(await cryptoki(args, BOTH))).toMatchObject({
      message: expect.stringContaining("generate the key on the card"),
    });
  });
});

describe("on a PKCS #15 card", () => {
  const token = (): string[] => [
    "--virtual",
    folder.file("pkcs15.json"),
    "--token",
    "pkcs11:token=Virtual%20eID%20%28PIN%29",
  ];
  const onToken = (...args: string[]): Promise<Outcome> => cryptoki([...token(), ...args], BOTH);
  beforeAll(async () => {
    await cryptoki(["virtual", "create", folder.file("pkcs15.json"), "--profile", "pkcs15"]);
  });

  test("a key with its whole chain, under the identifier that is given or its own", async () => {
    expect(
      json(await onToken("key", "import", "--id", "77", "--label", "Mail", folder.file("key.p12"), "--json")),
    ).toMatchObject({
      id: "77",
      certificate: "CN=Leaf",
    });
    const listed = json(await onToken("certificate", "list", "--json")) as { id: string; subject: string }[];
    expect(listed).toContainEqual(expect.objectContaining({ id: "77", subject: "CN=Leaf" }));
    expect(listed.map(({ subject }) => subject)).toContain("CN=Root");
    expect(await onToken("key", "verify", "--id", "77")).toMatchObject({ code: 0 });
    const rsa = folder.file("rsa.pem", pkcs8(RSA.privateKey));
    expect(json(await onToken("key", "import", "--usage", "decrypt", rsa, "--json"))).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f]{40}$/u),
    });
    const id = (json(await onToken("key", "list", "--json")) as { id: string; key: string }[]).at(-1)?.id ?? "";
    expect(json(await onToken("key", "verify", "--id", id, "--json"))).toMatchObject({ by: "decryption" });
  });

  test("the same key once more adds nothing; another key under the same identifier is refused", async () => {
    const count = async (): Promise<number> => (json(await onToken("key", "list", "--json")) as unknown[]).length;
    const before = await count();
    expect(await onToken("key", "import", "--id", "77", folder.file("key.p12"))).toMatchObject({ code: 0 });
    expect(await count()).toBe(before);
    const other = folder.file("other.pem", pkcs8(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey));
    expect(jsonError(await onToken("key", "import", "--id", "77", "--yes", other, "--json"))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("name another --id, or delete that key first"),
    });
  });

  test("--usage of a new key", async () => {
    await onToken("key", "generate", "--id", "78", "--type", "rsa2048", "--usage", "decrypt");
    expect(json(await onToken("key", "verify", "--id", "78", "--json"))).toMatchObject({ by: "decryption" });
  });
});

test("import --type private is the short form of it", async () => {
  const encrypted = openssl("pkcs8", "-topk8", "-in", folder.file("ec.pem"), "-passout", "pass:secret");
  writeFileSync(folder.file("encrypted.pem"), encrypted);
  const args = ["import", "--so", "--type", "private", "--id", "03", folder.file("encrypted.pem"), "--json"];
  expect(json(await onCard(args))).toMatchObject({ type: "private", id: "03" });
  expect(await info("9d")).toMatchObject({ key: "P-256", policy: { origin: "imported" } });
  expect(new X509Certificate(leaf).checkIssued(new X509Certificate(root))).toBe(true);
});
