import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { CardFolder } from "./card.ts";
import { cryptoki, json, jsonError, type Outcome } from "./program.ts";

const PIN = "123456";
const SIGNATURE_PIN = "654321";
const PIN_TOKEN = "Virtual eID (PIN)";
const SIGNATURE_TOKEN = "Virtual eID (Signature PIN)";
const uriOf = (label: string): string => `pkcs11:token=${encodeURIComponent(label)}`;

const folder = new CardFolder();
let letter = "";
beforeAll(async () => {
  await cryptoki(["virtual", "create", folder.card, "--profile", "pkcs15"]);
  letter = folder.file("letter.txt", "an important letter\n");
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], pin?: string): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], { env: pin === undefined ? {} : { CRYPTOKI_PIN: pin } });

async function triesLeft(): Promise<number[]> {
  const tokens = json(await onCard(["pin", "status", "--json"])) as { user: { triesLeft: number } }[];
  return tokens.map(({ user }) => user.triesLeft);
}

describe("a card with two PINs", () => {
  test.each([
    ["01", PIN, PIN_TOKEN],
    ["04", SIGNATURE_PIN, SIGNATURE_TOKEN],
  ])("key %s is on one of its tokens, and that is the one that signs", async (id, pin, token) => {
    const output = folder.file("letter.sig");
    const sign = ["sign", "--id", id, letter, "--force", "--output", output];
    expect(await onCard(sign, pin)).toMatchObject({ code: 0, stderr: "" });
    expect(await onCard(["verify", "--id", id, letter, "--signature", output])).toMatchObject({ code: 0, stderr: "" });
    const read = json(await onCard(["read", "--type", "public", "--id", id, "--json"])) as { uri: string };
    expect(decodeURIComponent(read.uri)).toContain(`token=${token};`);
  });

  test("a key that has its label in common with its certificate is found by it", async () => {
    expect(await onCard(["sign", "--label", "Authentication EC", letter], PIN)).toMatchObject({ code: 0, stderr: "" });
  });

  test("an object that no token shows is not found, and no PIN is tried", async () => {
    const refused = await onCard(["sign", "--id", "99", letter, "--json"], "000000");
    expect(jsonError(refused)).toMatchObject({
      name: "NotFoundError",
      exitCode: 3,
      message: "no object with id 99 on the 2 tokens; if it shows only after login, choose its token with --token",
    });
    expect(await triesLeft()).toEqual([3, 3]);
  });

  test.each([
    ["its label", PIN_TOKEN, "01", PIN],
    ["its label", SIGNATURE_TOKEN, "04", SIGNATURE_PIN],
    ["the number of its slot", "1", "04", SIGNATURE_PIN],
  ])("a token is chosen by %s, %s", async (_, token, id, pin) => {
    const outcome = await onCard(["sign", "--token", token, "--id", id, letter, "--json"], pin);
    expect(json(outcome)).toMatchObject({ key: { id } });
  });

  test("a serial number is the card's, in any case: both tokens have it", async () => {
    const [{ serialNumber }] = json(await onCard(["tokens", "--json"])) as [{ serialNumber: string }];
    const named = await onCard(["tokens", "--token", serialNumber.toLowerCase(), "--json"]);
    expect(json(named)).toHaveLength(2);
  });

  test("a name that no token has", async () => {
    const refused = await onCard(["tokens", "--token", "Virtual eID", "--json"]);
    expect(jsonError(refused)).toMatchObject({ exitCode: 3, message: expect.stringContaining('"Virtual eID"') });
  });

  test("on a terminal the user chooses between tokens that fit", async () => {
    const args = ["--virtual", folder.card, "pin", "change"];
    const env = { CRYPTOKI_PIN: SIGNATURE_PIN, CRYPTOKI_NEW_PIN: SIGNATURE_PIN };
    const chosen = await cryptoki(args, { env, typed: "2\n", terminal: true });
    expect(chosen.stderr).toMatch(/^2 tokens match:\n +1 +Virtual eID \(PIN\).*\n +2 +Virtual eID \(Signature PIN\)/u);
    expect(chosen).toMatchObject({ code: 0, stdout: expect.stringContaining(SIGNATURE_TOKEN) });
    for (const typed of ["3\n", "0\n", "x\n", "\n"]) {
      const refused = await cryptoki(args, { env, typed, terminal: true });
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("choose one with --token") });
    }
    expect(await cryptoki(args, { env, typed: "", terminal: true })).toMatchObject({ code: 130 });
    expect(await triesLeft()).toEqual([3, 3]);
  });

  test("a PIN that is given is not tried on both", async () => {
    const refused = await onCard(["objects", "--login", "--json"], PIN);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(jsonError(refused)).toMatchObject({ message: expect.stringContaining("there is one PIN, but 2 tokens") });
    expect(await triesLeft()).toEqual([3, 3]);
    expect((await onCard(["objects", "--login", "--all", uriOf(PIN_TOKEN)], PIN)).stdout).toContain("Private note");
  });

  test("certificates of one identifier are told apart by their labels", async () => {
    const refused = await onCard(["read", "--id", "01", "--json"]);
    const { candidates = [] } = jsonError(refused) as { candidates?: string[] };
    expect(candidates).toEqual(['--label "Authentication RSA"', '--label "Authentication RSA at work"']);
    expect(await onCard(["read", "--label", "Authentication RSA at work"])).toMatchObject({ code: 0, stderr: "" });
  });

  test("a private data object is read after login", async () => {
    const note = ["read", "--type", "data", "--label", "Private note", "--token", uriOf(PIN_TOKEN)];
    expect(await onCard(note, PIN)).toMatchObject({ code: 3 });
    const read = await onCard([...note, "--login"], PIN);
    expect(read).toMatchObject({ code: 0, stderr: "" });
    expect(read.stdout).not.toBe("");
  });

  test("a data object comes and goes", async () => {
    const note = ["--type", "data", "--label", "Shopping"];
    expect(await onCard(["import", uriOf(PIN_TOKEN), ...note, letter], PIN)).toMatchObject({ code: 0, stderr: "" });
    expect((await onCard(["delete", ...note], PIN)).stdout).toBe("Deleted: data Shopping\n");
  });

  test("a secret without a prompt is named", async () => {
    const { code, stderr } = await onCard(["pin", "unlock", uriOf(SIGNATURE_TOKEN)]);
    expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringContaining(`PUK of ${SIGNATURE_TOKEN}`) });
  });

  test.each(["?", ";"])("a PIN in a URI is refused, also after %s", async (mark) => {
    const refused = await onCard(["sign", `${uriOf(PIN_TOKEN)}${mark}pin-value=${PIN}`, letter]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("can see a PIN in a URI") });
    expect(refused.stderr).not.toContain(PIN);
  });
});
