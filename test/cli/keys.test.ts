import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  constants,
  createECDH,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  verify,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { CardFolder, PIN, WRONG_PIN } from "./card.ts";
import { cryptoki, json, jsonError, type Outcome } from "./program.ts";

const LETTER = Buffer.from("an important letter\n");

let folder: CardFolder;
let letter = "";
beforeAll(async () => {
  folder = await CardFolder.create({
    keys: { "9a": "rsa-2048", "9c": "p-256", "9d": "p-384", "9e": "p-384", "82": "rsa-2048" },
  });
  letter = folder.file("letter.txt", LETTER);
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given = PIN as Parameters<typeof cryptoki>[1]): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);

async function publicKey(id: string): Promise<KeyObject> {
  const { bytes } = await onCard(["read", "--id", id, "--format", "der"]);
  return createPublicKey(new X509Certificate(bytes).toString());
}

describe("sign", () => {
  test("a file, with the usual mechanism of an RSA key", async () => {
    const { code, bytes, stderr } = await onCard(["sign", "--id", "01", letter]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(verify("sha256", LETTER, await publicKey("01"), bytes)).toBe(true);
  });

  test("standard input", async () => {
    const { bytes } = await onCard(["sign", "--id", "01"], { ...PIN, stdin: LETTER });
    expect(verify("sha256", LETTER, await publicKey("01"), bytes)).toBe(true);
  });

  test("into a file, as text", async () => {
    const output = folder.file("letter.sig");
    const { code, stdout } = await onCard(["sign", "--id", "01", letter, "--output", output, "--encoding", "base64"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    const signature = Buffer.from(readFileSync(output, "utf8"), "base64");
    expect(verify("sha256", LETTER, await publicKey("01"), signature)).toBe(true);
  });

  test.each([
    ["SHA512_RSA_PKCS", "sha512", constants.RSA_PKCS1_PADDING],
    ["CKM_SHA256_RSA_PKCS_PSS", "sha256", constants.RSA_PKCS1_PSS_PADDING],
    ["sha384-rsa-pkcs-pss", "sha384", constants.RSA_PKCS1_PSS_PADDING],
  ])("with %s", async (mechanism, hash, padding) => {
    const { bytes } = await onCard(["sign", "--id", "01", "--mechanism", mechanism, letter]);
    const key = { key: await publicKey("01"), padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    expect(verify(hash, LETTER, key, bytes)).toBe(true);
  });

  test("with a bare mechanism and the name of a hash", async () => {
    const { bytes } = await onCard(["sign", "--id", "01", "--mechanism", "RSA_PKCS_PSS", "--hash", "sha384", letter]);
    const key = { key: await publicKey("01"), padding: constants.RSA_PKCS1_PSS_PADDING };
    expect(verify("sha384", LETTER, key, bytes)).toBe(true);
  });

  test.each([
    ["der", "der"],
    ["raw", "ieee-p1363"],
  ] as const)("with an EC key that wants its PIN each time, %s", async (format, dsaEncoding) => {
    const { bytes } = await onCard(["sign", "--id", "02", "--format", format, letter]);
    expect(verify("sha256", LETTER, { key: await publicKey("02"), dsaEncoding }, bytes)).toBe(true);
  });

  test("with the hash of the key's own length", async () => {
    const { bytes } = await onCard(["sign", "--id", "04", letter]);
    expect(verify("sha384", LETTER, await publicKey("04"), bytes)).toBe(true);
  });

  test("without a PIN where the key needs none", async () => {
    const { code, bytes } = await onCard(["sign", "--id", "04", letter], {});
    expect(code).toBe(0);
    expect(verify("sha384", LETTER, await publicKey("04"), bytes)).toBe(true);
  });

  test("with a key by the label of its certificate, and by its URI", async () => {
    const byLabel = await onCard(["sign", "--label", "Certificate for PIV Authentication", letter]);
    expect(verify("sha256", LETTER, await publicKey("01"), byLabel.bytes)).toBe(true);
    const byUri = await onCard(["sign", "pkcs11:id=%01;type=private", letter]);
    expect(byUri.bytes).toEqual(byLabel.bytes);
  });

  test("with the PIN from where the URI says", async () => {
    const file = folder.file("pin", "123456\n");
    expect((await onCard(["sign", `pkcs11:id=%01?pin-source=file:${file}`, letter], {})).code).toBe(0);
    expect((await onCard(["sign", "--id", "01", "--pin-source", `file:${file}`, letter], {})).code).toBe(0);
  });

  test("for a program", async () => {
    const document = json(await onCard(["sign", "--id", "02", "--json", letter]));
    expect(document).toEqual({
      signature: expect.stringMatching(/^[A-Za-z0-9+/]+=*$/u),
      mechanism: "CKM_ECDSA_SHA256",
      format: "der",
      key: { id: "02", label: "SIGN key", uri: expect.stringMatching(/^pkcs11:.*id=%02;type=private/u) },
    });
  });

  test("which key is not clear: the candidates are named", async () => {
    const { code, stderr } = await onCard(["sign", letter]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--id 01 .*PIV AUTH/u);
    expect(stderr).toMatch(/--id 02 .*SIGN/u);
    const error = jsonError(await onCard(["sign", "--json", letter]));
    expect(error).toMatchObject({ candidates: expect.arrayContaining([expect.stringContaining("--id 01")]) });
  });

  test.each<[string, string[], number, RegExp]>([
    ["no such key", ["--id", "77"], 3, /no private key with id 77/u],
    ["no such file", ["--id", "01", "/nonexistent"], 1, /cannot read \/nonexistent/u],
    ["no such mechanism", ["--id", "01", "--mechanism", "MAGIC"], 2, /MAGIC/u],
    ["a mechanism of another key type", ["--id", "01", "--mechanism", "ECDSA_SHA256"], 2, /does not fit this key/u],
    ["two hashes", ["--id", "01", "--mechanism", "SHA256_RSA_PKCS", "--hash", "sha1"], 2, /already includes a hash/u],
    ["an identifier that is not hexadecimal", ["--id", "0x"], 2, /--id/u],
    ["two names for the key", ["--id", "01", "pkcs11:id=%02"], 2, /different objects/u],
    ["two files", ["a", "b"], 2, /one file/u],
  ])("%s", async (_, args, code, message) => {
    const outcome = await onCard(["sign", ...args], { ...PIN, stdin: LETTER });
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(code);
    expect(outcome.stdout).toBe("");
  });

  test("a wrong PIN is told with the tries left, and not tried twice", async () => {
    const { code, stderr } = await onCard(["sign", "--id", "01", letter], WRONG_PIN);
    expect(code).toBe(4);
    expect(stderr).toMatch(/CKR_PIN_INCORRECT.*2/u);
    expect((await onCard(["sign", "--id", "01", letter])).code).toBe(0);
  });

  test("the trace conceals the PIN", async () => {
    const { stderr } = await onCard(["sign", "--id", "01", "--trace", "--output", folder.file("x"), letter]);
    expect(stderr).toMatch(/^-> 00 20 00 80 \*\* {2}VERIFY/mu);
    expect(stderr).toMatch(/GENERAL AUTHENTICATE/u);
    expect(stderr).toMatch(/^C_Login\(hSession = \d+, userType = CKU_USER, pPin = \*\*\) = CKR_OK/mu);
    expect(stderr).not.toMatch(/31 ?32 ?33/u);
  });

  test("a recording conceals it too", async () => {
    const recording = folder.file("recording.jsonl");
    await onCard(["sign", "--id", "01", "--record", recording, "--output", folder.file("recorded.sig"), letter]);
    const text = readFileSync(recording, "utf8");
    expect(text).toMatch(/"command":"00200080\*\*"/u);
    // All of the PIN: less of it comes up by chance in a certificate's random numbers.
    expect(text).not.toContain("313233343536");
  });
});

describe("verify", () => {
  const signature = (): string => folder.file("letter.sig");

  test.each<[string, string[]]>([
    ["01", []],
    ["01", ["--mechanism", "SHA256_RSA_PKCS_PSS"]],
    ["01", ["--hash", "sha512"]],
    ["02", []],
    ["02", ["--hash", "sha384"]],
    ["02", ["--format", "raw"]],
    ["04", ["--encoding", "hex"]],
  ])("what key %s signed, with %j", async (id, options) => {
    expect((await onCard(["sign", "--id", id, ...options, letter, "--force", "--output", signature()])).code).toBe(0);
    const outcome = await onCard(["verify", "--id", id, ...options, letter, "--signature", signature()], {});
    expect(outcome.stdout).toMatch(/^Valid/u);
    expect(outcome.code).toBe(0);
  });

  test("with a certificate in a file, without a card", async () => {
    const certificate = folder.file("certificate.pem", (await onCard(["read", "--id", "02"])).stdout);
    await onCard(["sign", "--id", "02", letter, "--force", "--output", signature()]);
    const { code, stdout } = await cryptoki([
      "verify",
      "--key",
      certificate,
      letter,
      "--signature",
      signature(),
      "--json",
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ valid: true, mechanism: "CKM_ECDSA_SHA256", key: "P-256" });
  });

  test.each(["01", "02"])("a signature by %s of something else: exit code 1", async (id) => {
    await onCard(["sign", "--id", id, letter, "--force", "--output", signature()]);
    const outcome = await onCard(["verify", "--id", id, "--signature", signature()], { stdin: "another letter" });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/not valid/u);
    const asJson = await onCard(["verify", "--id", id, "--signature", signature(), "--json"], {
      stdin: "another letter",
    });
    expect(json(asJson)).toMatchObject({ valid: false });
  });

  test.each(["", "00", "3006020101020101"])("a signature that is none (%s)", async (hex) => {
    folder.file("none.sig", Buffer.from(hex, "hex"));
    for (const id of ["01", "02"]) {
      expect((await onCard(["verify", "--id", id, letter, "--signature", folder.file("none.sig")])).code).toBe(1);
    }
  });
});

describe("decrypt", () => {
  test("refuses an EC key before it asks for the PIN", async () => {
    const { code, stderr } = await onCard(["decrypt", "--id", "02"], { stdin: Buffer.alloc(256) });
    expect(code).toBe(2);
    expect(stderr).toContain("this is a key on P-256; decrypt needs an RSA key (derive works with EC keys)");
  });

  const SECRET = Buffer.from("meet me at noon");

  test.each<[string, string[], { padding: number; oaepHash?: string }]>([
    ["PKCS #1 v1.5", [], { padding: constants.RSA_PKCS1_PADDING }],
    ["OAEP", ["--mechanism", "RSA_PKCS_OAEP"], { padding: constants.RSA_PKCS1_OAEP_PADDING }],
    ["OAEP with SHA-256", ["--hash", "sha256"], { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" }],
  ])("%s", async (_, options, padding) => {
    const ciphertext = publicEncrypt({ key: await publicKey("05"), ...padding }, SECRET);
    const { code, stdout } = await onCard(["decrypt", "--id", "05", ...options], { ...PIN, stdin: ciphertext });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "meet me at noon" });
  });

  test("into a file, for a program", async () => {
    const ciphertext = publicEncrypt({ key: await publicKey("05"), padding: constants.RSA_PKCS1_PADDING }, SECRET);
    const input = folder.file("secret.b64", ciphertext.toString("base64"));
    const outcome = await onCard(["decrypt", "--id", "05", "--input-encoding", "base64", input, "--json"]);
    expect(json(outcome)).toEqual({ plaintext: SECRET.toString("base64") });
  });

  test("a ciphertext for another mechanism fails", async () => {
    const ciphertext = publicEncrypt({ key: await publicKey("05"), padding: constants.RSA_PKCS1_PADDING }, SECRET);
    const outcome = await onCard(["decrypt", "--id", "05", "--hash", "sha256"], { ...PIN, stdin: ciphertext });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/CKR_ENCRYPTED_DATA_INVALID/u);
  });
});

test("what was decrypted is in a file for the user alone", async () => {
  const ciphertext = publicEncrypt({ key: await publicKey("05"), padding: constants.RSA_PKCS1_PADDING }, LETTER);
  const output = folder.file("plain.txt");
  const decrypted = await onCard(["decrypt", "--id", "05", "--output", output], { ...PIN, stdin: ciphertext });
  expect(decrypted).toMatchObject({ code: 0, stderr: "" });
  expect(readFileSync(output)).toEqual(LETTER);
  expect(statSync(output).mode & 0o777).toBe(0o600);
});

describe("derive", () => {
  test("the secret that the other side computes too", async () => {
    const peer = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const file = folder.file("peer.pem", peer.publicKey.export({ format: "pem", type: "spki" }));
    const { code, bytes } = await onCard(["derive", "--id", "03", "--peer", file]);
    expect(code).toBe(0);
    const own = createECDH("secp384r1");
    own.setPrivateKey(Buffer.from(peer.privateKey.export({ format: "jwk" }).d ?? "", "base64url"));
    const { x = "", y = "" } = (await publicKey("03")).export({ format: "jwk" });
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
    expect(Buffer.from(bytes)).toEqual(own.computeSecret(point));
  });

  test.each<[string, () => string, RegExp]>([
    ["a key on another curve", () => ecKey("P-256"), /P-256.*P-384/u],
    ["an RSA key", () => rsaKey(), /RSA/u],
    ["no key", () => "hello", /neither a certificate nor a public key/u],
  ])("%s is refused", async (_, content, message) => {
    const outcome = await onCard(["derive", "--id", "03", "--peer", folder.file("peer.pem", content())]);
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(message);
  });
});

const ecKey = (namedCurve: string): string =>
  generateKeyPairSync("ec", { namedCurve }).publicKey.export({ format: "pem", type: "spki" }).toString();
const rsaKey = (): string =>
  generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "pem", type: "spki" }).toString();

describe("read", () => {
  test("a certificate as PEM and DER", async () => {
    const pem = new X509Certificate((await onCard(["read", "--id", "01"], {})).stdout);
    const der = new X509Certificate((await onCard(["read", "--id", "01", "--format", "der"], {})).bytes);
    expect(pem.fingerprint256).toBe(der.fingerprint256);
    expect(pem.subject).toContain("CN=Test Cardholder");
  });

  test("a public key as PEM, the same as its certificate's", async () => {
    const { stdout } = await onCard(["read", "--type", "public", "--id", "02"], {});
    expect(createPublicKey(stdout).equals(await publicKey("02"))).toBe(true);
  });

  test("a public key for OpenSSH", async () => {
    expect((await onCard(["read", "--id", "01", "--format", "ssh"], {})).stdout).toMatch(/^ssh-rsa AAAAB3NzaC1yc2E/u);
    expect((await onCard(["read", "--id", "02", "--format", "ssh"], {})).stdout).toMatch(/^ecdsa-sha2-nistp256 AAAA/u);
  });

  test("what a certificate says", async () => {
    const { stdout } = await onCard(["read", "--id", "02", "--format", "text"], {});
    expect(stdout).toMatch(/^subject +CN=Test Cardholder/mu);
    expect(stdout).toMatch(/^valid +20\d\d-\d\d-\d\d to 20\d\d-\d\d-\d\d/mu);
    expect(stdout).toMatch(/^key +P-256/mu);
  });

  test("for a program", async () => {
    expect(json(await onCard(["read", "--id", "01", "--json"], {}))).toEqual({
      type: "cert",
      id: "01",
      label: "Certificate for PIV Authentication",
      uri: expect.stringMatching(/type=cert$/u),
      der: expect.stringMatching(/^MII/u),
      ssh: expect.stringMatching(/^ssh-rsa /u),
      certificate: {
        subject: expect.stringContaining("CN=Test Cardholder"),
        issuer: expect.stringContaining("CN=Virtual PIV CA"),
        serialNumber: expect.stringMatching(/^[0-9a-f]+$/u),
        notBefore: expect.stringMatching(/^20\d\d-.*Z$/u),
        notAfter: expect.stringMatching(/^20\d\d-.*Z$/u),
        key: "RSA-2048",
        keyUsage: expect.arrayContaining(["digitalSignature"]),
        extendedKeyUsage: ["TLS client", "smart card logon"],
        upn: [],
        fascn: [expect.stringMatching(/^agency 9999, system 9999, credential /u)],
        subjectAltName: expect.any(String),
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/u),
      },
    });
  });

  test("which certificate is not clear", async () => {
    expect((await onCard(["read"], {})).code).toBe(2);
  });
});
