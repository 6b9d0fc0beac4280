/** A card that card setup has put into service is what it says, to Yubico's programs, OpenSSL and OpenSC; and the other way round. */
import { X509Certificate } from "node:crypto";
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
const SERIAL = "12345678";
const FACTORY_KEY = "010203040506070801020304050607080102030405060708";
const PLAN = {
  plan: 1,
  name: "Employee",
  card: { kind: "yubikey", firmware: "5.3" },
  pin: "random",
  puk: "random",
  managementKey: { value: "random", algorithm: "aes-256", protectedByPin: true },
  tries: { pin: 7, puk: 4 },
  chuid: { guid: "01234567-89ab-4cde-8f01-23456789abcd" },
  ccc: true,
  attestation: { roots: "roots.pem" },
  keys: [
    {
      slot: "9a",
      algorithm: "p256",
      pinPolicy: "once",
      touchPolicy: "cached",
      certificate: {
        kind: "self-signed",
        subject: "CN={name},O=Example",
        san: ["email:ada@example.org"],
        for: "client-login",
      },
    },
    { slot: "9c", algorithm: "p384", certificate: { kind: "request", subject: "CN={name}", for: "signing" } },
    { slot: "9d", algorithm: "p256", certificate: { kind: "self-signed", subject: "CN=Key management" } },
  ],
};

let card: PluggedIn;
let folder: string;
let root: string;
const file = (name: string): string => path.join(folder, name);
const piv = (...args: string[]): Promise<string> => card.succeed("ykman", "-r", `${READER} 00 00`, "piv", ...args);
const openssl = (...args: string[]): Promise<string> => card.succeed("openssl", ...args);

/** What our command prints. */
async function ours(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { code, stdout, stderr } = await run(process.execPath, ["--import", "tsx", MAIN, ...args], {
    env: { ...card.env, ...env },
  });
  if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return stdout;
}

async function setUp(
  plan: object,
): Promise<{ readonly transcript: string; readonly digest: string; readonly outcome: string }> {
  await writeFile(file("plan.json"), JSON.stringify(plan));
  const args = ["card", "setup", file("plan.json"), "--output", file("cards"), "--set", "name=Ada Lovelace", "--json"];
  return JSON.parse(await ours([...args, "--yes"])) as Awaited<ReturnType<typeof setUp>>;
}

async function secretsOf(name: string): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(file(`cards/${name}.secrets`), "utf8");
  return Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => line.split(" ") as [string, string]),
  );
}

beforeAll(async () => {
  requirePrograms("ykman", "yubico-piv-tool", "openssl", "pkcs11-tool", "pkcs15-tool");
  folder = await mkdtemp(path.join(os.tmpdir(), "card-setup-"));
  const empty = await VirtualPivCard.create({ yubico: true, empty: true, serial: Number(SERIAL) });
  ({
    attestationKey: { root },
  } = JSON.parse(empty.image()) as { attestationKey: { root: string } });
  await writeFile(file("roots.pem"), root);
  card = await plugIn(empty, READER);
});
afterAll(async () => {
  await card[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("one card setup puts an empty YubiKey into service: ykman and OpenSSL confirm what it says", async () => {
  const { transcript, digest, outcome } = await setUp(PLAN);
  expect(outcome).toBe("done");
  const { pin = "", puk = "" } = await secretsOf(SERIAL);
  expect(await card.succeed("ykman", "-r", `${READER} 00 00`, "info")).toMatch(/Serial number: 12345678/u);
  const info = await piv("info");
  expect(info).toMatch(/PIN tries remaining: 7\/7/u);
  expect(info).toMatch(/Management key algorithm: AES256/u);
  expect(info).toMatch(/Management key is stored on the YubiKey, protected by PIN/u);
  expect(info).toMatch(/CHUID:\s+3019[0-9a-f]{50}34100123456789ab4cde8f0123456789abcd/u);
  expect(info).not.toMatch(/WARNING/u);
  expect(info).toMatch(/Slot 9a:[^]*ECCP256[^]*CN=Ada Lovelace/u);
  await piv("keys", "export", "9c", file("9c.pem"));
  const request = await openssl("req", "-in", file(`cards/${SERIAL}.9c.request.pem`), "-pubkey", "-noout");
  expect(request.trim()).toBe((await readFile(file("9c.pem"), "utf8")).trim());
  await piv("keys", "attest", "9a", file("9a.attest.pem"));
  await piv("certificates", "export", "f9", file("f9.pem"));
  await piv("certificates", "export", "9a", file("9a.pem"));
  const chain = ["-CAfile", file("roots.pem"), "-untrusted", file("f9.pem"), file("9a.attest.pem")];
  expect(await openssl("verify", ...chain)).toMatch(/OK/u);
  const written = await readFile(transcript, "utf8");
  const attested = new X509Certificate(await readFile(file("9a.attest.pem"))).publicKey;
  expect(written).toContain(attested.export({ format: "der", type: "spki" }).toString("hex"));
  expect(written).toContain(
    JSON.stringify(new X509Certificate(await readFile(file("9a.pem"))).toString()).slice(1, -1),
  );
  const verified = ["card", "verify", transcript, "--ca", file("roots.pem"), "--digest", digest, "--json"];
  expect(JSON.parse(await ours(verified))).toMatchObject({ serial: SERIAL, isComplete: true, unchanged: true });
  // The PIN opens the management key for ykman too.
  await piv("keys", "generate", "-P", pin, "-a", "ECCP256", "9e", file("9e.pem"));
  await piv("access", "change-puk", "-p", puk, "-n", puk);
});

test("yubico-piv-tool, OpenSC and ykcs11 see the same card", async () => {
  const { pin = "" } = await secretsOf(SERIAL);
  const status = await card.succeed("yubico-piv-tool", "--reader", "Yubico", "-a", "status");
  expect(status).toMatch(/CHUID:\s+3019[^]*CCC:\s+f015a000000116ff02[^]*Slot 9a:[^]*ECCP256[^]*Ada Lovelace/iu);
  expect(await card.succeed("pkcs15-tool", "--list-certificates")).toMatch(/Certificate for PIV Authentication/u);
  const ykcs11 = ["--module", "/usr/lib/x86_64-linux-gnu/libykcs11.so"];
  const objects = await card.succeed("pkcs11-tool", ...ykcs11, "-O", "--type", "cert");
  expect(objects).toMatch(/subject:\s+DN: .*CN\s?=\s?Ada Lovelace/u);
  await writeFile(file("data"), "signed");
  const sign = [
    "--login",
    "--pin",
    pin,
    "-s",
    "-m",
    "ECDSA-SHA256",
    "--id",
    "01",
    "-i",
    file("data"),
    "-o",
    file("sig"),
  ];
  await card.succeed("pkcs11-tool", "--module", "opensc-pkcs11.so", ...sign, "--signature-format", "openssl");
  await openssl("x509", "-in", file("9a.pem"), "-pubkey", "-noout", "-out", file("9a.pub"));
  expect(await openssl("dgst", "-sha256", "-verify", file("9a.pub"), "-signature", file("sig"), file("data"))).toMatch(
    /OK/u,
  );
});

test("after ykman's reset it is set up again, and a card of ykman's is wiped and set up", async () => {
  await piv("reset", "-f");
  const again = await setUp(PLAN);
  expect(again.transcript).toMatch(/12345678-2\.transcript\.json$/u);
  await piv("reset", "-f");
  await piv(
    "access",
    "change-management-key",
    "-m",
    FACTORY_KEY,
    "-P",
    "123456",
    "--generate",
    "--protect",
    "-a",
    "AES192",
  );
  await piv("access", "change-pin", "-P", "123456", "-n", "135792");
  // Ours with ykman's protected key: the PIN is enough.
  const made = await ours(["key", "generate", "--so", "--reference", "9c", "--json"], { CRYPTOKI_SO_PIN: "135792" });
  expect(JSON.parse(made)).toMatchObject({ generated: true, reference: "9c" });
  const third = await setUp({ ...PLAN, reset: true });
  expect(third.transcript).toMatch(/12345678-3\.transcript\.json$/u);
  const { pin = "" } = await secretsOf(`${SERIAL}-3`);
  await piv("keys", "generate", "-P", pin, "-a", "ECCP256", "9e", file("9e.pem"));
  expect(await piv("info")).toMatch(/Slot 9a:[^]*CN=Ada Lovelace/u);
  expect((await setUp({ ...PLAN, reset: true })).outcome).toBe("was done");
});
