import { createPublicKey } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { testKey } from "../../virtual/keys.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

const MINUTES = 60_000;
// Some of these programs make hundreds of exchanges, and a vpcd left as it is takes 40 ms for each.
jest.setTimeout(2 * MINUTES);
const KINDS = { "9a": "rsa-2048", "9c": "p-256", "9d": "rsa-2048", "9e": "p-256" } as const;

describe("Yubico's programs on a card that answers their commands", () => {
  let card: PluggedIn;
  let folder: string;
  let module: string;
  const file = (name: string): string => path.join(folder, name);
  const tool = (...args: string[]): Promise<string> => card.succeed("yubico-piv-tool", "--reader", "Yubico", ...args);

  beforeAll(async () => {
    requirePrograms("yubico-piv-tool", "pkcs11-tool", "openssl");
    module = requireLibrary("libykcs11.so", "ykcs11");
    folder = await mkdtemp(path.join(os.tmpdir(), "yubico-"));
    const keys = Object.fromEntries(
      Object.entries(KINDS).map(([slot, type]) => [slot, { privateKey: testKey(type, slot) }]),
    );
    // ykcs11 looks only at readers with "Yubico" in their name.
    card = await plugIn(await VirtualPivCard.create({ keys, yubico: true, serial: 12_345_678 }), "Yubico Virtual PCD");
    await writeFile(file("message"), Buffer.alloc(100, "what is signed "));
    await writeFile(file("hash"), (await card.run("openssl", "dgst", "-sha256", "-binary", file("message"))).bytes);
  }, 20 * MINUTES);
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test("yubico-piv-tool shows its status", async () => {
    const status = await tool("-a", "status");
    expect(status).toMatch(/Serial Number:\s+12345678\n/u);
    expect(status.match(/Algorithm:\s+(RSA2048|ECCP256)/gu)).toHaveLength(4);
    expect(status).toMatch(/PIN tries left:\s+3\n/u);
  });

  test("yubico-piv-tool verifies the PIN, and counts the tries of a wrong one", async () => {
    await tool("-a", "verify-pin", "-P", "123456");
    const wrong = await card.run("yubico-piv-tool", "--reader", "Yubico", "-a", "verify-pin", "-P", "999999");
    expect(wrong.stderr).toContain("2 tries left");
    await tool("-a", "verify-pin", "-P", "123456");
  });

  test.each(["9a", "9c"])(
    "yubico-piv-tool has %s sign, and verifies with the certificate on the card",
    async (slot) => {
      await tool("-a", "read-certificate", "-s", slot, "-o", file("certificate.pem"));
      await tool("-a", "verify-pin", "-P", "123456", "-a", "test-signature", "-s", slot, "-i", file("certificate.pem"));
    },
  );

  test("yubico-piv-tool has 9d decrypt", async () => {
    await tool("-a", "read-certificate", "-s", "9d", "-o", file("certificate.pem"));
    await tool("-a", "verify-pin", "-P", "123456", "-a", "test-decipher", "-s", "9d", "-i", file("certificate.pem"));
  });

  describe("ykcs11", () => {
    const pkcs11 = (...args: string[]): Promise<string> => card.succeed("pkcs11-tool", "--module", module, ...args);

    test("lists the token and its objects", async () => {
      expect(await pkcs11("-L")).toMatch(/token label +: YubiKey PIV #12345678/u);
      const objects = await pkcs11("-O", "--login", "--pin", "123456");
      // And the attestation key.
      expect(objects.match(/^Private Key Object/gmu)).toHaveLength(5);
      expect(objects).toMatch(/label: +Private key for PIV Attestation$/mu);
    });

    test.each([
      ["01", "9a"],
      ["02", "9c"],
      ["03", "9d"],
      ["04", "9e"],
    ] as const)("signs with %s (%s), and OpenSSL verifies", async (id, slot) => {
      const ec = KINDS[slot] === "p-256";
      const how = ec ? ["-m", "ECDSA", "--signature-format", "openssl"] : ["-m", "SHA256-RSA-PKCS"];
      const input = file(ec ? "hash" : "message");
      const login = ["--login", "--pin", "123456"];
      await pkcs11(...login, "--sign", ...how, "--id", id, "-i", input, "-o", file("signature"));
      const key = createPublicKey(testKey(KINDS[slot], slot)).export({ format: "pem", type: "spki" });
      await writeFile(file("key.pem"), key);
      const verify = ["dgst", "-sha256", "-verify", file("key.pem"), "-signature", file("signature"), file("message")];
      expect(await card.succeed("openssl", ...verify)).toBe("Verified OK\n");
    });

    test("finds no fault with it", async () => {
      expect(await pkcs11("--test", "--login", "--pin", "123456")).toContain("No errors");
    });
  });

  test.each([
    ["ECCP256", { namedCurve: "prime256v1" }],
    ["RSA2048", { modulusLength: 2048 }],
  ])("yubico-piv-tool makes a key of kind %s", async (algorithm, details) => {
    await tool("-a", "generate", "-s", "9e", "-A", algorithm, "-o", file("made.pem"));
    expect(createPublicKey(await readFile(file("made.pem"), "utf8")).asymmetricKeyDetails).toMatchObject(details);
  });

  test("yubico-piv-tool changes PIN and PUK, and unblocks the PIN", async () => {
    await tool("-a", "change-pin", "-P", "123456", "-N", "654321");
    await tool("-a", "change-puk", "-P", "12345678", "-N", "87654321");
    for (let i = 0; i < 3; i++)
      await card.run("yubico-piv-tool", "--reader", "Yubico", "-a", "verify-pin", "-P", "999999");
    await tool("-a", "unblock-pin", "-P", "87654321", "-N", "123456");
    await tool("-a", "verify-pin", "-P", "123456");
  });
});
