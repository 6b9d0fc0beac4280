import { createPublicKey, diffieHellman, generateKeyPairSync, verify } from "node:crypto";
import { afterEach, describe, expect, test } from "@jest/globals";
import type { PivCardOptions } from "../../src/virtual/index.ts";
import { testKey } from "../virtual/keys.ts";
import { CardFolder, PIN, WRONG_PIN } from "./card.ts";
import { cryptoki, type Outcome } from "./program.ts";

const LETTER = Buffer.from("an important letter\n");
const NONE = { "9a": null, "9c": null, "9d": null, "9e": null } as const;

let folder: CardFolder | undefined;
afterEach(() => {
  folder?.[Symbol.dispose]();
});

async function yubikey(keys: NonNullable<PivCardOptions["keys"]>, options: PivCardOptions = {}): Promise<CardFolder> {
  folder = await CardFolder.create({ yubico: true, ...options, keys: { ...NONE, ...keys } });
  return folder;
}

const on = ({ card }: CardFolder, args: readonly string[], stdin?: Uint8Array): Promise<Outcome> =>
  cryptoki(["--virtual", card, ...args], { ...PIN, ...(stdin && { stdin }) });

describe("the command on a YubiKey", () => {
  test("signs with a key that has no certificate, and lists it", async () => {
    const key = testKey("p-256", "9a");
    const made = await yubikey({ "9a": { privateKey: key, certificate: null } });
    const listed = await on(made, ["objects", "--login"]);
    expect(listed.stdout).toMatch(/^01 +private +/mu);
    expect(listed.stdout).toMatch(/^01 +public key +P-256/mu);
    expect(listed.stdout).not.toMatch(/^01 +certificate/mu);
    const { bytes, code } = await on(made, ["sign", "--id", "01"], LETTER);
    expect(code).toBe(0);
    expect(verify("sha256", LETTER, createPublicKey(key), bytes)).toBe(true);
  });

  test.each([
    ["01", "9a", "always"],
    ["02", "9c", "never"],
    ["03", "9d", "once"],
    ["05", "82", "always"],
  ] as const)("signs with --id %s (%s), whose PIN policy is %s", async (id, slot, pinPolicy) => {
    const key = testKey("rsa-2048", slot);
    const made = await yubikey({ [slot]: { privateKey: key, pinPolicy } });
    const { bytes, stderr } = await on(made, ["sign", "--id", id], LETTER);
    expect(stderr).toBe("");
    expect(verify("sha256", LETTER, createPublicKey(key), bytes)).toBe(true);
  });

  test.each([
    [true, "once"],
    [true, "always"],
    [false, "once"],
    [false, "always"],
  ] as const)("signs with --id 04 (9e), whose PIN policy is another (told: %s, %s)", async (yubico, pinPolicy) => {
    const key = testKey("p-256", "9e");
    const made = await yubikey({ "9e": { privateKey: key, pinPolicy } }, { yubico });
    const { bytes, stderr } = await on(made, ["sign", "--id", "04"], LETTER);
    expect(stderr).toBe("");
    expect(verify("sha256", LETTER, createPublicKey(key), bytes)).toBe(true);
    const wrong = await cryptoki(["--virtual", made.card, "sign", "--id", "04"], { ...WRONG_PIN, stdin: LETTER });
    expect(wrong).toMatchObject({ code: 4, stderr: expect.stringContaining("the PIN is wrong; 2 tries are left") });
  });

  test("signs with --id 04 (9e) without a PIN where the card wants none", async () => {
    const key = testKey("p-256", "9e");
    const made = await yubikey({ "9e": { privateKey: key } });
    const { bytes, stderr } = await cryptoki(["--virtual", made.card, "sign", "--id", "04"], { stdin: LETTER });
    expect(stderr).toBe("");
    expect(verify("sha256", LETTER, createPublicKey(key), bytes)).toBe(true);
  });

  test("says in the list which key wants its PIN each time", async () => {
    const made = await yubikey({ "9a": { privateKey: testKey("p-256", "9a"), pinPolicy: "always" } });
    expect((await on(made, ["objects", "--login"])).stdout).toMatch(/^01 +private .*PIN for each use/mu);
  });

  test("signs and verifies with Ed25519, which has one mechanism and no hash", async () => {
    const key = testKey("ed25519");
    const made = await yubikey({ "9a": { privateKey: key } });
    const { bytes, stderr } = await on(made, ["sign", "--id", "01"], LETTER);
    expect(stderr).toBe("");
    expect(verify(null, LETTER, createPublicKey(key), bytes)).toBe(true);
    const signature = made.file("letter.sig", bytes);
    const verified = await on(made, ["verify", "--id", "01", "--signature", signature], LETTER);
    expect(verified.code).toBe(0);
    const wrong = await on(made, ["sign", "--id", "01", "--mechanism", "ECDSA_SHA256"], LETTER);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("which is Ed25519") });
  });

  test("agrees with X25519, and says which kind of key the other side has", async () => {
    const key = testKey("x25519");
    const made = await yubikey({ "9d": { privateKey: key, certificate: null } });
    const peer = generateKeyPairSync("x25519");
    const file = made.file("peer.pem", Buffer.from(peer.publicKey.export({ format: "pem", type: "spki" })));
    const { bytes, stderr } = await on(made, ["derive", "--id", "03", "--peer", file]);
    expect(stderr).toBe("");
    const secret = diffieHellman({ privateKey: peer.privateKey, publicKey: createPublicKey(key) });
    expect(Buffer.from(bytes)).toEqual(secret);
    const other = generateKeyPairSync("ed25519").publicKey.export({ format: "pem", type: "spki" });
    const refused = await on(made, ["derive", "--id", "03", "--peer", made.file("other.pem", Buffer.from(other))]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("a key of another type (Ed25519)") });
  });

  test("refuses to sign with X25519", async () => {
    const made = await yubikey({ "9d": { privateKey: testKey("x25519"), certificate: null } });
    const refused = await on(made, ["sign", "--id", "03"], LETTER);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("X25519") });
  });

  test("virtual create --key says when a key wants its PIN", async () => {
    folder = new CardFolder();
    const none = ["--key", "9c=none", "--key", "9d=none", "--key", "9e=none"];
    await cryptoki(["virtual", "create", folder.card, "--yubico", "--key", "9a=p-256:always", ...none]);
    expect((await on(folder, ["objects", "--login"])).stdout).toMatch(/^01 +private .*PIN for each use/mu);
  });
});
