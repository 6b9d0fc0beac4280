import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { PassThrough } from "node:stream";
import { askHidden } from "../../src/cli/input/prompt.ts";
import { InterruptedError } from "../../src/cli/output/failures.ts";
import { CardFolder } from "./card.ts";
import { cryptoki, json, type Outcome } from "./program.ts";

class FakeTerminal extends PassThrough {
  readonly modes: boolean[] = [];
  readonly isTTY = true;

  setRawMode(raw: boolean): void {
    this.modes.push(raw);
  }
}

const NEVER = new AbortController().signal;

async function typed(
  ...chunks: readonly (string | Uint8Array)[]
): Promise<{ line: string; terminal: FakeTerminal; said: string }> {
  const terminal = new FakeTerminal();
  const stderr = new PassThrough();
  for (const chunk of chunks) terminal.write(chunk);
  const line = Buffer.from(await askHidden("PIN", terminal, { stderr, signal: NEVER })).toString("utf8");
  return { line, terminal, said: String(stderr.read()) };
}

describe("a hidden line", () => {
  test.each([
    ["as it is typed", ["12", "34", "56\r"], "123456"],
    ["with corrections", ["12x\u007f3é\b4\r"], "1234"],
    ["begun anew", ["wrong\u0015123456\r"], "123456"],
    ["without the keys that move a cursor", ["12\u001b[A\u001b[1;5C34\u001bOP56\n"], "123456"],
    ["without other control characters", ["1\u00002\t3\n"], "123"],
    ["that is empty", ["\r"], ""],
  ] as const)("%s", async (_, chunks, line) => {
    expect((await typed(...chunks)).line).toBe(line);
  });

  test("is not shown: no character of it, no tick, and the terminal is as before", async () => {
    const { said, terminal } = await typed("123456\r");
    expect(said).toBe("PIN: \n");
    expect(terminal.modes).toEqual([true, false]);
  });

  test("leaves what is typed after it to the next question", async () => {
    const { terminal } = await typed("123456\rsecond\r");
    const second = await askHidden("PIN", terminal, { stderr: new PassThrough(), signal: NEVER });
    expect(Buffer.from(second).toString()).toBe("second");
  });

  test.each([
    ["Ctrl-C", "12\u0003"],
    ["Ctrl-D", "12\u0004"],
    ["Ctrl-D in an empty line", "\u0004"],
  ])("%s ends it", async (_, keys) => {
    await expect(typed(keys)).rejects.toMatchObject({ exitCode: 130, message: "interrupted at the prompt" });
  });

  test("the end of the terminal ends it", async () => {
    const terminal = new FakeTerminal();
    terminal.end("12");
    await expect(askHidden("PIN", terminal, { stderr: new PassThrough(), signal: NEVER })).rejects.toThrow(
      InterruptedError,
    );
    expect(terminal.modes).toEqual([true, false]);
  });

  test("an abort ends it, and gives the terminal its mode back", async () => {
    const terminal = new FakeTerminal();
    const controller = new AbortController();
    const asked = askHidden("PIN", terminal, { stderr: new PassThrough(), signal: controller.signal });
    controller.abort(new Error("over"));
    await expect(asked).rejects.toThrow("over");
    expect(terminal.modes).toEqual([true, false]);
  });

  test("256 bytes are its most", async () => {
    expect((await typed(`${"1".repeat(256)}\r`)).line).toHaveLength(256);
    await expect(typed(`${"1".repeat(257)}\r`)).rejects.toThrow("a PIN has at most 256 bytes");
  });
});

describe("a prompt for a PIN", () => {
  let folder: CardFolder;
  beforeEach(async () => {
    folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
  });
  afterEach(() => {
    folder[Symbol.dispose]();
  });

  const onCard = (args: readonly string[], typed: string, env = {}): Promise<Outcome> =>
    cryptoki(["--virtual", folder.card, ...args], { typed, env: { ...env, NO_COLOR: "1" }, terminal: true });
  const sign = (typed: string): Promise<Outcome> => onCard(["sign", "--id", "01", folder.file("letter", "a")], typed);

  test("says how many tries are left once one is spent; a blocked PIN is not asked for", async () => {
    const first = await sign("000000\r");
    expect(first.stderr).toMatch(/^PIN of PIV [0-9a-f]{8}: \nerror: CKR_PIN_INCORRECT/u);
    const second = await sign("000001\r");
    expect(second.stderr).toMatch(/^PIN of PIV [0-9a-f]{8} \(2 tries left\): \n/u);
    const last = await sign("000002\r");
    expect(last.stderr).toMatch(/^PIN of PIV [0-9a-f]{8} \(1 try left\): \n/u);
    for (const blocked of [await sign("123456\r"), await onCard(["pin", "change"], "123456\r")]) {
      expect(blocked.stderr).toMatch(
        /^error: CKR_PIN_LOCKED: the PIN of PIV [0-9a-f]{8} is blocked; .*cryptoki pin unlock\n$/u,
      );
      expect(blocked.code).toBe(4);
    }
    const unlocked = await onCard(["pin", "unlock"], "12345678\r234567\r234567\r");
    expect(unlocked).toMatchObject({ code: 0, stdout: expect.stringContaining("unblocked") });
    expect((await sign("234567\r")).code).toBe(0);
  });

  test("says of how many tries, where the card tells it", async () => {
    const yubikey = folder.file("yubikey.json");
    await cryptoki(["virtual", "create", yubikey, "--yubico"]);
    const change = (typed: string): Promise<Outcome> =>
      cryptoki(["--virtual", yubikey, "pin", "change"], { typed, env: { NO_COLOR: "1" }, terminal: true });
    await change("000000\r123457\r123457\r");
    expect((await change("000000\r123457\r123457\r")).stderr).toMatch(/^PIN of PIV \d{8} \(2 of 3 tries left\): \n/u);
    expect((await change("\u0004")).stderr).toMatch(/^PIN of PIV \d{8} \(1 of 3 tries left\): /u);
  });

  test("a new PIN of a wrong length is refused before it is asked for again; no try is spent", async () => {
    const refused = await onCard(["pin", "change"], "123456\r12345\r");
    expect(refused.stderr).toMatch(
      /\nNew PIN of PIV [0-9a-f]{8}: \nerror: CKR_PIN_LEN_RANGE: .*6 to 8 characters; nothing was changed/u,
    );
    expect(refused.code).toBe(4);
    const different = await onCard(["pin", "change"], "123456\r123457\r123458\r");
    expect(different.stderr).toMatch(/, again: \nerror: the two entries differ/u);
    expect(await onCard(["pin", "change"], "123456\r123457\r123457\r")).toMatchObject({ code: 0 });
    expect((await sign("123457\r")).code).toBe(0);
  });

  test("is ended by Ctrl-D with the exit code of Ctrl-C, and spends no try", async () => {
    for (const keys of ["\u0004", "12\u0003"]) expect(await sign(keys)).toMatchObject({ code: 130 });
    const status = json(await cryptoki(["--virtual", folder.card, "pin", "status", "--json"]));
    expect(status).toMatchObject([{ user: { triesLeft: 3 } }]);
  });

  test("is a usage error on standard input beside data", async () => {
    const args = ["--virtual", folder.card, "sign", "--id", "01"];
    const message = "--pin-source - takes a secret from standard input, where the data comes from; name a file";
    const refused = await cryptoki([...args, "--pin-source", "-"], { stdin: "123456\ndata" });
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
    const byUri = await cryptoki([...args, "pkcs11:id=%01?pin-source=-", "-"], { stdin: "123456\ndata" });
    expect(byUri).toMatchObject({ code: 2, stderr: expect.stringContaining("pin-source=- of the URI") });
    const letter = folder.file("letter", "a");
    expect((await cryptoki([...args, "--pin-source", "-", letter], { stdin: "123456\n" })).code).toBe(0);
  });
});
