import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { CardFolder } from "./card.ts";
import { cryptoki, json, jsonError, type Outcome } from "./program.ts";

let folder: CardFolder;
beforeEach(async () => {
  folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
});
afterEach(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], env: Readonly<Record<string, string>>): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], { env });

async function triesLeft(): Promise<unknown> {
  const [token] = json(await onCard(["pin", "status", "--json"], {})) as { user: { triesLeft: number } }[];
  return token?.user.triesLeft;
}

const signs = async (pin: string): Promise<boolean> =>
  (await cryptoki(["--virtual", folder.card, "sign", "--id", "01"], { env: { CRYPTOKI_PIN: pin }, stdin: "a" }))
    .code === 0;

describe("pin change", () => {
  test("the new PIN is the card's, the old one no more", async () => {
    const changed = await onCard(["pin", "change"], { CRYPTOKI_PIN: "123456", CRYPTOKI_NEW_PIN: "680246" });
    expect(changed).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("changed") });
    expect(await signs("680246")).toBe(true);
    expect(await signs("123456")).toBe(false);
  });

  test("a wrong old PIN spends one try, says how many are left, and changes nothing", async () => {
    const refused = await onCard(["pin", "change", "--json"], {
      CRYPTOKI_PIN: "000000",
      CRYPTOKI_NEW_PIN: "654321",
    });
    expect(refused.code).toBe(4);
    expect(jsonError(refused)).toMatchObject({ name: "CKR_PIN_INCORRECT", triesLeft: 2 });
    expect(await triesLeft()).toBe(2);
    expect(await signs("123456")).toBe(true);
  });

  test.each([
    ["pin change", { CRYPTOKI_PIN: "123456", CRYPTOKI_NEW_PIN: "111111" }],
    ["pin unlock", { CRYPTOKI_PUK: "12345678", CRYPTOKI_NEW_PIN: "456789" }],
  ] as const)("%s warns of a new PIN that everybody guesses", async (words, env) => {
    expect(await onCard(words.split(" "), env)).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^warning: the new PIN is one that everybody guesses/u),
    });
  });

  test("both PINs may stand on standard input, a line each", async () => {
    const args = ["--virtual", folder.card, "pin", "change", "--pin-source", "-", "--new-pin-source", "-"];
    expect(await cryptoki(args, { stdin: "123456\n764532\n" })).toMatchObject({ code: 0, stderr: "" });
    expect(await signs("764532")).toBe(true);
    const short = await cryptoki(args, { stdin: "764532\n" });
    expect(short).toMatchObject({ code: 4, stderr: expect.stringContaining("empty") });
  });

  test("a new PIN that no card takes spends no try", async () => {
    const refused = await onCard(["pin", "change"], { CRYPTOKI_PIN: "123456", CRYPTOKI_NEW_PIN: "1" });
    expect(refused.code).toBe(4);
    expect(await triesLeft()).toBe(3);
  });
});

describe("pin unlock", () => {
  test("the PUK gives a new PIN to a blocked card", async () => {
    for (const pin of ["000000", "000001", "000002"]) expect(await signs(pin)).toBe(false);
    expect(await triesLeft()).toBe(0);
    const unlocked = await onCard(["pin", "unlock", "--json", "--puk-source", "env:KEY"], {
      KEY: "12345678",
      CRYPTOKI_NEW_PIN: "222222",
    });
    expect(json(unlocked)).toMatchObject({ unlocked: true });
    expect(await triesLeft()).toBe(3);
    expect(await signs("222222")).toBe(true);
  });

  test("a wrong PUK says how many of its own tries are left", async () => {
    const refused = await onCard(["pin", "unlock", "--json"], { CRYPTOKI_PUK: "00000000", CRYPTOKI_NEW_PIN: "222222" });
    expect(refused.code).toBe(4);
    expect(jsonError(refused)).toMatchObject({ name: "CKR_PIN_INCORRECT", triesLeft: 2 });
    expect(await triesLeft()).toBe(3);
  });

  test("asks for nothing where there is no terminal", async () => {
    const refused = await onCard(["pin", "unlock"], { CRYPTOKI_PUK: "12345678" });
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("--new-pin-source or CRYPTOKI_NEW_PIN") });
  });
});
