import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { encodeTlv } from "../../src/apdu/index.ts";
import { derSequence } from "../../src/asn1/index.ts";
import { concat, fromHex } from "../../src/bytes/index.ts";
import { certificateOf, name } from "../card/certificates.ts";
import { spkiOf } from "../crypto/keys.ts";
import { CardFolder } from "./card.ts";
import { cryptoki, json, type Outcome } from "./program.ts";

const OFFICER = { CRYPTOKI_SO_PIN: "010203040506070801020304050607080102030405060708" };
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const publicKey = spkiOf(ec.publicKey);

/** A PIV card whose certificate for 9A is `certificate`, and 9C one that nothing is odd about. */
function cardWith(certificate: Uint8Array, privateKey: KeyObject = ec.privateKey): Promise<CardFolder> {
  const object = concat(encodeTlv(0x70, certificate), encodeTlv(0x71, Uint8Array.of(0)), encodeTlv(0xfe));
  return CardFolder.create({
    keys: { "9a": { privateKey, certificate: null }, "9c": "p-256", "9d": null, "9e": null },
    objects: new Map([[0x5fc105, object]]),
  });
}

const run = ({ card }: CardFolder, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> =>
  cryptoki(["--virtual", card, ...args], { env });

describe("objects and read", () => {
  test("show a certificate with an empty subject and issuer, and the rest of the card", async () => {
    using folder = await cardWith(certificateOf({ publicKey, subject: derSequence(), issuer: derSequence() }));
    const { code, stdout } = await run(folder, ["objects", "--type", "cert"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^01 +certificate +P-256 +\S.* \(empty\)$/mu);
    expect(stdout).toMatch(/^02 +certificate +P-256 +.*CN=/mu);
    const text = await run(folder, ["read", "--id", "01", "--format", "text"]);
    expect(text.stdout).toMatch(/^subject +\(empty\)$/mu);
    expect(text.stdout).toMatch(/^issuer +\(empty\)$/mu);
    const { certificate } = json(await run(folder, ["read", "--id", "01", "--json"])) as { certificate: object };
    expect(certificate).toMatchObject({ subject: "", issuer: "", serialNumber: "01", key: "P-256" });
  });

  test.each([
    ["brainpoolP256r1", spkiOf(generateKeyPairSync("ec", { namedCurve: "brainpoolP256r1" }).publicKey)],
    ["P-224", spkiOf(generateKeyPairSync("ec", { namedCurve: "secp224r1" }).publicKey)],
    ["Ed448", spkiOf(generateKeyPairSync("ed448").publicKey)],
  ])("show a certificate of a %s key", async (key, spki) => {
    using folder = await cardWith(certificateOf({ publicKey: spki, subject: name("Ola Nordmann") }));
    const { code, stdout } = await run(folder, ["objects"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^01 +certificate +${key} .*CN=Ola Nordmann$`, "mu"));
    expect(stdout).toMatch(new RegExp(`^01 +public key +${key} `, "mu"));
    const text = await run(folder, ["read", "--id", "01", "--format", "text"]);
    expect(text.stdout).toMatch(new RegExp(`^key +${key}$`, "mu"));
    expect(text.stdout).toMatch(/^valid +2025-01-01 to 2035-01-01$/mu);
    const document = json(await run(folder, ["read", "--id", "01", "--json"])) as object;
    expect(document).toMatchObject({ certificate: { key } });
    expect(document).not.toHaveProperty("ssh");
  });

  test.each([
    ["0201ff", "-01"],
    ["02020001", "01"],
    ["020100", "00"],
    ["02030f0102", "0f0102"],
  ])("show the serial number %s as %s", async (serialNumber, shown) => {
    using folder = await cardWith(certificateOf({ publicKey, serialNumber: fromHex(serialNumber) }));
    const { stdout } = await run(folder, ["read", "--id", "01", "--format", "text"]);
    expect(stdout).toMatch(new RegExp(`^serial number +${shown}$`, "mu"));
  });

  test("show what turns or hides text by its number, in text and in JSON", async () => {
    using folder = await cardWith(certificateOf({ publicKey, subject: name("a\u202eb\u200bc") }));
    const { stdout } = await run(folder, ["objects", "--type", "cert"]);
    expect(stdout).toContain(String.raw`CN=a\u202Eb\u200Bc`);
    const listed = await run(folder, ["objects", "--type", "cert", "--json"]);
    expect(listed.stdout).toContain(String.raw`CN=a\u202Eb\u200Bc`);
    expect(json(listed)).toEqual(expect.arrayContaining([expect.objectContaining({ about: "CN=a\u202eb\u200bc" })]));
  });

  test("list the others beside one that cannot be read, and end with 1", async () => {
    using folder = await cardWith(fromHex("30030201ff"));
    const { code, stdout, stderr } = await run(folder, ["objects", "--type", "cert"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^01 +certificate +.*unreadable: /mu);
    expect(stdout).toMatch(/^02 +certificate +P-256 /mu);
    expect(stderr).toContain("1 of the objects cannot be read; the list shows why");
  });
});

test("import writes the same certificate a second time only with --yes", async () => {
  using folder = await cardWith(certificateOf({ publicKey }));
  const same = folder.file("same.der", certificateOf({ publicKey }));
  const other = folder.file("other.der", certificateOf({ publicKey, subject: name("Other") }));
  const refused = await run(folder, ["import", "--so", "--id", "01", same], OFFICER);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("the card already holds this certificate: id 01");
  expect(await run(folder, ["import", "--so", "--id", "01", "--yes", same], OFFICER)).toMatchObject({ code: 0 });
  // Another place, and another certificate, are no repetition.
  expect(await run(folder, ["import", "--so", "--id", "02", same], OFFICER)).toMatchObject({ code: 0 });
  expect(await run(folder, ["import", "--so", "--id", "01", other], OFFICER)).toMatchObject({ code: 0 });
});
