import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createPublicKey, verify } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cryptoki } from "../../../src/cryptoki/index.ts";
import { profiles } from "../../../src/index.ts";
import { P11KitServer } from "../../../src/p11kit/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { testCard, testKey } from "../../virtual/keys.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run, type RunResult } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

/** Debian's client, through our server, on a virtual card in a real pcscd. */
const PIN = "123456";
let card: PluggedIn;
let pcsc: Pcscd;
let server: P11KitServer;
let folder: string;
let client: string;

beforeAll(async () => {
  requirePrograms("pkcs11-tool", "p11tool", "openssl");
  // Another p11-kit than Debian's: P11KIT_CLIENT=/opt/p11-kit/lib/pkcs11/p11-kit-client.so.
  client = process.env["P11KIT_CLIENT"] ?? requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  card = await plugIn(await testCard(), "RPC");
  pcsc = new Pcscd({ socket: card.env["PCSCLITE_CSOCK_NAME"] ?? "" });
  const { slots } = new Cryptoki({ pcsc, profiles });
  folder = await mkdtemp(path.join(tmpdir(), "p11kit-"));
  server = await P11KitServer.listen(path.join(folder, "socket"), { application: () => new Cryptoki({ slots }) });
  // Others may have the one daemon of the machine for as long as this.
}, 1_000_000);

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await pcsc.close();
  await card[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const file = (name: string): string => path.join(folder, name);

/** Runs a program where the client finds the server. */
const at = (program: string, ...args: readonly string[]): Promise<RunResult> =>
  run(program, args, {
    cwd: folder,
    env: { P11_KIT_SERVER_ADDRESS: server.address, GNUTLS_PIN: PIN, PKCS11_MODULE_PATH: client },
  });

async function succeed(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await at(program, ...args);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${String(code)}:\n${stdout}${stderr}`);
  return stdout;
}

const tool = (...args: readonly string[]): Promise<string> => succeed("pkcs11-tool", "--module", client, ...args);
const LOGIN = ["--login", "--pin", PIN];

describe("pkcs11-tool", () => {
  test("lists slots, mechanisms and objects", async () => {
    expect(await tool("--list-slots")).toMatch(/RPC 00 00[^]*token model *: PIV/u);
    // Scripts name the first slot so, as with other modules.
    expect(await tool("--slot", "0", "-O", "--type", "cert")).toContain("Certificate Object");
    expect(await tool("--list-mechanisms")).toMatch(/RSA-PKCS-PSS, [^]*ECDSA-SHA1, /u);
    const objects = await tool("--list-objects", ...LOGIN);
    for (const type of ["Certificate Object", "Public Key Object; RSA 2048", "Private Key Object; RSA"]) {
      expect(objects).toContain(type);
    }
  });

  test.each([
    ["SHA256-RSA-PKCS", "01", "sha256"],
    ["SHA512-RSA-PKCS", "01", "sha512"],
  ])(
    "signs with %s",
    async (mechanism, id, hash) => {
      await writeFile(file("letter"), "a letter");
      await tool(...LOGIN, "--sign", "--id", id, "-m", mechanism, "-i", file("letter"), "-o", file("signature"));
      const key = createPublicKey(testKey("rsa-2048", "9a"));
      expect(verify(hash, Buffer.from("a letter"), key, await readFile(file("signature")))).toBe(true);
    },
    60_000,
  );

  test("signs with ECDSA and the key that wants its PIN each time", async () => {
    await writeFile(file("letter"), "a letter");
    const sign = ["--sign", "--id", "02", "-m", "ECDSA-SHA1", "--signature-format", "openssl"];
    await tool(...LOGIN, ...sign, "-i", file("letter"), "-o", file("signature"));
    const key = createPublicKey(testKey("p-256", "9c"));
    expect(verify("sha1", Buffer.from("a letter"), key, await readFile(file("signature")))).toBe(true);
  }, 60_000);

  test("decrypts", async () => {
    const key = createPublicKey(testKey("rsa-2048", "9d")).export({ type: "spki", format: "pem" });
    await writeFile(file("key.pem"), key);
    await writeFile(file("secret"), "a secret");
    await succeed(
      "openssl",
      "pkeyutl",
      "-encrypt",
      "-pubin",
      "-inkey",
      "key.pem",
      "-in",
      "secret",
      "-out",
      "encrypted",
    );
    const decrypt = ["--decrypt", "--id", "03", "-m", "RSA-PKCS", "-i", file("encrypted"), "-o", file("decrypted")];
    await tool(...LOGIN, ...decrypt);
    expect(await readFile(file("decrypted"), "utf8")).toBe("a secret");
  }, 60_000);

  test("tests all that it knows to test, without an error", async () => {
    const said = await tool(...LOGIN, "--test");
    expect(said).toMatch(/all 4 digest functions seem to work[^]*all 4 signature functions seem to work/u);
    expect(said).toMatch(/No errors\n$/u);
  }, 120_000);

  test("is told that this client knows no ECDH", async () => {
    const { code, stderr } = await at(
      "pkcs11-tool",
      "--module",
      client,
      ...LOGIN,
      "--derive",
      "--id",
      "02",
      "-m",
      "ECDH1-DERIVE",
      "-i",
      "/dev/null",
    );
    expect([code, stderr]).toEqual([1, expect.stringMatching(/error/u)]);
  });

  test("gets an error for a wrong PIN, which is tried once", async () => {
    const { code, stderr } = await at("pkcs11-tool", "--module", client, "--login", "--pin", "111111", "-O");
    expect([code, stderr]).toEqual([1, expect.stringContaining("CKR_PIN_INCORRECT")]);
    expect(await tool("--list-slots")).toContain("user PIN count low");
    await tool(...LOGIN, "--list-objects");
    expect(await tool("--list-slots")).not.toContain("user PIN count low");
  }, 60_000);
});

describe("GnuTLS", () => {
  const URI = "pkcs11:model=PIV";
  const p11tool = (...args: readonly string[]): Promise<string> => succeed("p11tool", "--provider", client, ...args);

  test("lists, exports, and tries the keys", async () => {
    expect(await p11tool("--list-tokens")).toMatch(/Model: PIV/u);
    expect(await p11tool("--login", "--list-all", URI)).toMatch(/Type: Private key \(RSA-2048\)/u);
    expect(await p11tool("--export", `${URI};id=%01;type=cert`)).toContain("BEGIN CERTIFICATE");
    for (const id of ["01", "02"]) {
      // What it found out is on standard error.
      const { code, stderr } = await at(
        "p11tool",
        "--provider",
        client,
        "--login",
        "--test-sign",
        `${URI};id=%${id};type=private`,
      );
      expect([code, stderr]).toEqual([0, expect.stringContaining("Verifying against public key in the token... ok")]);
    }
  }, 60_000);
});

describe("OpenSSL's engine", () => {
  const KEY = "pkcs11:id=%01;type=private";
  const ENGINE = ["-engine", "pkcs11", "-keyform", "engine", "-passin", `pass:${PIN}`];

  beforeAll(() => {
    requireLibrary("engines-3/pkcs11.so", "libengine-pkcs11-openssl");
  });

  test.each([
    ["RSA PKCS #1", KEY, testKey("rsa-2048", "9a"), []],
    ["RSA PSS", KEY, testKey("rsa-2048", "9a"), ["rsa_padding_mode:pss", "rsa_pss_saltlen:digest"]],
    // Its PIN for each use, the engine asks of a terminal: the key that wants none.
    ["ECDSA", "pkcs11:id=%04;type=private", testKey("p-256", "9e"), []],
  ] as const)(
    "signs with %s",
    async (_, uri, privateKey, options) => {
      await writeFile(file("letter"), "a letter");
      await writeFile(file("key.pem"), createPublicKey(privateKey).export({ type: "spki", format: "pem" }));
      const sigopt = options.flatMap((option) => ["-sigopt", option]);
      await succeed("openssl", "dgst", "-sha256", ...ENGINE, "-sign", uri, ...sigopt, "-out", "signature", "letter");
      const check = ["dgst", "-sha256", "-verify", "key.pem", ...sigopt, "-signature", "signature", "letter"];
      expect(await succeed("openssl", ...check)).toBe("Verified OK\n");
    },
    60_000,
  );

  test("decrypts RSA OAEP", async () => {
    const key = createPublicKey(testKey("rsa-2048", "9d")).export({ type: "spki", format: "pem" });
    await writeFile(file("key.pem"), key);
    await writeFile(file("secret"), "a secret");
    const OAEP = ["-pkeyopt", "rsa_padding_mode:oaep"];
    await succeed(
      "openssl",
      "pkeyutl",
      "-encrypt",
      "-pubin",
      "-inkey",
      "key.pem",
      ...OAEP,
      "-in",
      "secret",
      "-out",
      "encrypted",
    );
    const decrypt = [
      "pkeyutl",
      "-decrypt",
      ...ENGINE,
      "-inkey",
      "pkcs11:id=%03;type=private",
      ...OAEP,
      "-in",
      "encrypted",
    ];
    expect(await succeed("openssl", ...decrypt)).toBe("a secret");
  }, 60_000);
});

test("no client is left connected", async () => {
  for (let tries = 0; server.clients > 0 && tries < 100; tries++) await sleep(10);
  expect(server.clients).toBe(0);
});
