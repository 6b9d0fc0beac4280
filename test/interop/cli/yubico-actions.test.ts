/**
 * What Yubico's programs do with a card that `card setup` has put into service, action by action, the command sees; and a card that each of them
 * has set up alone is read, renewed, moved and reset by the command. ssh logs in with it.
 */
import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { CACHE, MAIN } from "../../cli/built.ts";
import { Workplace } from "../guides/guide.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const READER = "Yubico YubiKey CCID";
const FACTORY_KEY = "010203040506070801020304050607080102030405060708";
const OWN_KEY = "00112233445566778899aabbccddeeff0123456789abcdef";
const PIN = "246802";
const PUK = "97531864";
const PLAN = {
  plan: 1,
  card: { kind: "yubikey" },
  pin: { clear: PIN },
  puk: { clear: PUK },
  managementKey: { value: { clear: OWN_KEY }, algorithm: "3des" },
  keys: [{ slot: "9a", algorithm: "p256", certificate: { kind: "self-signed", subject: "CN=Set up by us" } }],
};

let card: PluggedIn;
let folder: string;
const file = (name: string): string => path.join(folder, name);
const ykman = (...args: string[]): Promise<string> => card.succeed("ykman", "-r", `${READER} 00 00`, "piv", ...args);
const yubicoTool = (...args: string[]): Promise<string> =>
  card.succeed("yubico-piv-tool", "--reader", "Yubico", ...args);
const openssl = (...args: string[]): Promise<string> => card.succeed("openssl", ...args);

/** What our command prints. */
async function ours(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const secrets = { CRYPTOKI_PIN: PIN, CRYPTOKI_PUK: PUK, CRYPTOKI_SO_PIN: OWN_KEY, XDG_CACHE_HOME: CACHE };
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args], {
    env: { ...card.env, ...secrets, ...env },
  });
  if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
  return stdout;
}
const oursJson = async (...args: string[]): Promise<unknown> => JSON.parse(await ours([...args, "--json"]));
const spki = async (name: string): Promise<string> =>
  createPublicKey(await readFile(file(name)))
    .export({ format: "pem", type: "spki" })
    .toString();

/** The authority's certificate for a request. */
async function issue(request: string, certificate: string): Promise<void> {
  const ca = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"];
  await openssl("x509", "-req", "-in", file(request), ...ca, "-days", "3000", "-out", file(certificate));
}

beforeAll(async () => {
  requirePrograms("ykman", "yubico-piv-tool", "openssl", "ssh", "sshd");
  requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  folder = await mkdtemp(path.join(os.tmpdir(), "yubico-actions-"));
  const empty = await VirtualPivCard.create({ yubico: true, empty: true, serial: 12_345_678 });
  const { attestationKey } = JSON.parse(empty.image()) as { attestationKey: { root: string } };
  await writeFile(file("root.pem"), attestationKey.root);
  await writeFile(file("plan.json"), JSON.stringify(PLAN));
  card = await plugIn(empty, READER);
  const authority = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    "/CN=CA",
  ];
  await openssl(...authority, "-keyout", file("ca.key"), "-out", file("ca.pem"));
  for (const name of ["ec", "rsa"]) {
    const type = name === "ec" ? ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"] : ["rsa:2048"];
    const made = ["req", "-x509", "-newkey", ...type, "-nodes", "-subj", `/CN=Imported ${name}`, "-days", "100"];
    await openssl(...made, "-keyout", file(`${name}.key`), "-out", file(`${name}.pem`));
  }
});
afterAll(async () => {
  await card[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("a card that card setup has put into service", () => {
  beforeAll(async () => {
    await ours(["card", "setup", file("plan.json"), "--output", file("cards"), "--yes"]);
  });

  test("ssh -I logs in with it, and so does the agent", async () => {
    await using workplace = await Workplace.make(card.env, PIN);
    const { code, output } = await workplace.follow("openssh");
    expect(output).toMatch(/logged in with the card[^]*256 SHA256:[^]*logged in with the agent/u);
    expect([code, output]).toEqual([0, output]);
  });

  test("yubico-piv-tool: import-key and import-certificate", async () => {
    const key = ["-a", "import-key", "-s", "9d", "-i", file("rsa.key"), `--key=${OWN_KEY}`, "--pin-policy=once"];
    await yubicoTool(...key);
    await yubicoTool("-a", "import-certificate", "-s", "9d", "-i", file("rsa.pem"), `--key=${OWN_KEY}`);
    expect(await oursJson("key", "info", "--reference", "9d")).toMatchObject({
      key: "RSA-2048",
      policy: { pin: "once", origin: "imported" },
    });
    expect(await ours(["certificate", "list"])).toMatch(/9d +CN=Imported rsa/u);
    await ours(["key", "verify", "--reference", "9d"]);
  });

  test("yubico-piv-tool: attest, which OpenSSL and the command accept", async () => {
    await yubicoTool("-a", "attest", "-s", "9a", "-o", file("attested.pem"));
    await yubicoTool("-a", "read-certificate", "-s", "f9", "-o", file("f9.pem"));
    const chain = ["-CAfile", file("root.pem"), "-untrusted", file("f9.pem"), file("attested.pem")];
    expect(await openssl("verify", ...chain)).toMatch(/attested\.pem: OK/u);
    const own = await ours(["key", "attest", "--reference", "9a", "--ca", file("root.pem")]);
    const key = new X509Certificate(await readFile(file("attested.pem"))).publicKey;
    expect(new X509Certificate(own).publicKey.equals(key)).toBe(true);
  });

  test("yubico-piv-tool: set-mgm-key, and ours sets it back", async () => {
    await yubicoTool("-a", "set-mgm-key", `--key=${OWN_KEY}`, `--new-key=${FACTORY_KEY}`);
    expect(await oursJson("token", "info")).toMatchObject({ managementKey: { factory: true } });
    await ours(["so", "change"], { CRYPTOKI_SO_PIN: FACTORY_KEY, CRYPTOKI_NEW_SO_PIN: OWN_KEY });
    await yubicoTool("-a", "set-ccc", `--key=${OWN_KEY}`);
    expect(await ours(["object", "read", "ccc", "--encoding", "hex"])).toMatch(/^f015a000000116ff02/u);
  });

  test("yubico-piv-tool: pin-retries sets PIN and PUK to the factory's, which info warns of", async () => {
    const retries = ["-a", "verify-pin", "-P", PIN, "-a", "pin-retries", "--pin-retries=6", "--puk-retries=4"];
    await yubicoTool(...retries, `--key=${OWN_KEY}`);
    expect(await oursJson("token", "info")).toMatchObject({
      pin: { triesLeft: 6, maxTries: 6, factory: true },
      puk: { triesLeft: 4, factory: true },
    });
    await ours(["pin", "change"], { CRYPTOKI_PIN: "123456", CRYPTOKI_NEW_PIN: PIN });
    await ours(["puk", "change"], { CRYPTOKI_PUK: "12345678", CRYPTOKI_NEW_PUK: PUK });
    await yubicoTool("-a", "verify-pin", "-P", PIN);
  });

  test("ykman: access set-retries and unblock-pin; certificates import, request and delete", async () => {
    await ykman("access", "set-retries", "-f", "-m", OWN_KEY, "-P", PIN, "5", "5");
    expect(await oursJson("pin", "status")).toMatchObject([{ user: { triesLeft: 5, maxTries: 5 } }]);
    await ykman("access", "unblock-pin", "-p", "12345678", "-n", PIN);
    await ykman("access", "change-puk", "-p", "12345678", "-n", PUK);
    await ykman("certificates", "import", "-m", OWN_KEY, "-P", PIN, "--verify", "9d", file("rsa.pem"));
    expect(await ours(["certificate", "export", "--reference", "9d"])).toBe(
      new X509Certificate(await readFile(file("rsa.pem"))).toString(),
    );
    await writeFile(file("9d.pub"), await spki("rsa.pem"));
    await ykman("certificates", "request", "-P", PIN, "-s", "CN=Asked", "9d", file("9d.pub"), file("9d.csr"));
    await issue("9d.csr", "issued.pem");
    await ours(["certificate", "import", "--so", "--reference", "9d", "--yes", file("issued.pem")]);
    expect(await ykman("info")).toMatch(/Slot 9d:[^]*CN=Asked/u);
    await ykman("certificates", "delete", "-m", OWN_KEY, "9d");
    expect(await ours(["certificate", "list"])).not.toMatch(/^03/mu);
    expect(await oursJson("key", "info", "--reference", "9d")).toMatchObject({ key: "RSA-2048" });
  });

  test("yubico-piv-tool: reset, after which the command finds a new card", async () => {
    for (const action of ["verify-pin", "change-puk"]) {
      for (let tries = 0; tries < 5; tries++) {
        const wrong = ["--reader", "Yubico", "-a", action, "-P", "99999999", "-N", "88888888"];
        await card.run("yubico-piv-tool", ...wrong);
      }
    }
    await yubicoTool("-a", "reset");
    expect(await oursJson("token", "info")).toMatchObject({
      pin: { triesLeft: 3, factory: true },
      managementKey: { factory: true },
    });
  });
});

const FACTORY = { CRYPTOKI_PIN: "123456", CRYPTOKI_SO_PIN: FACTORY_KEY };

describe.each(["ykman", "yubico-piv-tool"])("a card that %s has set up", (program) => {
  test("is read, renewed, moved and reset by the command", async () => {
    if (program === "ykman") {
      await ykman("keys", "generate", "-m", FACTORY_KEY, "-a", "ECCP256", "9c", file("9c.pub"));
      const named = ["-m", FACTORY_KEY, "-P", "123456", "-s", "CN=Theirs"];
      await ykman("certificates", "generate", ...named, "9c", file("9c.pub"));
    } else {
      const key = ["-a", "generate", "-s", "9c", "-A", "ECCP256", "-o", file("9c.pub"), `--key=${FACTORY_KEY}`];
      await yubicoTool(...key);
      const forced = ["-force_pubkey", file("9c.pub"), "-CA", file("ca.pem"), "-CAkey", file("ca.key")];
      await openssl("x509", "-new", "-subj", "/CN=Theirs", ...forced, "-set_serial", "7", "-out", file("9c.pem"));
      await yubicoTool("-a", "import-certificate", "-s", "9c", "-i", file("9c.pem"), `--key=${FACTORY_KEY}`);
      await yubicoTool("-a", "set-chuid", `--key=${FACTORY_KEY}`);
    }
    expect(await ours(["certificate", "list"], FACTORY)).toMatch(/9c +CN=Theirs/u);
    expect(await ours(["self-test"], FACTORY)).toMatch(/9c|02/u);
    const renew = ["certificate", "renew", "--so", "--reference", "9c", "--request", file(`${program}.csr`)];
    await ours(renew, FACTORY);
    await issue(`${program}.csr`, `${program}.pem`);
    await ours([...renew, "--certificate", file(`${program}.pem`)], FACTORY);
    expect(await spki(`${program}.pem`)).toBe(await spki("9c.pub"));
    expect(await yubicoTool("-a", "status")).toMatch(/Slot 9c:[^]*CN=Theirs[^]*CN=CA/u);
    await ours(["key", "move", "--from", "9c", "--to", "82"], FACTORY);
    await ours(["key", "verify", "--reference", "82", "--key", file("9c.pub")], FACTORY);
    await ours(["token", "reset", "--yes"], FACTORY);
    expect(await ykman("info")).not.toMatch(/Slot /u);
  });
});
