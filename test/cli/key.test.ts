import { createPublicKey } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { CardFolder, OFFICER } from "./card.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

let folder: CardFolder;
beforeAll(async () => {
  folder = await CardFolder.create({ yubico: true, keys: { "9a": null, "9c": "p-256", "9d": null, "9e": null } });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given: Given = OFFICER): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);

interface Listed {
  readonly reference: string;
  readonly key: string;
  readonly policy: object;
  readonly fingerprint: string;
  readonly certificate?: { readonly subject: string };
}

const info = async (reference: string): Promise<Listed> =>
  json(await onCard(["key", "info", "--reference", reference, "--json"])) as Listed;

describe("key generate", () => {
  test("says that the key was made, and prints its public half, if its file cannot be written", async () => {
    const made = await onCard(["key", "generate", "--so", "--reference", "9e", "--output", "/dev/full"]);
    expect(made).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^-----BEGIN PUBLIC KEY-----/u),
      stderr: expect.stringMatching(/the card has made the key in 9E \(id 04\)[^]*cannot write \/dev\/full/u),
    });
    expect(await onCard(["key", "delete", "--so", "--reference", "9e", "--yes"])).toMatchObject({ code: 0 });
  });

  test.each([
    ["key", "generate"],
    ["certificate", "self-sign", "--subject", "CN=Ada"],
  ])("%s %s refuses a label, which a PIV card cannot keep", async (...words) => {
    const refused = await onCard([...words, "--so", "--reference", "9a", "--label", "Mail", "--json"]);
    expect(jsonError(refused)).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("--label: a PIV card has no place"),
    });
  });

  test("makes a key with policies in an empty place, and prints its public key", async () => {
    const made = await onCard([
      "key",
      "generate",
      "--so",
      "--reference",
      "9a",
      "--type",
      "p384",
      "--policy",
      "pin=always,touch=cached",
    ]);
    expect(made.code).toBe(0);
    expect(createPublicKey(made.stdout).asymmetricKeyDetails).toEqual({ namedCurve: "secp384r1" });
    expect(made.stderr).toContain("9A (id 01)");
    expect(made.stderr).toContain("cryptoki so change");
    expect(await info("9a")).toMatchObject({
      reference: "9a",
      key: "P-384",
      policy: { pin: "always", touch: "cached", origin: "generated" },
    });
  });

  test.each([
    ["rsa2048", "RSA-2048"],
    ["p256", "P-256"],
    ["ed25519", "Ed25519"],
    ["x25519", "X25519"],
  ])("--type %s; --id 82 is a place on a PIV card too", async (type, name) => {
    const made = await onCard(["key", "generate", "--so", "--id", "82", "--type", type, "--yes", "--json"]);
    expect(json(made)).toMatchObject({ generated: true, id: "05", reference: "82", key: name });
    expect(await info("82")).toMatchObject({ key: name, fingerprint: (json(made) as Listed).fingerprint });
  });

  test("asks before a key is overwritten: any answer but yes leaves it", async () => {
    const before = (await info("9c")).fingerprint;
    const args = ["key", "generate", "--so", "--reference", "9c", "--type", "p256"];
    expect(jsonError(await onCard([...args, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/key of type P-256 in 9C \(id 02\) already.*--yes/u),
    });
    for (const typed of ["\n", "no\n", "yess\n"]) {
      expect(await onCard(args, { ...OFFICER, typed })).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("nothing was changed"),
      });
    }
    // Ctrl-D.
    expect(await onCard(args, { ...OFFICER, typed: "" })).toMatchObject({ code: 130 });
    expect((await info("9c")).fingerprint).toBe(before);
    expect(await onCard(args, { ...OFFICER, typed: "y\n" })).toMatchObject({ code: 0 });
    expect((await info("9c")).fingerprint).not.toBe(before);
  });

  test.each([
    [["--reference", "9b"], /a PIV card has 9a, 9c, 9d, 9e, and 82 to 95/u],
    [["--reference", "9a", "--id", "02"], /name different keys/u],
    [[], /say which key: --reference/u],
    [["--reference", "83", "--type", "rsa512"], /Allowed choices are rsa2048/u],
    [["--reference", "83", "--policy", "pin=sometimes"], /pin=default\|never\|once/u],
    [["--reference", "83", "--policy", "pin=once,pin=never"], /pin stands there twice/u],
  ])("refuses %j", async (args, message) => {
    const refused = await onCard(["key", "generate", "--so", ...args, "--json"]);
    expect(jsonError(refused)).toMatchObject({ exitCode: 2, message: expect.stringMatching(message) });
  });

  test("refuses policies on a card without them, and says who makes keys", async () => {
    using standard = await CardFolder.create({ keys: { "9a": null, "9c": null, "9d": null, "9e": null } });
    const args = ["--virtual", standard.card, "key", "generate", "--reference", "9a", "--json"];
    expect(jsonError(await cryptoki([...args, "--so", "--policy", "touch=always"], OFFICER))).toMatchObject({
      name: "CKR_ATTRIBUTE_VALUE_INVALID",
      message: expect.stringContaining("only cards with Yubico's commands"),
    });
    expect(jsonError(await cryptoki(args, { env: { CRYPTOKI_PIN: "123456" } }))).toMatchObject({
      exitCode: 4,
      message: expect.stringContaining("--so"),
    });
    expect(json(await cryptoki([...args, "--so"], OFFICER))).toMatchObject({ reference: "9a", key: "P-256" });
  });
});

describe("key list and key info", () => {
  test("show type, policies, origin and certificate without a PIN", async () => {
    using card = await CardFolder.create({
      yubico: true,
      keys: { "9a": "p-256", "9c": { privateKey: { type: "p-384" }, certificate: null }, "9d": null, "9e": null },
    });
    const on = ["--virtual", card.card];
    const listed = json(await cryptoki([...on, "key", "list", "--json"])) as Listed[];
    expect(listed).toMatchObject([
      { reference: "9a", key: "P-256", policy: { pin: "once", touch: "never" } },
      { reference: "9c", key: "P-384", policy: { pin: "always", touch: "never" } },
    ]);
    expect(listed[0]?.certificate?.subject).toContain("Test Cardholder");
    expect(listed[1]).not.toHaveProperty("certificate");
    const table = await cryptoki([...on, "key", "list"]);
    expect(table.stdout).toMatch(/^02 +9c +P-384 +always +never +generated +none$/mu);
    expect((await cryptoki([...on, "key", "info", "--reference", "9a"])).stdout).toMatch(
      /^fingerprint +[0-9a-f]{64}$/mu,
    );
    expect(await cryptoki([...on, "key", "info", "--reference", "82"])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("there is no key in 82 (id 05)"),
    });
  });

  test("on a PKCS #15 card keys have no names of PIV", async () => {
    const on = ["--virtual=pkcs15", "--token", "pkcs11:token=Virtual%20eID%20%28PIN%29"];
    const listed = json(await cryptoki([...on, "key", "list", "--json"])) as Listed[];
    expect(listed.length).toBeGreaterThan(0);
    expect(listed[0]).not.toHaveProperty("reference");
    expect(await cryptoki([...on, "key", "info", "--reference", "9a"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("only PIV cards have names for their keys"),
    });
  });
});
