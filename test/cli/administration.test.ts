import { X509Certificate } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

const NEW_KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const ALL = { env: { ...OFFICER.env, ...PIN.env, CRYPTOKI_PUK: "12345678" } };
let folder: CardFolder;
beforeEach(async () => {
  folder = await CardFolder.create({
    yubico: true,
    serial: 7654321,
    keys: { "9a": "p-256", "9c": "p-256", "9d": null, "9e": null },
  });
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given: Given = ALL): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);
const withEnv = (env: Readonly<Record<string, string>>, typed?: string): Given => ({
  env: { ...ALL.env, ...env },
  ...(typed !== undefined && { typed }),
});
const fingerprint = async (reference: string): Promise<string> =>
  (json(await onCard(["key", "info", "--reference", reference, "--json"])) as { fingerprint: string }).fingerprint;

async function onStandardCard(args: readonly string[]): Promise<Outcome> {
  using standard = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
  return await cryptoki(["--virtual", standard.card, ...args, "--json"], withEnv({ CRYPTOKI_NEW_SO_PIN: NEW_KEY }));
}

describe("key attest", () => {
  test("prints the chain of a key that was made on the card, and checks it", async () => {
    const attested = await onCard(["key", "attest", "--reference", "9a"]);
    expect(attested).toMatchObject({ code: 0, stderr: expect.stringContaining("was made on the card") });
    const [leaf, signer] = attested.stdout
      .split(/(?<=-----END CERTIFICATE-----\n)/u)
      .map((one) => new X509Certificate(one));
    expect(signer && leaf?.verify(signer.publicKey)).toBe(true);
    const ca = folder.file("ca.pem", signer?.toString());
    expect(json(await onCard(["key", "attest", "--reference", "9a", "--ca", ca, "--json"]))).toMatchObject({
      authority: "checked",
    });
    const other = folder.file("other.pem", (await onCard(["certificate", "export", "--reference", "9c"])).stdout);
    expect(jsonError(await onCard(["key", "attest", "--reference", "9a", "--ca", other, "--json"]))).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining("no certificate of --ca signed"),
    });
  });

  test("is refused for an empty place, and by a card that does not attest", async () => {
    expect(jsonError(await onCard(["key", "attest", "--reference", "9d", "--json"]))).toMatchObject({ exitCode: 3 });
    expect(jsonError(await onStandardCard(["key", "attest", "--reference", "9a"]))).toMatchObject({
      message: expect.stringContaining("does not attest keys"),
    });
  });
});

describe("key move and key delete", () => {
  test("a key moves to an empty place without a question", async () => {
    const before = await fingerprint("9a");
    expect(await onCard(["key", "move", "--from", "9a", "--to", "82"])).toMatchObject({ code: 0 });
    expect(await fingerprint("82")).toBe(before);
  });

  test("moving over a key, and deleting one, ask first", async () => {
    const before = await fingerprint("9c");
    const move = ["key", "move", "--from", "9a", "--to", "9c"];
    expect(jsonError(await onCard([...move, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("--yes"),
    });
    expect(await onCard(move, withEnv({}, "no\n"))).toMatchObject({ code: 2 });
    expect(await fingerprint("9c")).toBe(before);
    const remove = ["key", "delete", "--so", "--reference", "9c"];
    expect(jsonError(await onCard([...remove, "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("9C (id 02)"),
    });
    expect(await onCard([...remove, "--yes"])).toMatchObject({ code: 0 });
    expect(await onCard([...remove, "--yes", "--json"])).toMatchObject({ code: 3 });
    expect(jsonError(await onCard(["key", "move", "--from", "9d", "--to", "82", "--json"]))).toMatchObject({
      exitCode: 3,
    });
    expect(jsonError(await onCard(["key", "move", "--from", "9a", "--to", "9a", "--yes", "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("name the same place, 9A"),
    });
  });
});

describe("so change", () => {
  test("sets a new management key, and the old one is wrong then", async () => {
    const changed = await onCard(["so", "change", "--json"], withEnv({ CRYPTOKI_NEW_SO_PIN: NEW_KEY }));
    expect(json(changed)).toMatchObject({ changed: true });
    const args = ["key", "generate", "--so", "--reference", "9d", "--json"];
    expect(jsonError(await onCard(args))).toMatchObject({ name: "CKR_PIN_INCORRECT", exitCode: 4 });
    const made = await onCard(args, withEnv({ CRYPTOKI_SO_PIN: NEW_KEY }));
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const back = withEnv({ CRYPTOKI_SO_PIN: NEW_KEY, CRYPTOKI_NEW_SO_PIN: OFFICER.env.CRYPTOKI_SO_PIN });
    expect(await onCard(["so", "change"], back)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("every new card has"),
    });
  });

  test("refuses a key of another length, and a card without the command", async () => {
    expect(jsonError(await onCard(["so", "change", "--json"], withEnv({ CRYPTOKI_NEW_SO_PIN: "0102" })))).toMatchObject(
      {
        exitCode: 4,
        message: expect.stringContaining("32, 48 or 64 hexadecimal digits"),
      },
    );
    expect(jsonError(await onStandardCard(["so", "change"]))).toMatchObject({
      message: expect.stringContaining("PIV has no command that changes the management key"),
    });
  });
});

describe("puk change and pin retries", () => {
  test("puk change, with the tries that a wrong one leaves", async () => {
    const fresh = { CRYPTOKI_NEW_PUK: "97531864" };
    const wrong = await onCard(["puk", "change", "--json"], withEnv({ ...fresh, CRYPTOKI_PUK: "00000000" }));
    expect(jsonError(wrong)).toMatchObject({ exitCode: 4, triesLeft: 2 });
    expect(await onCard(["puk", "change"], withEnv(fresh))).toMatchObject({ code: 0, stderr: "" });
    expect(
      await onCard(["puk", "change"], withEnv({ CRYPTOKI_PUK: "97531864", CRYPTOKI_NEW_PUK: "12345678" })),
    ).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("the new PUK is the one that every new card has"),
    });
  });

  test("pin retries sets tries, PIN and PUK in one step, after a question", async () => {
    const fresh = { CRYPTOKI_NEW_PIN: "654321", CRYPTOKI_NEW_PUK: "87654321" };
    const args = ["pin", "retries", "--pin-tries", "8", "--puk-tries", "5"];
    expect(jsonError(await onCard([...args, "--json"], withEnv(fresh)))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/sets PIN and PUK to those of a new card.*--yes/u),
    });
    expect(await onCard([...args, "--yes"], withEnv(fresh))).toMatchObject({ code: 0 });
    const status = json(await onCard(["token", "info", "--json"])) as { pin: object; puk: object };
    expect(status).toMatchObject({ pin: { maxTries: 8, factory: false }, puk: { triesLeft: 5, factory: false } });
    expect(jsonError(await onCard([...args, "--yes", "--json"], withEnv(fresh)))).toMatchObject({ triesLeft: 7 });
    expect(await onCard(["pin", "retries", "--pin-tries", "0", "--puk-tries", "3"])).toMatchObject({ code: 2 });
  });

  test.each([
    [{ CRYPTOKI_NEW_PIN: "12", CRYPTOKI_NEW_PUK: "97531864" }, /a PIN of this card has 6 to 8/u],
    [{ CRYPTOKI_NEW_PIN: "680246", CRYPTOKI_NEW_PUK: "123456789" }, /a PUK of this card has 6 to 8/u],
  ])("pin retries leaves PIN, PUK and tries as they are for new ones that the card cannot take", async (env, rule) => {
    expect(await onCard(["pin", "change"], withEnv({ CRYPTOKI_NEW_PIN: "246802" }))).toMatchObject({ code: 0 });
    const args = ["pin", "retries", "--yes", "--pin-tries", "8", "--puk-tries", "5", "--json"];
    const refused = await onCard(args, withEnv({ CRYPTOKI_PIN: "246802", ...env }));
    expect(jsonError(refused)).toMatchObject({ exitCode: 4, message: expect.stringMatching(rule) });
    expect(json(await onCard(["token", "info", "--json"]))).toMatchObject({
      pin: { triesLeft: 3, maxTries: 3, factory: false },
      puk: { triesLeft: 3 },
    });
  });

  test("pin retries says what the card has if it refuses the new PIN afterwards", async () => {
    const fresh = { CRYPTOKI_NEW_PIN: "abcdef", CRYPTOKI_NEW_PUK: "97531864" };
    const args = ["pin", "retries", "--yes", "--pin-tries", "8", "--puk-tries", "5"];
    expect(await onCard(args, withEnv(fresh))).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(
        /PIN and PUK may be those of a new card now \(123456, 12345678\).*cryptoki pin change/u,
      ),
    });
  });
});

describe("token info and token reset", () => {
  test("info tells the device, the tries and what is still the factory's, and warns of it", async () => {
    const info = await onCard(["token", "info", "--json"]);
    expect(json(info)).toMatchObject({
      firmware: "5.7.1",
      device: "7654321",
      pin: { triesLeft: 3, maxTries: 3, factory: true },
      puk: { triesLeft: 3, factory: true },
      managementKey: { factory: true },
    });
    expect(info.stderr).toContain("cryptoki so change");
    expect((await onCard(["token", "info"])).stdout).toMatch(/^ +firmware +5\.7\.1$/mu);
    expect(json(await onStandardCard(["token", "info"]))).toMatchObject({
      firmware: null,
      managementKey: { factory: null },
    });
  });

  test("reset asks, and leaves a card that a new key can be made on", async () => {
    await onCard(["so", "change"], withEnv({ CRYPTOKI_NEW_SO_PIN: NEW_KEY }));
    const before = await fingerprint("9a");
    expect(jsonError(await onCard(["token", "reset", "--json"]))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/all keys, certificates and data .*--yes/u),
    });
    expect(await onCard(["token", "reset"], withEnv({}, "n\n"))).toMatchObject({ code: 2 });
    expect(await fingerprint("9a")).toBe(before);
    expect(await onCard(["token", "reset"], withEnv({}, "y\n"))).toMatchObject({ code: 0 });
    expect((await onCard(["key", "list"])).code).toBe(3);
    expect(await onCard(["key", "generate", "--so", "--reference", "9a"])).toMatchObject({ code: 0 });
  });

  test("reset spends no try of a card that cannot be reset", async () => {
    using standard = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const on = ["--virtual", standard.card];
    expect(jsonError(await cryptoki([...on, "token", "reset", "--yes", "--json"]))).toMatchObject({
      message: expect.stringContaining("only cards with Yubico's commands"),
    });
    expect(json(await cryptoki([...on, "pin", "status", "--json"]))).toMatchObject([{ user: { triesLeft: 3 } }]);
  });
});
