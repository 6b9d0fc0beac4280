import { createPublicKey, diffieHellman, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { testKey } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "./plugged.ts";

const MINUTES = 60_000;
// Some of these programs make hundreds of exchanges, and a vpcd left as it is takes 40 ms for each.
jest.setTimeout(2 * MINUTES);
const PIN = ["--login", "--pin", "123456"];

/** Slots in the order of OpenSC's ids 01 to 04; the second card has the kinds of keys the other way round. */
const CARDS = [
  { "9a": "rsa-2048", "9c": "p-256", "9d": "rsa-2048", "9e": "p-256" },
  { "9a": "p-256", "9c": "rsa-2048", "9d": "p-256", "9e": "rsa-2048" },
] as const;

describe.each(CARDS)("OpenSC on a card with $9a $9c $9d $9e", (kinds) => {
  let virtual: VirtualPivCard;
  let card: PluggedIn;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);

  beforeAll(async () => {
    requirePrograms("opensc-tool", "pkcs11-tool", "pkcs15-tool", "piv-tool", "openssl");
    folder = await mkdtemp(path.join(os.tmpdir(), "opensc-"));
    const keys = Object.fromEntries(
      Object.entries(kinds).map(([slot, type]) => [slot, { privateKey: testKey(type, slot) }]),
    );
    virtual = await VirtualPivCard.create({ keys, name: "Ada Lovelace" });
    card = await plugIn(virtual, "Virtual PCD");
    await writeFile(file("message"), Buffer.alloc(100, "what is signed "));
    await writeFile(file("hash"), (await card.run("openssl", "dgst", "-sha256", "-binary", file("message"))).bytes);
  }, 20 * MINUTES);
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** The public key that OpenSC gives for `id`, in a PEM file. */
  async function publicKey(id: string): Promise<string> {
    await card.succeed("pkcs11-tool", "--read-object", "--type", "pubkey", "--id", id, "-o", file("key.der"));
    await card.succeed("openssl", "pkey", "-pubin", "-inform", "der", "-in", file("key.der"), "-out", file("key.pem"));
    return file("key.pem");
  }

  test("recognises it by its application", async () => {
    expect(await card.succeed("opensc-tool", "--name")).toBe("Personal Identity Verification Card\n");
    expect(await card.succeed("piv-tool", "--name")).toBe("Personal Identity Verification Card\n");
    expect(await card.succeed("piv-tool", "--serial")).toMatch(/^([0-9A-F]{2} ){16}/u);
  });

  test("lists the token and its objects", async () => {
    const slots = await card.succeed("pkcs11-tool", "-L");
    expect(slots).toMatch(/token label +: Ada Lovelace/u);
    const objects = await card.succeed("pkcs11-tool", "-O", ...PIN);
    expect(objects.match(/^Private Key Object/gmu)).toHaveLength(4);
    expect(objects.match(/^Public Key Object/gmu)).toHaveLength(4);
    expect(objects.match(/^Certificate Object/gmu)).toHaveLength(4);
  });

  test.each([
    ["01", "9a"],
    ["02", "9c"],
    ["04", "9e"],
  ] as const)("signs with %s (%s), and OpenSSL verifies", async (id, slot) => {
    const ec = kinds[slot] === "p-256";
    const how = ec ? ["-m", "ECDSA", "--signature-format", "openssl"] : ["-m", "SHA256-RSA-PKCS"];
    const input = file(ec ? "hash" : "message");
    await card.succeed("pkcs11-tool", ...PIN, "--sign", ...how, "--id", id, "-i", input, "-o", file("signature"));
    const verify = [
      "dgst",
      "-sha256",
      "-verify",
      await publicKey(id),
      "-signature",
      file("signature"),
      file("message"),
    ];
    expect(await card.succeed("openssl", ...verify)).toBe("Verified OK\n");
  });

  test("decrypts or derives with 03 (9d)", async () => {
    if (kinds["9d"] === "rsa-2048") {
      const key = await publicKey("03");
      const encrypt = ["pkeyutl", "-encrypt", "-pubin", "-inkey", key, "-in", file("hash"), "-out", file("secret")];
      await card.succeed("openssl", ...encrypt);
      const decrypt = ["--decrypt", "-m", "RSA-PKCS", "--id", "03", "-i", file("secret"), "-o", file("plain")];
      await card.succeed("pkcs11-tool", ...PIN, ...decrypt);
      expect(await readFile(file("plain"))).toEqual(await readFile(file("hash")));
    } else {
      const other = testKey("p-256", "other");
      await writeFile(file("other.der"), createPublicKey(other).export({ format: "der", type: "spki" }));
      const derive = [
        "--derive",
        "-m",
        "ECDH1-COFACTOR-DERIVE",
        "--id",
        "03",
        "-i",
        file("other.der"),
        "-o",
        file("z"),
      ];
      await card.succeed("pkcs11-tool", ...PIN, ...derive);
      const secret = diffieHellman({ privateKey: other, publicKey: createPublicKey(testKey("p-256", "9d")) });
      expect(await readFile(file("z"))).toEqual(secret);
    }
  });

  test("finds no fault with it", async () => {
    expect(await card.succeed("pkcs11-tool", "--test", ...PIN)).toContain("No errors");
  });

  describe("as administrator", () => {
    const administer = (...args: string[]): ReturnType<PluggedIn["run"]> =>
      card.run("env", `PIV_EXT_AUTH_KEY=${file("management")}`, "piv-tool", "-A", "M:9B:03", ...args);

    beforeAll(() => writeFile(file("management"), Array(3).fill("01:02:03:04:05:06:07:08").join(":")));

    test("writes a certificate", async () => {
      const write = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=Other",
      ];
      await card.succeed("openssl", ...write, "-keyout", file("other.key"), "-out", file("other.pem"));
      // OpenSC 0.23 ends with the number of bytes written, not with 0.
      await administer("-C", "9E", "-i", file("other.pem"));
      await card.succeed("pkcs11-tool", "--read-object", "--type", "cert", "--id", "04", "-o", file("read.der"));
      const written = new X509Certificate(await readFile(file("other.pem")));
      expect(new X509Certificate(await readFile(file("read.der"))).fingerprint256).toBe(written.fingerprint256);
    });

    test("makes a key", async () => {
      // OpenSC 0.23 built against OpenSSL 3 fails to write down the public key that it got, hence no look at its exit code.
      const { stderr } = await administer("-G", "9A:07", "-o", file("made.pem"));
      expect(stderr).not.toContain("failed");
      const { keys } = JSON.parse(virtual.image()) as { keys: Record<string, { origin: string }> };
      expect(keys["9a"]?.origin).toBe("generated");
    });
  });

  test("counts wrong PINs", async () => {
    const wrong = await card.run("pkcs11-tool", "--login", "--pin", "999999", "-O");
    expect(wrong.stderr).toContain("CKR_PIN_INCORRECT");
    expect(await card.succeed("opensc-tool", "--send-apdu", "00:20:00:80")).toContain("SW1=0x63, SW2=0xC2");
    await card.succeed("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", "123456");
    expect(await card.succeed("opensc-tool", "--send-apdu", "00:20:00:80")).toMatch(
      /SW1=0x(63, SW2=0xC3|90, SW2=0x00)/u,
    );
  });
});
