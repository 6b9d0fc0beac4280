import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { testCard, testPkcs15Card } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { run, type RunResult } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

let card: PluggedIn | undefined;
afterEach(() => card?.[Symbol.asyncDispose]());

/** The suite as a user runs it. */
const suite = (env: Readonly<Record<string, string>> = {}): Promise<RunResult> =>
  run(process.execPath, ["--import", "tsx", "test/card-suite/main.ts"], {
    env: { CRYPTOKI_PIN: undefined, ...card?.env, ...env },
    timeout: 300_000,
  });

/** Tries that the PINs have left, as OpenSC counts them. */
const tries = async (): Promise<string> => (await card?.succeed("pkcs11-tool", "--list-slots")) ?? "";

describe("the suite for the card in the reader", () => {
  test("reports on a PIV card, and uses its keys with the PIN", async () => {
    requirePrograms("pkcs11-tool");
    card = await plugIn(await testCard(), "Suite");
    const before = await tries();
    const { code, stdout, stderr } = await suite();
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^reader Suite.*: ATR 3b/mu);
    expect(stdout).toMatch(/^ {2}serial: \S+/mu);
    expect(stdout).toMatch(/^ {2}both {8}certificate 01 /mu);
    expect(stdout).toMatch(/^ {2}objects: \d+ APDUs$/mu);
    expect(stdout).not.toContain("login:");
    const used = await suite({ CRYPTOKI_PIN: "123456" });
    expect(used.stdout).toMatch(/^ {2}key 01 .*: signature right$/mu);
    expect(used.stdout).toMatch(/^ {2}key 02 .*: signature right$/mu);
    expect(used.stdout).toMatch(/^ {2}key 03 .*: (decryption|key agreement) right$/mu);
    expect(used.stdout).toMatch(/^no result was wrong$/mu);
    expect(used.code).toBe(0);
    expect(used.stdout).not.toContain("123456");
    expect(await tries()).toBe(before);
  });

  test("reports on a PKCS #15 card with two PINs, and gives the PIN to one token alone", async () => {
    requirePrograms("pkcs11-tool");
    card = await plugIn(await testPkcs15Card(), "Suite");
    const before = await tries();
    const first = await suite({ CRYPTOKI_PIN: "123456" });
    expect(first.stdout).toMatch(/^ {2}key 01 .*: signature right$/mu);
    expect(first.stdout.match(/^ {2}login: /gmu)).toHaveLength(1);
    const second = await suite({ CRYPTOKI_PIN: "654321", CRYPTOKI_TOKEN: "Virtual eID (Signature PIN)" });
    expect(second.stdout).toMatch(/^ {2}key 03 .*: signature right$/mu);
    expect(second.stdout).toMatch(/^ {2}key 04 .*: signature right$/mu);
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(await tries()).toBe(before);
  });
});
