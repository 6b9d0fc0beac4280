import { createPublicKey, diffieHellman, type KeyObject, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { testKey, testPkcs15Card } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

const MINUTES = 60_000;
jest.setTimeout(2 * MINUTES);

/** OpenSC's slots: one for each PIN. */
const PIN = ["--slot-index", "0", "--login", "--pin", "123456"];
const SIGNATURE_PIN = ["--slot-index", "1", "--login", "--pin", "654321"];

describe.each([{ extended: false }, { extended: true }])("OpenSC on a PKCS #15 card, extended $extended", (options) => {
  let card: PluggedIn;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);

  beforeAll(async () => {
    requirePrograms("opensc-tool", "pkcs11-tool", "pkcs15-tool", "openssl");
    folder = await mkdtemp(path.join(os.tmpdir(), "pkcs15-"));
    card = await plugIn(await testPkcs15Card({ ...options, name: "Ada Lovelace" }), "Virtual PCD");
    await writeFile(file("message"), Buffer.alloc(100, "what is signed "));
    await writeFile(file("hash"), (await card.run("openssl", "dgst", "-sha256", "-binary", file("message"))).bytes);
  }, 20 * MINUTES);
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** The public half of a key of the card, in a PEM file. */
  async function publicKey(key: KeyObject): Promise<string> {
    await writeFile(file("key.pem"), createPublicKey(key).export({ format: "pem", type: "spki" }));
    return file("key.pem");
  }

  async function verified(key: KeyObject): Promise<string> {
    const inputs = ["-signature", file("signature"), file("message")];
    return card.succeed("openssl", "dgst", "-sha256", "-verify", await publicKey(key), ...inputs);
  }

  test("knows the card, and reads all of its directories", async () => {
    expect(await card.succeed("opensc-tool", "--name")).toBe("OsEID 4.0.1\n");
    const dump = await card.succeed("pkcs15-tool", "--dump");
    expect(dump.match(/^PIN \[/gmu)).toHaveLength(4);
    expect(dump.match(/^Private (RSA|EC) Key \[/gmu)).toHaveLength(4);
    expect(dump.match(/^Public (RSA|EC) Key \[/gmu)).toHaveLength(4);
    expect(dump.match(/^X.509 Certificate \[/gmu)).toHaveLength(7);
    expect(dump.match(/^Data object '/gmu)).toHaveLength(3);
    expect(dump).toMatch(/Last update +: \d{14}Z/u);
  });

  test("sees a token for each PIN", async () => {
    const slots = await card.succeed("pkcs11-tool", "-L");
    expect(slots).toMatch(/token label +: Virtual eID$/mu);
    expect(slots).toMatch(/token label +: Virtual eID \(Signature PIN\)$/mu);
    const first = await card.succeed("pkcs11-tool", "-O", ...PIN);
    expect(first.match(/^ +label: +Authentication (RSA|EC)$/gmu)).toHaveLength(6);
    expect(first).toContain("'Private note'");
    const second = await card.succeed("pkcs11-tool", "-O", ...SIGNATURE_PIN);
    expect(second.match(/^ +label: +Signature (RSA|EC)$/gmu)).toHaveLength(6);
    expect(second).toContain("'Signature note'");
  });

  test("reads a certificate longer than 4 kB", async () => {
    const pem = await card.succeed("pkcs15-tool", "--read-certificate", "03");
    const certificate = new X509Certificate(pem);
    expect(certificate.raw.length).toBeGreaterThan(4096);
    expect(certificate.checkPrivateKey(testKey("rsa-3072", "signature"))).toBe(true);
  });

  test("reads a note behind a PIN, with the PIN only", async () => {
    const read = ["--read-object", "--type", "data", "--label", "Signature note"];
    expect(await card.succeed("pkcs11-tool", ...SIGNATURE_PIN, ...read)).toContain(
      "Only the signature PIN opens this.",
    );
    expect(await card.succeed("pkcs11-tool", "-O", "--slot-index", "1")).not.toContain("Signature note");
  });

  test.each([
    ["01", PIN, "rsa-2048", "authentication"],
    ["03", SIGNATURE_PIN, "rsa-3072", "signature"],
  ] as const)("signs and decrypts with %s, RSA", async (id, login, type, name) => {
    const key = testKey(type, name);
    for (const mechanism of ["SHA256-RSA-PKCS", "SHA256-RSA-PKCS-PSS"]) {
      const sign = ["--sign", "-m", mechanism, "--id", id, "-i", file("message"), "-o", file("signature")];
      const { code, stderr } = await card.run("pkcs11-tool", ...login, ...sign);
      if (code !== 0) throw new Error(stderr);
      if (mechanism === "SHA256-RSA-PKCS") expect(await verified(key)).toBe("Verified OK\n");
    }
    const encrypt = ["pkeyutl", "-encrypt", "-pubin", "-inkey", await publicKey(key), "-in", file("hash")];
    await card.succeed("openssl", ...encrypt, "-out", file("secret"));
    const decrypt = ["--decrypt", "-m", "RSA-PKCS", "--id", id, "-i", file("secret"), "-o", file("plain")];
    await card.succeed("pkcs11-tool", ...login, ...decrypt);
    expect(await readFile(file("plain"))).toEqual(await readFile(file("hash")));
  });

  test("signs with 02, EC", async () => {
    const how = ["-m", "ECDSA", "--signature-format", "openssl", "-i", file("hash"), "-o", file("signature")];
    await card.succeed("pkcs11-tool", ...PIN, "--sign", "--id", "02", ...how);
    expect(await verified(testKey("p-256", "authentication"))).toBe("Verified OK\n");
  });

  test("signs with 04, EC, which wants the PIN for each signature", async () => {
    const how = ["-m", "ECDSA", "--signature-format", "openssl", "-i", file("hash"), "-o", file("signature")];
    await card.succeed("pkcs11-tool", ...SIGNATURE_PIN, "--sign", "--id", "04", ...how);
    expect(await verified(testKey("p-384", "signature"))).toBe("Verified OK\n");
  });

  test("derives with 02", async () => {
    const other = testKey("p-256", "other");
    await writeFile(file("other.der"), createPublicKey(other).export({ format: "der", type: "spki" }));
    const derive = ["--derive", "-m", "ECDH1-COFACTOR-DERIVE", "--id", "02", "-i", file("other.der"), "-o", file("z")];
    await card.succeed("pkcs11-tool", ...PIN, ...derive);
    const publicKey = createPublicKey(testKey("p-256", "authentication"));
    expect(await readFile(file("z"))).toEqual(diffieHellman({ privateKey: other, publicKey }));
  });

  test("changes a PIN, and brings it back by its PUK", async () => {
    const change = ["--change-pin", "--auth-id", "02"];
    await card.succeed("pkcs15-tool", ...change, "--pin", "654321", "--new-pin", "222222");
    await card.succeed("pkcs15-tool", "--verify-pin", "--auth-id", "02", "--pin", "222222");
    for (let tries = 0; tries < 3; tries++) {
      const { code } = await card.run("pkcs15-tool", "--verify-pin", "--auth-id", "02", "--pin", "999999");
      expect(code).not.toBe(0);
    }
    expect(await card.succeed("pkcs11-tool", "-L")).toContain("user PIN locked");
    await card.succeed("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", "123456");
    const unblock = ["--unblock-pin", "--auth-id", "02", "--puk", "87654321", "--new-pin", "654321"];
    await card.succeed("pkcs15-tool", ...unblock);
    await card.succeed("pkcs15-tool", "--verify-pin", "--auth-id", "02", "--pin", "654321");
  });
});
