import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { saveCard, VirtualPivCard } from "../../src/virtual/index.ts";
import { FakeDaemon } from "../pcsc/pcscd-fake.ts";
import { CardFolder, PIN, WRONG_PIN } from "./card.ts";
import { cryptoki, json, jsonError, type Outcome } from "./program.ts";

let folder: CardFolder;
beforeAll(async () => {
  folder = new CardFolder();
  const card = await VirtualPivCard.create({
    yubico: true,
    keys: { "9a": "rsa-2048", "9c": "p-256", "9d": "rsa-2048", "9e": "ed25519", "82": "p-384", "83": "x25519" },
  });
  await saveCard(card, folder.card);
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given: Parameters<typeof cryptoki>[1] = {}): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);

describe("random", () => {
  test("has the length and the encoding that are wanted, and is new each time", async () => {
    const [first, second] = [await onCard(["random"]), await onCard(["random"])];
    expect(first.stdout).toMatch(/^[0-9a-f]{64}\n$/u);
    expect(second.stdout).not.toBe(first.stdout);
    expect((await onCard(["random", "--bytes", "70000", "--encoding", "binary"])).bytes).toHaveLength(70_000);
    expect(json(await onCard(["random", "--bytes", "3", "--json"]))).toEqual({
      random: expect.stringMatching(/^[0-9a-f]{6}$/u),
    });
  });

  test.each(["0", "-1", "x", "16777217"])("--bytes %s is refused", async (bytes) => {
    expect(await onCard(["random", `--bytes=${bytes}`])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--bytes is"),
    });
  });
});

describe("hash", () => {
  test.each([
    [[], "sha256", "hex"],
    [["--hash", "sha384"], "sha384", "hex"],
    [["--hash", "sha3-256", "--encoding", "base64"], "sha3-256", "base64"],
  ] as const)("%j", async (options, hash, encoding) => {
    const letter = folder.file("letter", "a letter");
    const expected = `${createHash(hash).update("a letter").digest(encoding)}\n`;
    expect((await cryptoki(["hash", ...options, letter])).stdout).toBe(expected);
    expect((await cryptoki(["hash", ...options], { stdin: "a letter" })).stdout).toBe(expected);
  });

  test("takes no option of cards", async () => {
    for (const option of ["--virtual=piv", "--reader=x", "--pin-source=-", "--trace"]) {
      const refused = await cryptoki(["hash", option], { stdin: "a" });
      expect(refused).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`${option.replace(/=.*/u, "")} has no effect`),
      });
    }
  });
});

describe("mechanisms", () => {
  test("for people and for programs", async () => {
    const { stdout } = await onCard(["mechanisms"]);
    expect(stdout).toMatch(/^SHA256_RSA_PKCS +1024 to 4096 +sign, verify; on the card$/mu);
    expect(stdout).toMatch(/^ECDSA_SHA384 +256 to 384 +sign/mu);
    expect(json(await onCard(["mechanisms", "--json"]))).toMatchObject([
      {
        token: expect.stringMatching(/^PIV/u),
        mechanisms: expect.arrayContaining([
          {
            name: "CKM_RSA_PKCS",
            minKeySize: 1024,
            maxKeySize: 4096,
            flags: expect.arrayContaining(["CKF_HW", "CKF_SIGN"]),
          },
        ]),
      },
    ]);
  });
});

describe("self-test", () => {
  test("uses every key, and spends no try", async () => {
    const tested = json(await onCard(["self-test", "--json"], PIN));
    expect(tested).toMatchObject([
      {
        passed: true,
        keys: expect.arrayContaining(
          [
            ["01", "sign", "SHA256_RSA_PKCS"],
            ["02", "sign", "ECDSA_SHA256"],
            ["03", "decrypt", "RSA_PKCS"],
            ["04", "sign", "EDDSA"],
            ["05", "derive", "ECDH1_DERIVE"],
            ["06", "derive", "ECDH1_DERIVE"],
          ].map(([id, use, detail]) => expect.objectContaining({ id, use, detail, passed: true })),
        ),
      },
    ]);
    const people = await onCard(["self-test"], PIN);
    expect(people.stdout).toMatch(/^01 +RSA-2048 +.* +sign +passed +SHA256_RSA_PKCS$/mu);
    const status = json(await onCard(["pin", "status", "--json"])) as { user: { triesLeft: number } }[];
    expect(status.map(({ user }) => user.triesLeft)).toEqual([3]);
  });

  test("a key whose results are wrong fails, the others are tested", async () => {
    using other = await CardFolder.create({ keys: { "9a": "p-256", "9c": "p-256", "9d": null, "9e": null } });
    // The certificate of 9C on 9A: the public key that the card shows is not the private key's.
    const wrong = await cryptoki(["--virtual", other.card, "read", "--id", "02"]);
    const certificate = other.file("wrong.pem", wrong.stdout);
    const key = { CRYPTOKI_SO_PIN: "010203040506070801020304050607080102030405060708" };
    const written = await cryptoki(
      ["--virtual", other.card, "certificate", "import", "--so", "--id", "01", "--unchecked", "--yes", certificate],
      { env: key },
    );
    expect(written.code).toBe(0);
    const tested = await cryptoki(["--virtual", other.card, "self-test", "--json"], PIN);
    expect(tested.code).toBe(1);
    expect(json(tested)).toMatchObject([
      {
        passed: false,
        keys: [
          { id: "01", passed: false },
          { id: "02", passed: true },
        ],
      },
    ]);
    expect(tested.stderr).toContain("1 of 2 tests failed");
  });

  test("a wrong PIN spends one try; with one try left nothing is tested", async () => {
    using other = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const run = (given: typeof PIN): Promise<Outcome> =>
      cryptoki(["--virtual", other.card, "self-test", "--json"], given);
    for (const left of [2, 1]) expect(jsonError(await run(WRONG_PIN))).toMatchObject({ exitCode: 4, triesLeft: left });
    expect(jsonError(await run(WRONG_PIN))).toMatchObject({ message: expect.stringContaining("has one try left") });
    const status = json(await cryptoki(["--virtual", other.card, "pin", "status", "--json"]));
    expect(status).toMatchObject([{ user: { triesLeft: 1 } }]);
  });
});

describe("wait", () => {
  test.each([
    [[], { token: expect.stringMatching(/^PIV/u), reader: "Virtual Reader" }],
    [["--for", "card"], { reader: "Virtual Reader" }],
    [["--for", "key", "--id", "02"], { id: "02" }],
    [["pkcs11:id=%02"], { id: "02" }],
  ])("%j returns at once if it is there", async (args, document) => {
    expect(json(await onCard(["wait", ...args, "--json"]))).toMatchObject(document);
  });

  test.each([
    [["--for", "key"], /say which key/u],
    [["--for", "card", "--id", "01"], /name a key, not a card/u],
    [["--server", "unix:path=/x"], /--server/u],
  ])("%j is a wrong command line", async (args, message) => {
    const { code, stderr } = await cryptoki(["wait", ...args]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test("what does not come is waited for until the time of --timeout", async () => {
    for (const args of [
      ["--id", "77"],
      ["--for", "card", "--reader", "other"],
      ["--token", "other"],
    ]) {
      const late = await onCard(["wait", ...args, "--timeout", "0.2", "--json"]);
      expect(jsonError(late)).toMatchObject({ name: "TimeoutError", exitCode: 1 });
    }
  });

  describe("in a reader of pcscd", () => {
    let daemon: FakeDaemon | undefined;
    afterEach(async () => {
      await daemon?.[Symbol.asyncDispose]();
    });

    test("returns when the card comes", async () => {
      daemon = await FakeDaemon.start();
      const asked = new Promise<void>((resolve) => {
        if (daemon)
          daemon.on.wait = ({ usual }): void => {
            usual();
            resolve();
          };
      });
      const waited = cryptoki(["wait", "--for", "card", "--json"], { env: { PCSCLITE_CSOCK_NAME: daemon.socket } });
      await asked;
      daemon.readers = [{ name: "Fake Reader", atr: Uint8Array.of(0x3b, 0x00) }];
      daemon.signal();
      expect(json(await waited)).toEqual({ reader: "Fake Reader 00 00", atr: "3b00" });
    });
  });
});
