/** Keys that the command brings to a YubiKey, other programs use, and cards that other programs set up the command reads, renews and moves. */
import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const MAIN = new URL("../../../src/cli/main.ts", import.meta.url).pathname;
const READER = "Yubico YubiKey CCID";
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const SECRETS = { CRYPTOKI_PIN: "123456", CRYPTOKI_SO_PIN: MANAGEMENT_KEY, CRYPTOKI_KEY_PASSWORD: "secret" };

let card: PluggedIn;
let folder: string;
const file = (name: string): string => path.join(folder, name);
const ykman = (...args: string[]): Promise<string> => card.succeed("ykman", "-r", `${READER} 00 00`, "piv", ...args);
const yubicoTool = (...args: string[]): Promise<string> =>
  card.succeed("yubico-piv-tool", "--reader", "Yubico", ...args);
const openssl = (...args: string[]): Promise<string> => card.succeed("openssl", ...args);
const openSc = (...args: string[]): Promise<string> =>
  card.succeed("pkcs11-tool", "--module", "opensc-pkcs11.so", "--login", "--pin", "123456", ...args);

/** What our command prints. */
async function ours(...args: string[]): Promise<string> {
  const env = { ...card.env, ...SECRETS };
  const { code, stdout, stderr } = await run(process.execPath, ["--import", "tsx", MAIN, ...args], { env });
  if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return stdout;
}

const spkiOf = async (name: string): Promise<string> =>
  createPublicKey(await readFile(file(name)))
    .export({ format: "pem", type: "spki" })
    .toString();

/** The authority's certificate for a request. */
async function issue(request: string, certificate: string): Promise<void> {
  const ca = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"];
  await openssl("x509", "-req", "-in", file(request), ...ca, "-days", "3000", "-out", file(certificate));
}

async function selfSign(key: string, certificate: string, subject: string): Promise<void> {
  await openssl("req", "-x509", "-key", file(key), "-subj", subject, "-days", "3000", "-out", file(certificate));
}

beforeAll(async () => {
  requirePrograms("ykman", "yubico-piv-tool", "openssl", "pkcs11-tool");
  folder = await mkdtemp(path.join(os.tmpdir(), "keys-"));
  const keys = { "9a": null, "9c": null, "9d": null, "9e": null };
  card = await plugIn(await VirtualPivCard.create({ keys, yubico: true, serial: 7_654_321 }), READER);
  await openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", file("ca.key"));
  await selfSign("ca.key", "ca.pem", "/CN=Authority");
  await writeFile(file("letter"), "a letter");
});
afterAll(async () => {
  await card[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("an RSA key from an old PKCS #12 file: ykman has it sign a request, OpenSC a letter", async () => {
  await openssl("genrsa", "-out", file("rsa.key"), "2048");
  await selfSign("rsa.key", "rsa.pem", "/CN=Old RSA");
  const old = ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1", "-passout", "pass:secret"];
  const files = ["-inkey", file("rsa.key"), "-in", file("rsa.pem"), "-certfile", file("ca.pem")];
  await openssl("pkcs12", "-export", ...files, ...old, "-out", file("rsa.p12"));
  await ours("key", "import", "--so", "--reference", "9a", file("rsa.p12"));
  expect(await ykman("info")).toMatch(/Slot 9a:[^]*RSA2048[^]*CN=Old RSA/u);
  await writeFile(file("rsa.pub"), await spkiOf("rsa.key"));
  await ykman("certificates", "request", "-P", "123456", "-s", "CN=Ada", "9a", file("rsa.pub"), file("rsa.csr"));
  const { stderr } = await card.run("openssl", "req", "-in", file("rsa.csr"), "-verify", "-noout");
  expect(stderr).toMatch(/self-signature verify OK/u);
  await openSc("--sign", "--id", "01", "-m", "SHA256-RSA-PKCS", "-i", file("letter"), "-o", file("letter.sig"));
  const verify = ["dgst", "-sha256", "-verify", file("rsa.pub"), "-signature", file("letter.sig"), file("letter")];
  expect(await openssl(...verify)).toMatch(/Verified OK/u);
});

test("an EC key from an encrypted PEM file: yubico-piv-tool tests its signature", async () => {
  await openssl("ecparam", "-genkey", "-name", "secp384r1", "-noout", "-out", file("ec.key"));
  await selfSign("ec.key", "ec.pem", "/CN=EC");
  await openssl("pkcs8", "-topk8", "-in", file("ec.key"), "-passout", "pass:secret", "-out", file("encrypted.pem"));
  await ours("key", "import", "--so", "--reference", "9c", "--policy", "touch=never", file("encrypted.pem"));
  await ours("certificate", "import", "--so", "--reference", "9c", file("ec.pem"));
  expect(await yubicoTool("-a", "status")).toMatch(/Slot 9c:[^]*ECCP384[^]*CN=EC/u);
  await yubicoTool(
    "-a",
    "verify-pin",
    "-P",
    "123456",
    "-a",
    "test-signature",
    "-s",
    "9c",
    "-A",
    "ECCP384",
    "-i",
    file("ec.pem"),
  );
});

test("a key that ykman made in 9D: it signs its own request, is renewed and moved by us, and ykman sees both", async () => {
  await ykman("keys", "generate", "-m", MANAGEMENT_KEY, "-a", "ECCP256", "9d", file("9d.pub"));
  await ykman(
    "certificates",
    "generate",
    "-m",
    MANAGEMENT_KEY,
    "-P",
    "123456",
    "-s",
    "CN=By ykman",
    "9d",
    file("9d.pub"),
  );
  const renew = ["certificate", "renew", "--so", "--reference", "9d", "--request", file("9d.csr")];
  await ours(...renew);
  expect(await openssl("req", "-in", file("9d.csr"), "-noout", "-subject")).toMatch(/CN ?= ?By ykman/u);
  await issue("9d.csr", "9d.pem");
  await ours(...renew, "--certificate", file("9d.pem"));
  await ykman("certificates", "export", "9d", file("exported.pem"));
  const exported = new X509Certificate(await readFile(file("exported.pem")));
  expect(exported.issuer).toBe("CN=Authority");
  expect(exported.publicKey.export({ format: "pem", type: "spki" })).toBe(await spkiOf("9d.pub"));
  await ours("key", "move", "--from", "9d", "--to", "82");
  await ours("key", "verify", "--reference", "82", "--key", file("9d.pem"));
});

test("a key that yubico-piv-tool made: renewed with a new key, which ykman attests", async () => {
  await yubicoTool("-a", "generate", "-s", "9e", "-A", "ECCP256", "-o", file("9e.pub"), `--key=${MANAGEMENT_KEY}`);
  // An authority that issues certificates for public keys, without a request.
  const forced = ["-force_pubkey", file("9e.pub"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"];
  await openssl("x509", "-new", "-subj", "/CN=Nine E", ...forced, "-days", "3", "-out", file("9e.pem"));
  await yubicoTool("-a", "import-certificate", "-s", "9e", "-i", file("9e.pem"), `--key=${MANAGEMENT_KEY}`);
  expect(await ours("certificate", "list")).toMatch(/9e +CN=Nine E/u);
  const renew = ["certificate", "renew", "--so", "--reference", "9e", "--new-key", "p384", "--request", file("9e.csr")];
  await ours(...renew, "--yes");
  await issue("9e.csr", "renewed.pem");
  await ours(...renew, "--certificate", file("renewed.pem"));
  expect(await yubicoTool("-a", "status")).toMatch(/Slot 9e:[^]*ECCP384[^]*CN=Nine E/u);
  await ykman("keys", "attest", "9e", file("attested.pem"));
  expect(await spkiOf("attested.pem")).toBe(await spkiOf("renewed.pem"));
  await ours("key", "verify", "--reference", "9e");
});

test("a data object that we write is what yubico-piv-tool reads, and the other way round", async () => {
  await writeFile(file("object"), Buffer.from("0103414441fe00", "hex"));
  await ours("object", "write", "--so", "security-object", file("object"));
  const read = ["-a", "read-object", "--id", "0x5fc106", "-f", "binary", "-o", file("back")];
  await yubicoTool(...read);
  expect(await readFile(file("back"), "hex")).toContain("0103414441fe00");
  const chuid = ["-a", "set-chuid", `--key=${MANAGEMENT_KEY}`];
  await yubicoTool(...chuid);
  await yubicoTool("-a", "read-object", "--id", "0x5fc102", "-f", "binary", "-o", file("chuid"));
  const hex = (await ours("object", "read", "chuid", "--encoding", "hex")).trim();
  expect(await readFile(file("chuid"), "hex")).toContain(hex);
});
