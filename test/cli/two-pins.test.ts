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
    expect(await onCard(["sign", "--id", id, letter, "--output", output], pin)).toMatchObject({ code: 0, stderr: "" });
    expect(await onCard(["verify", "--id", id, letter, "--signature", output])).toMatchObject({ code: 0, stderr: "" });
    const read = json(await onCard(["read", "--type", "public", "--id", id, "--json"])) as { uri: string };
    expect(decodeURIComponent(read.uri)).toContain(`token=${token};`);
  });

  test("a key that has its label in common with its certificate is found by it", async () => {
    expect(await onCard(["sign", "--label", "Authentication EC", letter], PIN)).toMatchObject({ code: 0, stderr: "" });
  });

  test("what no token shows is on either: the tokens are named", async () => {
    const refused = await onCard(["sign", "--id", "99", letter, "--json"], PIN);
    expect(jsonError(refused)).toMatchObject({
      exitCode: 2,
      message: "none of the 2 tokens shows that object before login; choose one with --token or --reader",
      candidates: [expect.stringContaining("%28PIN%29"), expect.stringContaining("%28Signature%20PIN%29")],
    });
  });

  test("a PIN that is given is not tried on both", async () => {
    const refused = await onCard(["objects", "--login", "--json"], PIN);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(jsonError(refused)).toMatchObject({ message: expect.stringContaining("there is one PIN, but 2 tokens") });
    expect(await triesLeft()).toEqual([3, 3]);
    expect((await onCard(["objects", "--login", uriOf(PIN_TOKEN)], PIN)).stdout).toContain("Private note");
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
