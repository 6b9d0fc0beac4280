import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { saveCard } from "../../src/virtual/index.ts";
import { InterruptedError } from "../../src/cli/output/failures.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, type Given, json, jsonError, type Outcome } from "./program.ts";

const SERIAL = "7654321";
const PLAN = {
  plan: 1,
  card: { kind: "yubikey" },
  pin: "random",
  puk: "random",
  managementKey: { value: "random" },
  keys: [
    {
      slot: "9a",
      algorithm: "p256",
      certificate: { kind: "self-signed", subject: "CN={name} {serial}", san: ["email:{mail}"], for: "client-login" },
    },
  ],
};
const NAMES = ["--set", "name=Ada Lovelace", "--set", "mail=ada@example.org"];
let folder: CardFolder;
beforeEach(async () => {
  folder = await CardFolder.create({ yubico: true, empty: true, serial: Number(SERIAL) });
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given: Given = {}): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);
const at = (name: string): string => path.join(folder.path, "cards", name);
const setUp = (plan: object, args: readonly string[] = NAMES, given: Given = {}): Promise<Outcome> =>
  onCard(
    [
      "card",
      "setup",
      folder.file("plan.json", JSON.stringify(plan)),
      "--output",
      path.join(folder.path, "cards"),
      ...args,
    ],
    given,
  );
const verify = (args: readonly string[]): Promise<Outcome> =>
  cryptoki(["card", "verify", at(`${SERIAL}.transcript.json`), ...args]);

describe("card setup and card verify", () => {
  test("one line puts a card into service; its secrets are the owner's only; the transcript verifies", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    folder.file("operator.key", privateKey.export({ format: "pem", type: "pkcs8" }));
    const operator = folder.file("operator.pem", publicKey.export({ format: "pem", type: "spki" }));
    const plan = { ...PLAN, transcript: { signWith: "operator.key" } };
    const done = await setUp(plan, [...NAMES, "--json"]);
    expect(done).toMatchObject({ code: 0, stderr: "" });
    const { digest } = json(done) as { digest: string };
    expect(json(done)).toMatchObject({ serial: SERIAL, outcome: "done", secrets: at(`${SERIAL}.secrets`) });
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(readFileSync(at(`${SERIAL}.transcript.json`), "utf8")).toContain(`"version": "${version}"`);
    expect(statSync(at(`${SERIAL}.secrets`)).mode & 0o777).toBe(0o600);
    const [, pin = ""] = /^pin (\d{6})$/mu.exec(readFileSync(at(`${SERIAL}.secrets`), "utf8")) ?? [];
    expect(await onCard(["sign", "--id", "01"], { env: { CRYPTOKI_PIN: pin }, stdin: "x" })).toMatchObject({ code: 0 });
    const certificate = await onCard(["certificate", "list", "--json"]);
    expect(certificate.stdout).toContain(`Ada Lovelace ${SERIAL}`);
    expect(json(await verify(["--digest", digest, "--signer", operator, "--json"]))).toMatchObject({
      serial: SERIAL,
      isComplete: true,
      unchanged: true,
      signer: "checked",
    });
    const { publicKey: other } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const others = folder.file("other.pem", other.export({ format: "pem", type: "spki" }));
    expect(jsonError(await verify(["--signer", others, "--json"]))).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining("not signed by the key in"),
    });
    expect(await verify(["--digest", "00"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("another one than"),
    });
    expect((await setUp(plan)).stdout).toContain("was set up by this plan before; nothing was to do");
  });

  test("card verify --card finds another certificate, another key, no key, and another card", async () => {
    expect(await setUp(PLAN)).toMatchObject({ code: 0 });
    const secrets = readFileSync(at(`${SERIAL}.secrets`), "utf8");
    const [, pin = ""] = /^pin (\d+)$/mu.exec(secrets) ?? [];
    const [, key = ""] = /^management-key (\w+)$/mu.exec(secrets) ?? [];
    const env = { CRYPTOKI_PIN: pin, CRYPTOKI_SO_PIN: key };
    const compare = (): Promise<Outcome> =>
      onCard(["card", "verify", at(`${SERIAL}.transcript.json`), "--card", "--json"]);
    const problem = async (): Promise<unknown> => {
      const outcome = await compare();
      expect(outcome.code).toBe(1);
      return (jsonError(outcome) as { message: string }).message;
    };
    expect(json(await compare())).toMatchObject({ serial: SERIAL, card: "as its setup left it" });
    const sign = ["certificate", "self-sign", "--so", "--reference", "9a", "--subject", "CN=Eve", "--yes"];
    expect(await onCard(sign, { env })).toMatchObject({ code: 0 });
    const certificate = "the certificate in 9A is another one, or gone";
    expect(await problem()).toBe(`the card is not as its setup left it: ${certificate}`);
    const generate = ["key", "generate", "--so", "--reference", "9a", "--yes"];
    expect(await onCard(generate, { env })).toMatchObject({ code: 0 });
    expect(await problem()).toContain(`the key in 9A is another one; ${certificate}`);
    expect(await onCard(["key", "delete", "--reference", "9a", "--yes"], { env })).toMatchObject({ code: 0 });
    expect(await problem()).toContain("there is no key in 9A");
    const other = folder.file("other.json");
    await cryptoki(["virtual", "create", other, "--yubico", "--empty"]);
    const there = ["--virtual", other, "card", "verify", at(`${SERIAL}.transcript.json`), "--card", "--json"];
    expect(jsonError(await cryptoki(there))).toMatchObject({
      message: expect.stringMatching(
        /the card in the reader has the serial number \d+, and the transcript is of 7654321$/u,
      ),
    });
  });

  test("--count sets up one card after another: after the first it waits for the next", async () => {
    const stop = new AbortController();
    const onOutput = (): void => {
      stop.abort(new InterruptedError("enough", 130));
    };
    const outcome = await setUp(PLAN, [...NAMES, "--count", "2"], { signal: stop.signal, onOutput });
    expect(outcome).toMatchObject({ code: 130, stdout: expect.stringContaining(`The card ${SERIAL} is in service.`) });
  });

  test("a plan's mistake is a usage error, and nothing is written", async () => {
    const message = async (plan: object, args: readonly string[] = NAMES): Promise<unknown> =>
      jsonError(await setUp({ ...PLAN, ...plan }, [...args, "--json"]));
    expect(await message({ pinn: 1 })).toMatchObject({
      exitCode: 2,
      message: "pinn: no such field; did you mean pin?",
    });
    expect(await message({}, [])).toMatchObject({ exitCode: 2, message: expect.stringContaining("--set name=") });
    expect(await message({}, [...NAMES, "--count", "0"])).toMatchObject({ exitCode: 2 });
    expect(await message({}, ["--set", "serial=1"])).toMatchObject({ exitCode: 2 });
    const san = { ...PLAN.keys[0]?.certificate, subject: "CN=A", san: ["x:y"] };
    expect(await message({ keys: [{ ...PLAN.keys[0], certificate: san }] })).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining("x:y"),
    });
    expect(await message({ card: { kind: "pkcs15" }, managementKey: undefined, keys: [] })).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining("the plan is for a PKCS #15 card, and this is a PIV card; nothing was changed"),
    });
    expect(existsSync(path.join(folder.path, "cards"))).toBe(false);
  });

  test("a card in service is asked about; its PIN, PUK and key come as for other commands; secrets come from files and prompts", async () => {
    await onCard(["pin", "change"], { env: { CRYPTOKI_PIN: "123456", CRYPTOKI_NEW_PIN: "135792" } });
    folder.file("puk.txt", "86420975\n");
    const plan = { ...PLAN, pin: "prompt", puk: { file: "puk.txt" } };
    const given = { CRYPTOKI_PIN: "135792", CRYPTOKI_NEW_PIN: "975318" };
    expect(jsonError(await setUp(plan, [...NAMES, "--json"], { env: given }))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/in service already.*--yes/u),
    });
    expect(await setUp(plan, [...NAMES, "--yes"], { env: given })).toMatchObject({ code: 0 });
    expect(readFileSync(at(`${SERIAL}.secrets`), "utf8")).toMatch(/^pin 975318\npuk 86420975\n/u);
  });
});

describe("so change --protect", () => {
  test("the PIN serves as the management key then, until another one is set", async () => {
    const protect = ["so", "change", "--protect", "--algorithm", "aes-128", "--json"];
    const env = { ...PIN.env, ...OFFICER.env };
    expect(json(await onCard(protect, { env }))).toMatchObject({ changed: true, protected: true });
    expect(json(await onCard(["token", "info", "--json"]))).toMatchObject({
      managementKey: { factory: false, algorithm: "aes-128", storage: "protected" },
    });
    const generate = ["key", "generate", "--so", "--reference", "9a", "--json"];
    expect(jsonError(await onCard(generate, { env }))).toMatchObject({ name: "CKR_PIN_INCORRECT", exitCode: 4 });
    expect(json(await onCard(generate, { env: { CRYPTOKI_SO_PIN: "123456" } }))).toMatchObject({ generated: true });
    const back = { CRYPTOKI_SO_PIN: "123456", CRYPTOKI_NEW_SO_PIN: OFFICER.env.CRYPTOKI_SO_PIN };
    expect(await onCard(["so", "change"], { env: back })).toMatchObject({ code: 0 });
    expect(json(await onCard(["token", "info", "--json"]))).toMatchObject({ managementKey: { storage: "apart" } });
  });
});

describe("token init, token label and pin set", () => {
  test("are refused by cards that cannot, with the reason", async () => {
    expect(jsonError(await onCard(["token", "label", "Ada", "--json"]))).toMatchObject({
      message: expect.stringContaining("label of a PIV card is made from its serial number"),
    });
    await saveCard(await testPkcs15Card(), folder.card);
    expect(jsonError(await onCard(["token", "init", "--json"]))).toMatchObject({ exitCode: 2 });
  });
});

test("virtual create --empty makes a new YubiKey", async () => {
  const file = folder.file("new.json");
  expect(await cryptoki(["virtual", "create", file, "--yubico", "--empty"])).toMatchObject({ code: 0 });
  const info = json(await cryptoki(["--virtual", file, "token", "info", "--json"]));
  expect(info).toMatchObject({ pin: { factory: true }, puk: { factory: true }, managementKey: { factory: true } });
  expect((await cryptoki(["--virtual", file, "key", "list"])).code).toBe(3);
  const both = ["virtual", "create", folder.file("x.json"), "--empty", "--profile", "pkcs15"];
  expect(await cryptoki(both)).toMatchObject({ code: 2, stderr: expect.stringContaining("are for PIV cards") });
});
