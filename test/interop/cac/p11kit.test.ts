import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { Cryptoki, Pcscd, profiles } from "../../../src/index.ts";
import { P11KitServer } from "../../../src/p11kit/index.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run, type RunResult } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { CAC_PIN, type LibcacardCard, startLibcacard } from "./libcacard.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

describe("libcacard's card, for programs that load p11-kit-client.so", () => {
  let card: LibcacardCard;
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let server: P11KitServer;
  let folder: string;
  let client: string;

  beforeAll(async () => {
    requirePrograms("pkcs11-tool", "p11tool");
    client = requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
    folder = await mkdtemp(path.join(os.tmpdir(), "cac-p11kit-"));
    card = await startLibcacard();
    plugged = await plugIn(card, "Virtual PCD");
    pcsc = new Pcscd({ socket: plugged.env["PCSCLITE_CSOCK_NAME"] ?? "" });
    const { slots } = new Cryptoki({ pcsc, profiles });
    server = await P11KitServer.listen(path.join(folder, "socket"), { application: () => new Cryptoki({ slots }) });
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const at = (program: string, ...args: readonly string[]): Promise<RunResult> =>
    run(program, args, {
      env: { P11_KIT_SERVER_ADDRESS: server.address, GNUTLS_PIN: CAC_PIN },
      timeout: 300_000,
    });
  const tokenUrl = async (): Promise<string> => {
    const { stdout } = await at("p11tool", "--provider", client, "--list-token-urls");
    return stdout.split("\n").find((line) => line.includes("Common%20Access%20Card")) ?? "";
  };

  test("pkcs11-tool tests it without an error", async () => {
    const { code, stdout, stderr } = await at("pkcs11-tool", "--module", client, "--login", "--pin", CAC_PIN, "--test");
    expect(`${stdout}${stderr}`).toContain("No errors");
    expect(code).toBe(0);
  });

  test("p11tool lists its certificates and keys", async () => {
    const url = await tokenUrl();
    expect(url).toMatch(/^pkcs11:/u);
    const { stdout } = await at("p11tool", "--provider", client, "--login", "--list-all", url);
    expect(stdout.match(/Type: X\.509 Certificate/gu)).toHaveLength(card.certificates.length);
    expect(stdout.match(/Type: Private key/gu)).toHaveLength(card.certificates.length);
  });

  test("p11tool signs with each key, and verifies", async () => {
    const url = await tokenUrl();
    const { stdout } = await at("p11tool", "--provider", client, "--login", "--list-privkeys", "--only-urls", url);
    const keys = stdout.split("\n").filter((line) => line.startsWith("pkcs11:"));
    expect(keys).toHaveLength(card.certificates.length);
    for (const key of keys) {
      const signed = await at("p11tool", "--provider", client, "--login", "--test-sign", key);
      expect([signed.code, signed.stdout + signed.stderr]).toEqual([0, expect.stringContaining("... ok")]);
    }
  });
});
