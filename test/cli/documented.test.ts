/** What docs/commands.md writes is what the command does. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { saveCard } from "../../src/virtual/index.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";
import { CardFolder, PIN } from "./card.ts";
import { cryptoki, json, type Outcome } from "./program.ts";

const COMMANDS = readFileSync(new URL("../../docs/commands.md", import.meta.url), "utf8");

describe("URIs that are written there", () => {
  const folder = new CardFolder();
  let letter = "";
  beforeAll(async () => {
    await saveCard(await testCard({ yubico: true, serial: 12_345_678 }), folder.file("piv"));
    await saveCard(await testPkcs15Card(), folder.file("pkcs15"));
    letter = folder.file("letter.txt", "a letter");
  });
  afterAll(() => {
    folder[Symbol.dispose]();
  });

  const on = (card: string, args: readonly string[], env = PIN.env): Promise<Outcome> =>
    cryptoki(["--virtual", folder.file(card), ...args, "--json"], { env });
  /** The URI, which must stand there as it is. */
  const written = (uri: string): string => {
    expect(COMMANDS).toContain(uri);
    return uri;
  };

  test("describe a token and a key of it", async () => {
    const uri = written("pkcs11:token=PIV%2012345678;id=%01;type=private");
    for (const args of [
      ["sign", uri, letter],
      ["sign", "--token", uri, "--id", "01", letter],
    ])
      expect(json(await on("piv", args))).toMatchObject({ key: { id: "01" } });
    expect(await on("piv", ["sign", uri.replace("78;", "79;"), letter])).toMatchObject({ code: 3 });
  });

  test("describe cards of a kind", async () => {
    const uri = written("cryptoki tokens 'pkcs11:model=PIV'").split("'")[1] ?? "";
    expect(json(await on("piv", ["tokens", uri]))).toHaveLength(1);
    expect(await on("pkcs15", ["tokens", uri])).toMatchObject({ code: 3 });
  });

  test("describe a key by its label", async () => {
    const uri = written("cryptoki sign 'pkcs11:model=PIV;object=SIGN%20key' letter.txt").split("'")[1] ?? "";
    expect(json(await on("piv", ["sign", uri, letter]))).toMatchObject({ key: { id: "02" } });
  });

  test("describe one of two PINs", async () => {
    const uri = written("cryptoki pin change 'pkcs11:token=Virtual%20eID%20%28Signature%20PIN%29'").split("'")[1] ?? "";
    const env = { CRYPTOKI_PIN: "654321", CRYPTOKI_NEW_PIN: "654322" };
    expect(json(await on("pkcs15", ["pin", "change", uri], env))).toMatchObject({
      token: "Virtual eID (Signature PIN)",
      changed: true,
    });
  });
});

describe("what does not go with --server", () => {
  const section = /^## With a server\n(.*?)^## /msu.exec(COMMANDS)?.[1] ?? "";
  const named = (text: string): string[] => [...text.matchAll(/`([^`]+)`/gu)].map(([, name = ""]) => name);
  const [general = "", ofServe = ""] = section.replace("`--server`", "").split(", and of `serve`:");
  const AS_COMMANDS: Readonly<Record<string, readonly (readonly string[])[]>> = {
    "--virtual": [["--virtual", "tokens"]],
    "--transport": [["tokens", "--transport", "addon"]],
    "--record": [["tokens", "--record", "file"]],
    "--verify-results": [["tokens", "--verify-results", "always"]],
    readers: [["readers"]],
    wait: [["wait", "--for", "card"], ["wait"]],
    card: [
      ["card", "dump"],
      ["card", "files"],
      ["card", "doctor"],
      ["card", "backup", "new.json"],
    ],
    "dkek status": [["dkek", "status"]],
    "dkek import": [["dkek", "import", "share.pbe"]],
    "apdu send": [["apdu", "send", "00A4040000"]],
    "pin status": [["pin", "status"]],
    "pin retries": [["pin", "retries", "--pin-tries", "3", "--puk-tries", "3"]],
    puk: [["puk", "change"]],
    "token info": [["token", "info"]],
    "token reset": [["token", "reset"]],
    "key attest": [["key", "attest", "--reference", "9a"]],
    "key move": [["key", "move", "--from", "9a", "--to", "82"]],
    "--unlock-by": [["serve", "--unlock-by", "C_SetPIN"]],
    "--cryptoki-version": [["serve", "--cryptoki-version", "3.0"]],
    "--single-sign-on": [["serve", "--single-sign-on"]],
    "--hold": [["serve", "--hold", "1"]],
    "--keep-pin": [["serve", "--keep-pin"]],
  };

  test.each([...named(general), ...named(ofServe)])("%s", async (name) => {
    const commands = AS_COMMANDS[name] ?? [];
    expect([name, commands.length]).not.toEqual([name, 0]);
    for (const args of commands) {
      const { code, stderr } = await cryptoki(["--server", "unix:path=/nowhere", ...args], { stdin: "" });
      expect([args, code, stderr]).toEqual([args, 2, expect.stringContaining("--server")]);
    }
  });

  test("the list is whole", () => {
    expect([...named(general), ...named(ofServe)].sort()).toEqual(Object.keys(AS_COMMANDS).sort());
  });
});
