import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { encodePublicKey } from "../../src/crypto/index.ts";
import { readKeyFile } from "../../src/keyfiles/index.ts";

const PASSWORD = "correct horse ø";
let folder: string;
const file = (name: string): string => path.join(folder, name);
const OPENSSL = "openssl";
const openssl = (...args: string[]): Buffer => execFileSync(OPENSSL, args, { stdio: ["ignore", "pipe", "ignore"] });
/** SubjectPublicKeyInfo, hexadecimal. */
const spki = { rsa: "", ec: "" };
/** A key and its chain: the root, then the key's own certificate. */
let leaf: X509Certificate;
let root: X509Certificate;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "keyfiles-"));
  openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", file("rsa.pem"));
  openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file("ec.pem"));
  for (const name of ["rsa", "ec"] as const) {
    const key = createPublicKey(readFileSync(file(`${name}.pem`)));
    spki[name] = key.export({ format: "der", type: "spki" }).toString("hex");
  }
  openssl("req", "-x509", "-key", file("rsa.pem"), "-subj", "/CN=Root", "-days", "30", "-out", file("root.pem"));
  openssl("req", "-new", "-key", file("ec.pem"), "-subj", "/CN=Leaf", "-out", file("leaf.csr"));
  const issue = ["-CA", file("root.pem"), "-CAkey", file("rsa.pem"), "-CAcreateserial", "-days", "20"];
  openssl("x509", "-req", "-in", file("leaf.csr"), ...issue, "-out", file("leaf.pem"));
  leaf = new X509Certificate(readFileSync(file("leaf.pem")));
  root = new X509Certificate(readFileSync(file("root.pem")));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Read {
  readonly spki: string;
  readonly subjects: string[];
}

async function read(bytes: Uint8Array, password?: string): Promise<Read> {
  const given = password === undefined ? {} : { password: () => Promise.resolve(utf8(password)) };
  const { key, certificate, others } = await readKeyFile(new Uint8Array(bytes), { name: "key.p12", ...given });
  return {
    spki: Buffer.from(encodePublicKey(key.publicKey)).toString("hex"),
    subjects: [...(certificate ? [certificate] : []), ...others].map((der) => new X509Certificate(der).subject),
  };
}

/** A PKCS#12 file of the EC key with its chain; the certificates stand in the wrong order. */
function pkcs12(...options: string[]): Buffer {
  const chain = file("chain.pem");
  writeFileSync(chain, `${root.toString()}${leaf.toString()}`);
  return openssl(
    "pkcs12",
    "-export",
    "-inkey",
    file("ec.pem"),
    "-in",
    file("leaf.pem"),
    "-certfile",
    file("root.pem"),
    ...options,
  );
}
const pass = ["-passout", `pass:${PASSWORD}`];

describe("PEM and DER without a password", () => {
  test.each([
    ["PKCS #8", ["pkey"], "rsa"],
    ["PKCS #1", ["rsa", "-traditional"], "rsa"],
    ["SEC 1", ["ec"], "ec"],
  ] as const)("%s", async (_form, command, key) => {
    for (const outform of ["PEM", "DER"]) {
      const bytes = openssl(...command, "-in", file(`${key}.pem`), "-outform", outform);
      expect((await read(bytes)).spki).toBe(spki[key]);
    }
  });

  test("a key with its chain in any order: its own certificate comes first", async () => {
    const pem = `${root.toString()}${readFileSync(file("ec.pem"), "latin1")}${leaf.toString()}`;
    expect(await read(utf8(pem))).toEqual({ spki: spki.ec, subjects: ["CN=Leaf", "CN=Root"] });
  });

  test.each(["ed25519", "x25519"] as const)("%s", async (type) => {
    const { privateKey, publicKey } =
      type === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
    const { spki: found } = await read(utf8(privateKey.export({ format: "pem", type: "pkcs8" }).toString()));
    expect(found).toBe(publicKey.export({ format: "der", type: "spki" }).toString("hex"));
  });
});

describe("with a password", () => {
  test.each([
    ["PBES2, AES-256", ["pkcs8", "-topk8", "-v2", "aes-256-cbc"]],
    ["PBES2, AES-128, HMAC with SHA-1", ["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"]],
    ["PBES2, AES-192, HMAC with SHA-512", ["pkcs8", "-topk8", "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA512"]],
    ["PBES2, triple DES", ["pkcs8", "-topk8", "-v2", "des3"]],
    ["PBES2, scrypt", ["pkcs8", "-topk8", "-scrypt"]],
    ["SHA-1 and triple DES", ["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"]],
    ["SHA-1 and triple DES with two keys", ["pkcs8", "-topk8", "-v1", "PBE-SHA1-2DES"]],
    ["OpenSSL's own encryption of PEM", ["ec", "-aes128"]],
  ])("%s", async (_form, command) => {
    const pem = openssl(...command, ...pass, "-in", file("ec.pem"));
    expect((await read(pem, PASSWORD)).spki).toBe(spki.ec);
    await expect(read(pem, "wrong")).rejects.toMatchObject({ code: "WRONG_PASSWORD" });
    await expect(read(pem)).rejects.toMatchObject({ code: "PASSWORD_MISSING" });
  });

  test("encryption of PKCS #8 that is refused by name, with the line that converts it", async () => {
    const legacy = ["-provider", "legacy", "-provider", "default"];
    writeFileSync(
      file("rc2.pem"),
      openssl("pkcs8", "-topk8", "-v1", "PBE-SHA1-RC2-64", ...legacy, ...pass, "-in", file("ec.pem")),
    );
    const refusal: unknown = await read(readFileSync(file("rc2.pem")), PASSWORD).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringMatching(/RC2-64 .*openssl pkcs8 -provider legacy/u),
    });
    const converted = openssl(
      "pkcs8",
      ...legacy,
      "-topk8",
      "-in",
      file("rc2.pem"),
      "-passin",
      `pass:${PASSWORD}`,
      ...pass,
    );
    expect((await read(converted, PASSWORD)).spki).toBe(spki.ec);
  });
});

describe("PKCS#12", () => {
  test.each([
    ["as OpenSSL 3 writes it", []],
    [
      "with SHA-1 and triple DES, as older programs write it",
      ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"],
    ],
    ["with a MAC of SHA-512", ["-macalg", "sha512"]],
    ["with a MAC of SHA-384 and one iteration", ["-macalg", "sha384", "-nomaciter"]],
    ["with PBES2 and triple DES", ["-keypbe", "DES-EDE3-CBC", "-certpbe", "DES-EDE3-CBC"]],
    ["without a MAC", ["-nomac"]],
    ["with certificates that are not encrypted", ["-certpbe", "NONE"]],
    ["with a key that is not encrypted", ["-keypbe", "NONE"]],
    ["with a MAC and no encryption", ["-keypbe", "NONE", "-certpbe", "NONE"]],
  ])("%s: the key, and its chain with its own certificate first", async (_form, options) => {
    const bytes = pkcs12(...options, ...pass);
    expect(await read(bytes, PASSWORD)).toEqual({ spki: spki.ec, subjects: ["CN=Leaf", "CN=Root"] });
    await expect(read(bytes, "wrong")).rejects.toMatchObject({ code: "WRONG_PASSWORD" });
    await expect(read(bytes)).rejects.toMatchObject({ code: "PASSWORD_MISSING" });
  });

  test("a file that was changed without its password is not read, although nothing of it is encrypted", async () => {
    const bytes = new Uint8Array(pkcs12("-keypbe", "NONE", "-certpbe", "NONE", ...pass));
    const subject = Buffer.from(bytes).indexOf("Leaf");
    expect(subject).toBeGreaterThan(0);
    bytes[subject] = 0x4d;
    await expect(read(bytes, PASSWORD)).rejects.toMatchObject({ code: "WRONG_PASSWORD" });
  });

  test("an empty password is no question", async () => {
    expect((await read(pkcs12("-passout", "pass:"))).spki).toBe(spki.ec);
  });

  test("a certificate that lies before the key's own", async () => {
    const bytes = openssl("pkcs12", "-export", "-inkey", file("ec.pem"), "-in", file("chain.pem"), ...pass);
    expect((await read(bytes, PASSWORD)).subjects).toEqual(["CN=Leaf", "CN=Root"]);
  });

  test("RC2-40 is refused by name, and the line that the message names converts it", async () => {
    writeFileSync(file("rc2.p12"), pkcs12("-legacy", "-certpbe", "PBE-SHA1-RC2-40", ...pass));
    const refusal: unknown = await read(readFileSync(file("rc2.p12")), PASSWORD).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringMatching(/^key\.p12: .*RC2-40 .*openssl pkcs12 -legacy -in key\.p12 -out key\.pem$/u),
    });
    openssl(
      "pkcs12",
      "-legacy",
      "-in",
      file("rc2.p12"),
      "-out",
      file("key.pem"),
      "-passin",
      `pass:${PASSWORD}`,
      ...pass,
    );
    expect(await read(readFileSync(file("key.pem")), PASSWORD)).toEqual({
      spki: spki.ec,
      subjects: ["CN=Leaf", "CN=Root"],
    });
  });

  test("PBMAC1 is refused by name before the password is asked for", async () => {
    // The object identifier of SHA-256 in the MAC, replaced by the one of PBMAC1.
    const bytes = new Uint8Array(pkcs12(...pass));
    const digest = Buffer.from("300d06096086480165030402010500", "hex");
    const at = Buffer.from(bytes).lastIndexOf(digest);
    expect(at).toBeGreaterThan(0);
    bytes.set(Buffer.from("300d06092a864886f70d01050e0500", "hex"), at);
    await expect(read(bytes)).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringMatching(/PBMAC1.*openssl pkcs12 -in key\.p12/u),
    });
  });

  test("with certificates only", async () => {
    const bytes = openssl("pkcs12", "-export", "-nokeys", "-in", file("leaf.pem"), ...pass);
    await expect(read(bytes, PASSWORD)).rejects.toMatchObject({
      code: "NO_KEY",
      message: expect.stringContaining("no private key"),
    });
  });

  test("a damaged file gives one error of this library, wherever the damage is", async () => {
    const whole = new Uint8Array(pkcs12(...pass, "-nomaciter", "-noiter"));
    for (let at = 0; at < whole.length; at += 7) {
      const damaged = whole.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 0x55;
      const outcome: unknown = await read(damaged, PASSWORD).catch((error: unknown) => error);
      if (outcome instanceof Error) expect([at, outcome.name]).toEqual([at, "KeyFileError"]);
    }
    await expect(read(whole.subarray(0, 100), PASSWORD)).rejects.toMatchObject({ code: "MALFORMED" });
  });
});

describe("what is no key", () => {
  test("two keys, none, OpenSSH's format, DSA", async () => {
    const two = Buffer.concat([readFileSync(file("rsa.pem")), readFileSync(file("ec.pem"))]);
    await expect(read(two)).rejects.toMatchObject({
      code: "NO_KEY",
      message: expect.stringContaining("2 private keys"),
    });
    await expect(read(readFileSync(file("leaf.pem")))).rejects.toMatchObject({ code: "NO_KEY" });
    const openssh = utf8("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n");
    await expect(read(openssh)).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("ssh-keygen -p -m PKCS8"),
    });
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
    const other = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    await expect(read(utf8(other))).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("another kind"),
    });
    await expect(read(utf8("nothing"))).rejects.toMatchObject({ code: "MALFORMED" });
    expect(createPrivateKey(other).asymmetricKeyType).toBe("ec");
  });

  test("a file that asks for more work than some seconds", async () => {
    const der = openssl("pkcs8", "-topk8", "-iter", "70000", ...pass, "-in", file("ec.pem"), "-outform", "DER");
    const iterations = der.indexOf(Buffer.from("0203011170", "hex"));
    expect(iterations).toBeGreaterThan(0);
    der.set([0x7f, 0xff, 0xff], iterations + 2);
    await expect(read(der, PASSWORD)).rejects.toMatchObject({
      code: "MALFORMED",
      message: expect.stringContaining("iterations from 1 to 5000000"),
    });
  });
});
