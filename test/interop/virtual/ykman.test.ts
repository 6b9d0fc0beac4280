/** Yubico's ykman takes the virtual YubiKey for one, and says of it what our command says. */
import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { testKey } from "../../virtual/keys.ts";
import { MAIN } from "../../cli/built.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

/** ykman looks at readers with "yubico yubikey" in their name, and asks the name which interfaces the device has. */
const READER = "Yubico YubiKey CCID";
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const KEYS = { "9a": "rsa-2048", "9c": "p-256", "9d": "p-384", "9e": "p-256" } as const;
const SERIAL = 12_345_678;

let virtual: VirtualPivCard;
let card: PluggedIn;
let folder: string;
const file = (name: string): string => path.join(folder, name);
const ykman = (...args: string[]): Promise<string> => card.succeed("ykman", "-r", `${READER} 00 00`, ...args);

/** What our command prints with --json. */
async function ours(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args, "--json"], {
    env: card.env,
  });
  if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return JSON.parse(stdout);
}

/** The public key that our command reads. */
async function ourPublicKey(id: string): Promise<KeyObject> {
  const { der } = (await ours("read", "--type", "public", "--id", id)) as { der: string };
  return createPublicKey({ key: Buffer.from(der, "base64"), format: "der", type: "spki" });
}

beforeAll(async () => {
  requirePrograms("ykman", "openssl");
  folder = await mkdtemp(path.join(os.tmpdir(), "ykman-"));
  const keys = Object.fromEntries(
    Object.entries(KEYS).map(([slot, type]) => [slot, { privateKey: testKey(type, slot) }]),
  );
  virtual = await VirtualPivCard.create({ keys, tries: 5, yubico: true, serial: SERIAL });
  card = await plugIn(virtual, READER);
});
afterAll(async () => {
  await card[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("ykman knows the device: its serial number is the token's", async () => {
  const info = await ykman("info");
  expect(info).toMatch(/^Serial number: 12345678$/mu);
  expect(info).toMatch(/^PIV\s+Enabled/mu);
  expect(await card.succeed("ykman", "list", "--serials")).toBe(`${SERIAL}\n`);
  expect(await ours("tokens")).toMatchObject([{ serialNumber: String(SERIAL), label: `PIV ${SERIAL}` }]);
});

test("ykman piv info tells the same of the PIN and the certificates", async () => {
  const wrong = await card.run("yubico-piv-tool", "--reader", "Yubico", "-a", "verify-pin", "-P", "999999");
  expect(wrong.stderr).toContain("4 tries left");
  const info = await ykman("piv", "info");
  expect(info).toMatch(/^PIN tries remaining: 4\/5$/mu);
  expect(await ours("pin", "status")).toMatchObject([{ user: { triesLeft: 4, maxTries: 5 } }]);
  const slots = ["9a", "9c", "9d", "9e"];
  for (const [index, slot] of slots.entries()) {
    const read = await ours("read", "--type", "cert", "--id", `0${index + 1}`);
    const { certificate } = read as { certificate: { sha256: string } };
    const sha256 = certificate.sha256.toLowerCase().replaceAll(":", "");
    expect(info).toMatch(new RegExp(`Slot ${slot}:[^S]*Algorithm:[^]*?Fingerprint:\\t${sha256}`, "u"));
  }
});

test.each([
  ["9a", "01"],
  ["9c", "02"],
  ["9d", "03"],
  ["9e", "04"],
])("ykman exports the certificate and the public key of %s that our command reads", async (slot, id) => {
  const certificate = new X509Certificate(await ykman("piv", "certificates", "export", slot, "-"));
  const { der } = (await ours("read", "--type", "cert", "--id", id)) as { der: string };
  expect(certificate.raw.equals(Buffer.from(der, "base64"))).toBe(true);
  const key = createPublicKey(await ykman("piv", "keys", "export", slot, "-"));
  expect(key.equals(createPublicKey(testKey(KEYS[slot as keyof typeof KEYS], slot)))).toBe(true);
});

test("ykman makes a key, and the card has it", async () => {
  await ykman("piv", "keys", "generate", "-m", MANAGEMENT_KEY, "-a", "ECCP384", "9e", file("made.pem"));
  const made = createPublicKey(await readFile(file("made.pem")));
  expect(made.asymmetricKeyDetails).toMatchObject({ namedCurve: "secp384r1" });
  const { keys } = JSON.parse(virtual.image()) as { keys: Record<string, { privateKey: string }> };
  expect(made.equals(createPublicKey(keys["9e"]?.privateKey ?? ""))).toBe(true);
});

test.each([
  ["ECCP256", "85", "08"],
  ["RSA2048", "86", "09"],
])("ykman has the card attest a key %s that it makes there, and OpenSSL accepts the chain", async (type, slot, id) => {
  await ykman("piv", "keys", "generate", "-m", MANAGEMENT_KEY, "-a", type, slot, file("made.pem"));
  await ykman("piv", "keys", "attest", slot, file("attestation.pem"));
  await ykman("piv", "certificates", "export", "f9", file("f9.pem"));
  const { attestationKey } = JSON.parse(virtual.image()) as { attestationKey: { root: string } };
  await writeFile(file("root.pem"), attestationKey.root);
  const chain = ["-CAfile", file("root.pem"), "-untrusted", file("f9.pem"), file("attestation.pem")];
  expect(await card.succeed("openssl", "verify", ...chain)).toMatch(/attestation\.pem: OK$/mu);
  const { publicKey } = new X509Certificate(await readFile(file("attestation.pem")));
  expect(publicKey.equals(createPublicKey(await readFile(file("made.pem"))))).toBe(true);
  expect(createPublicKey(await ykman("piv", "keys", "export", slot, "-")).equals(publicKey)).toBe(true);
  expect((await ourPublicKey(id)).equals(publicKey)).toBe(true);
});

test("ykman gets no attestation of a key that was imported", async () => {
  const { code, stderr } = await card.run("ykman", "-r", `${READER} 00 00`, "piv", "keys", "attest", "9a", "-");
  expect([code, stderr]).toEqual([1, expect.stringContaining("Attestation failed")]);
});

test.each([
  ["rsa-2048", "82", "05"],
  ["p-256", "83", "06"],
  ["p-384", "84", "07"],
] as const)("ykman imports a key of kind %s, and our command and ykman see that one", async (type, slot, id) => {
  const key = testKey(type, "imported");
  await writeFile(file("key.pem"), key.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  await ykman("piv", "keys", "import", "-m", MANAGEMENT_KEY, "--pin-policy", "NEVER", slot, file("key.pem"));
  const { keys } = JSON.parse(virtual.image()) as { keys: Record<string, object> };
  expect(keys[slot]).toMatchObject({ origin: "imported", pinPolicy: "never" });
  const publicKey = createPublicKey(key);
  expect(createPublicKey(await ykman("piv", "keys", "export", slot, "-")).equals(publicKey)).toBe(true);
  expect((await ourPublicKey(id)).equals(publicKey)).toBe(true);
});

test("a certificate that ykman writes comes with a new CHUID, and serial number and label stay", async () => {
  const before = await card.succeed("yubico-piv-tool", "--reader", "Yubico", "-a", "status");
  const write = ["piv", "certificates", "generate", "-m", MANAGEMENT_KEY, "-P", "123456", "-s", "Ada", "9c"];
  await ykman("piv", "keys", "export", "9c", file("9c.pem"));
  await ykman(...write, file("9c.pem"));
  const chuid = (status: string): string | undefined => /CHUID:\s*(\S+)/u.exec(status)?.[1];
  const after = await card.succeed("yubico-piv-tool", "--reader", "Yubico", "-a", "status");
  expect(chuid(after)).not.toBe(chuid(before));
  expect(await ours("tokens")).toMatchObject([{ serialNumber: String(SERIAL), label: `PIV ${SERIAL}` }]);
});
