/** What the command makes on a YubiKey, Yubico's programs and OpenSSL see and use, and the other way round. */
import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { MAIN } from "../../cli/built.ts";
import { Workplace } from "../guides/guide.ts";
import { requirePrograms } from "../rig/require.ts";
import { run, type RunResult } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const READER = "Yubico YubiKey CCID";
const FACTORY_KEY = "010203040506070801020304050607080102030405060708";
const NEW_KEY = "00112233445566778899aabbccddeeff0123456789abcdef";
const SECRETS = { CRYPTOKI_PIN: "123456", CRYPTOKI_PUK: "12345678", CRYPTOKI_SO_PIN: FACTORY_KEY };

let card: PluggedIn;
let folder: string;
const file = (name: string): string => path.join(folder, name);
const ykman = (...args: string[]): Promise<string> => card.succeed("ykman", "-r", `${READER} 00 00`, "piv", ...args);
const yubicoTool = (...args: string[]): Promise<string> =>
  card.succeed("yubico-piv-tool", "--reader", "Yubico", ...args);
const openssl = (...args: string[]): Promise<string> => card.succeed("openssl", ...args);

function command(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  return run(process.execPath, [MAIN, ...args], { env: { ...card.env, ...SECRETS, ...env } });
}

/** What our command prints. */
async function ours(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { code, stdout, stderr } = await command(args, env);
  if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return stdout;
}

const spki = (pem: string): string => createPublicKey(pem).export({ format: "pem", type: "spki" }).toString();

beforeAll(async () => {
  requirePrograms("ykman", "yubico-piv-tool", "openssl");
  folder = await mkdtemp(path.join(os.tmpdir(), "administration-"));
  const keys = { "9a": null, "9c": null, "9d": null, "9e": null };
  card = await plugIn(await VirtualPivCard.create({ keys, yubico: true, serial: 12_345_678 }), READER);
});
afterAll(async () => {
  await card[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("docs/guides/put-a-card-into-service.md, as it stands", async () => {
  await using workplace = await Workplace.make(card.env, "123456");
  const { code, output } = await workplace.follow("put-a-card-into-service");
  for (const pattern of [
    /Certificate request self-signature verify OK/u,
    /Ada Lovelace/u,
    /back\.pem: OK/u,
    /as the factory made it/u,
  ])
    expect(output).toMatch(pattern);
  expect([code, output]).toEqual([0, output]);
  // The guide leaves a card in service.
  await ours(["token", "reset", "--yes"]);
});

test("keys and certificates that we make are what ykman, yubico-piv-tool and OpenSSL see", async () => {
  const key = await ours(["key", "generate", "--so", "--reference", "9a", "--type", "rsa2048"]);
  await ours(["key", "generate", "--so", "--reference", "9c", "--type", "p384", "--policy", "pin=always,touch=cached"]);
  await ours(["certificate", "self-sign", "--so", "--reference", "9a", "--subject", "CN=Nine A"]);
  await ours(["certificate", "self-sign", "--so", "--reference", "9c", "--subject", "CN=Nine C", "--days", "30"]);
  const info = await ykman("info");
  expect(info).toMatch(/Slot 9a:[^]*RSA2048[^]*CN=Nine A[^]*Slot 9c:[^]*ECCP384[^]*CN=Nine C/u);
  const status = await yubicoTool("-a", "status");
  expect(status).toMatch(/Slot 9a:[^]*RSA2048[^]*Nine A[^]*Slot 9c:[^]*ECCP384[^]*Nine C/u);
  await ykman("certificates", "export", "9c", file("9c.pem"));
  expect(await openssl("verify", "-CAfile", file("9c.pem"), file("9c.pem"))).toMatch(/OK/u);
  await ykman("keys", "attest", "9a", file("attested.pem"));
  const attested = new X509Certificate(await readFile(file("attested.pem")));
  expect(attested.publicKey.export({ format: "pem", type: "spki" })).toBe(spki(key));
  const chain = await ours(["key", "attest", "--reference", "9a"]);
  const [leaf, signer] = chain.split(/(?<=-----END CERTIFICATE-----\n)/u);
  await Promise.all([writeFile(file("leaf.pem"), leaf ?? ""), writeFile(file("f9.pem"), signer ?? "")]);
  expect(await openssl("verify", "-partial_chain", "-CAfile", file("f9.pem"), file("leaf.pem"))).toMatch(/OK/u);
});

test.each(["9a", "9c"])("a request of the key in %s: OpenSSL verifies it", async (reference) => {
  const request = [
    "certificate",
    "request",
    "--reference",
    reference,
    "--subject",
    "CN=Ada",
    "--force",
    "--output",
    file("request.pem"),
  ];
  await ours([...request, "--san", "upn:ada@example.org", "--for", "smart-card-logon"]);
  const { stderr } = await card.run("openssl", "req", "-in", file("request.pem"), "-verify", "-noout");
  expect(stderr).toMatch(/self-signature verify OK/u);
  const text = await openssl("req", "-in", file("request.pem"), "-noout", "-text");
  expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/u);
  expect(text).toMatch(/Microsoft Smartcard Login, TLS Web Client Authentication/u);
});

test("a management key, a PIN and tries that we set are what ykman wants then", async () => {
  await ours(["so", "change"], { CRYPTOKI_NEW_SO_PIN: NEW_KEY });
  const set = ["pin", "retries", "--yes", "--pin-tries", "7", "--puk-tries", "4"];
  await ours(set, { CRYPTOKI_SO_PIN: NEW_KEY, CRYPTOKI_NEW_PIN: "246802", CRYPTOKI_NEW_PUK: "97531864" });
  expect(await ykman("info")).toMatch(/PIN tries remaining: 7\/7/u);
  await ykman("access", "change-pin", "-P", "246802", "-n", "123456");
  await ykman("access", "change-puk", "-p", "97531864", "-n", "12345678");
  await ykman("keys", "generate", "-m", NEW_KEY, "-a", "ECCP256", "9d", file("9d.pem"));
  const info = JSON.parse(await ours(["key", "info", "--reference", "9d", "--json"])) as {
    key: string;
    policy: object;
  };
  expect(info).toMatchObject({ key: "P-256", policy: { pin: "once", origin: "generated" } });
});

test("what ykman and yubico-piv-tool change, we read and go on with", async () => {
  await ykman("access", "change-management-key", "-m", NEW_KEY, "-n", FACTORY_KEY);
  await ykman("certificates", "generate", "-m", FACTORY_KEY, "-P", "123456", "-s", "CN=By ykman", "9d", file("9d.pem"));
  await ykman("certificates", "export", "9d", file("9d-certificate.pem"));
  const exported = await ours(["certificate", "export", "--reference", "9d"]);
  expect(new X509Certificate(exported).fingerprint256).toBe(
    new X509Certificate(await readFile(file("9d-certificate.pem"))).fingerprint256,
  );
  await yubicoTool("-a", "generate", "-s", "9e", "-A", "ECCP256", "-o", file("9e.pem"), `--key=${FACTORY_KEY}`);
  const listed = JSON.parse(await ours(["key", "list", "--json"])) as { reference: string; fingerprint: string }[];
  expect(listed.map(({ reference }) => reference)).toEqual(["9a", "9c", "9d", "9e"]);
  await ours(["certificate", "self-sign", "--so", "--reference", "9e", "--subject", "CN=Nine E"]);
  expect(await ykman("info")).toMatch(/Slot 9e:[^]*CN=Nine E/u);
});

test("a reset of either is a new card to the other", async () => {
  await ours(["token", "reset", "--yes"]);
  const info = await ykman("info");
  expect(info).toMatch(/PIN tries remaining: 3\/3/u);
  expect(info).not.toMatch(/Slot 9/u);
  await ykman("keys", "generate", "-m", FACTORY_KEY, "-a", "ECCP256", "9a", file("9a.pem"));
  await ykman("reset", "-f");
  expect((await command(["key", "list"])).code).toBe(3);
  expect(JSON.parse(await ours(["token", "info", "--json"]))).toMatchObject({
    pin: { triesLeft: 3 },
    managementKey: { factory: true },
  });
});
