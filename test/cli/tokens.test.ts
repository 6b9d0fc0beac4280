import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { CardFolder, PIN, WRONG_PIN } from "./card.ts";
import { cryptoki, json, jsonError } from "./program.ts";

let folder: CardFolder;
beforeAll(async () => {
  folder = await CardFolder.create({ guid: Uint8Array.from({ length: 16 }, (_, index) => index + 1) });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

interface TokenDocument {
  readonly uri: string;
  readonly label: string;
}

describe("tokens", () => {
  test("for a person", async () => {
    const { code, stdout } = await cryptoki(["--virtual", folder.card, "tokens"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^PIV /u);
    expect(stdout).toMatch(/reader +Virtual Reader/u);
    expect(stdout).toMatch(/URI +pkcs11:/u);
  });

  test("for a program", async () => {
    expect(json(await cryptoki(["--virtual", folder.card, "tokens", "--json"]))).toEqual([
      {
        label: expect.stringMatching(/^PIV/u),
        manufacturer: expect.any(String),
        model: "PIV",
        serialNumber: expect.any(String),
        slot: expect.any(Number),
        reader: "Virtual Reader",
        pin: "ok",
        pinLength: { min: 6, max: 8 },
        flags: expect.arrayContaining(["CKF_LOGIN_REQUIRED", "CKF_TOKEN_INITIALIZED"]),
        uri: expect.stringMatching(/^pkcs11:.*token=PIV/u),
      },
    ]);
  });

  test("the URI of a token finds it again, as an argument and as an option", async () => {
    const [token] = json(await cryptoki(["--virtual", folder.card, "tokens", "--json"])) as TokenDocument[];
    const { uri = "" } = token ?? {};
    expect((await cryptoki(["--virtual", folder.card, "tokens", uri])).stdout).toContain(uri);
    expect((await cryptoki(["--virtual", folder.card, "tokens", "--token", uri])).stdout).toContain(uri);
  });

  test.each([["pkcs11:token=Other"], ["pkcs11:x-unknown=1"]])("no token fits %s: exit code 3", async (uri) => {
    const outcome = await cryptoki(["--virtual", folder.card, "tokens", uri, "--json"]);
    expect(outcome.code).toBe(3);
    expect(outcome.stdout).toBe("[]\n");
    expect(jsonError(outcome)).toMatchObject({ name: "NotFoundError" });
  });

  test.each([["pkcs11:token"], ["pkcs11:?pin-value=424242"], ["PIV"]])("%s is a usage error", async (uri) => {
    const { code, stderr } = await cryptoki(["--virtual", folder.card, "tokens", uri]);
    expect(code).toBe(2);
    expect(stderr).not.toContain("424242");
  });

  test("no daemon", async () => {
    const outcome = await cryptoki(["tokens"], { env: { PCSCLITE_CSOCK_NAME: "/nonexistent" } });
    expect(outcome.code).toBe(3);
    expect(outcome.stderr).toMatch(/^error: .*pcscd/u);
  });
});

describe("objects", () => {
  test("certificates and public keys are to be seen without a PIN", async () => {
    const { code, stdout } = await cryptoki(["--virtual", folder.card, "objects"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/01 +certificate +RSA-2048 +Certificate for PIV Authentication/u);
    expect(stdout).toMatch(/02 +public key +P-256 /u);
    expect(stdout).not.toMatch(/01 +private key/u);
  });

  test("private keys after the login", async () => {
    const { stdout } = await cryptoki(["--virtual", folder.card, "objects", "--login"], PIN);
    expect(stdout).toMatch(/01 +private key +RSA-2048 /u);
    expect(stdout).toMatch(/02 +private key +P-256 .*PIN for each use/u);
  });

  test("for a program, of one type", async () => {
    const found = json(await cryptoki(["--virtual", folder.card, "objects", "--type", "cert", "--id", "02", "--json"]));
    expect(found).toEqual([
      {
        type: "cert",
        id: "02",
        label: "Certificate for Digital Signature",
        key: "P-256",
        about: expect.stringContaining("CN=Test Cardholder"),
        notAfter: expect.stringMatching(/^20\d\d-.*Z$/u),
        token: expect.stringMatching(/^PIV/u),
        uri: expect.stringMatching(/object=Certificate%20for%20Digital%20Signature;id=%02;type=cert$/u),
      },
    ]);
  });

  test("one by its URI", async () => {
    const [first] = json(
      await cryptoki(["--virtual", folder.card, "objects", "--type", "cert", "--id", "02", "--json"]),
    ) as TokenDocument[];
    const { stdout } = await cryptoki(["--virtual", folder.card, "objects", first?.uri ?? "", "--uris"]);
    expect(stdout.trim().split("\n")).toHaveLength(3);
    expect(stdout).toContain(first?.uri);
  });

  test("data objects when they are asked for", async () => {
    const { stdout } = await cryptoki(["--virtual", folder.card, "objects", "--type", "data"]);
    expect(stdout).toMatch(/data +\S/u);
  });

  test("none: exit code 3", async () => {
    const { code, stderr } = await cryptoki(["--virtual", folder.card, "objects", "--id", "77"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/no object/u);
  });
});

describe("pin status", () => {
  test("tells the tries left, and a wrong PIN costs one", async () => {
    const before = json(await cryptoki(["--virtual", folder.card, "pin", "status", "--json"]));
    expect(before).toMatchObject([{ user: { triesLeft: 3, maxTries: null, blocked: false } }]);

    const wrong = await cryptoki(["--virtual", folder.card, "objects", "--login", "--json"], WRONG_PIN);
    expect(wrong.code).toBe(4);
    expect(jsonError(wrong)).toMatchObject({ name: "CKR_PIN_INCORRECT", exitCode: 4, triesLeft: 2 });

    const after = await cryptoki(["--virtual", folder.card, "pin", "status"]);
    expect(after.stdout).toMatch(/ 2 +Virtual Reader/u);
    expect((await cryptoki(["--virtual", folder.card, "tokens", "--json"])).stdout).toContain("CKF_USER_PIN_COUNT_LOW");

    expect((await cryptoki(["--virtual", folder.card, "objects", "--login"], PIN)).code).toBe(0);
    expect(json(await cryptoki(["--virtual", folder.card, "pin", "status", "--json"]))).toEqual(before);
  });

  test("a PIN of the wrong length costs none", async () => {
    const outcome = await cryptoki(["--virtual", folder.card, "objects", "--login"], { env: { CRYPTOKI_PIN: "123" } });
    expect(outcome.code).toBe(4);
    expect(outcome.stderr).toMatch(/CKR_PIN_INCORRECT: a PIV PIN has 6 to 8 characters/u);
    expect(json(await cryptoki(["--virtual", folder.card, "pin", "status", "--json"]))).toMatchObject([
      { user: { triesLeft: 3 } },
    ]);
  });

  test("a blocked PIN", async () => {
    using own = await CardFolder.create({ tries: 1 });
    await cryptoki(["--virtual", own.card, "objects", "--login"], WRONG_PIN);
    const outcome = await cryptoki(["--virtual", own.card, "objects", "--login", "--json"], PIN);
    expect(outcome.code).toBe(4);
    expect(jsonError(outcome)).toMatchObject({ name: "CKR_PIN_LOCKED" });
    expect((await cryptoki(["--virtual", own.card, "pin", "status"])).stdout).toMatch(/blocked/u);
    expect((await cryptoki(["--virtual", own.card, "tokens"])).stdout).toMatch(/PIN +blocked/u);
  });
});
