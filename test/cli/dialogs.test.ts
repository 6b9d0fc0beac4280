import { afterAll, describe, expect, test } from "@jest/globals";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { chooseDialogs, type Dialogs } from "../../src/cli/input/dialogs.ts";

const folder = mkdtempSync(path.join(tmpdir(), "dialogs-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

let places = 0;

/** Dialogs with a pinentry that notes each command in a file, and answers GETPIN and CONFIRM as said. */
function pinentry(answer: string, greeting = "OK Pleased to meet you"): { dialogs: Dialogs; said: () => string[] } {
  const place = path.join(folder, String(places++));
  mkdirSync(place);
  const script = [
    "#!/bin/sh",
    `echo '${greeting}'`,
    "while read -r line; do",
    `  echo "$line" >> ${place}/said`,
    `  case "$line" in GETPIN|CONFIRM) printf '${answer}' ;; BYE) exit 0 ;; *) echo OK ;; esac`,
    "done",
  ];
  writeFileSync(path.join(place, "pinentry"), `${script.join("\n")}\n`);
  chmodSync(path.join(place, "pinentry"), 0o755);
  return {
    dialogs: dialogsOf({ PATH: place, GPG_TTY: "/dev/pts/77", TERM: "dumb" }),
    said: () => readFileSync(path.join(place, "said"), "utf8").trim().split("\n"),
  };
}

function dialogsOf(env: Readonly<Record<string, string>>): Dialogs {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  return chooseDialogs("pinentry", { stdin, stdout, stderr, env, signal: new AbortController().signal });
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe("pinentry", () => {
  test("asks for the PIN on the terminal of GPG_TTY, with what was wrong with the last one", async () => {
    const { dialogs, said } = pinentry(String.raw`D 123456\nOK\n`);
    expect(text(await dialogs.askPin("PIN of 100 %\nof the card", "wrong, 2 tries left"))).toBe("123456");
    expect(said().slice(0, 7)).toEqual([
      "OPTION ttyname=/dev/pts/77",
      "OPTION ttytype=dumb",
      "SETTITLE cryptoki",
      "SETPROMPT PIN:",
      expect.stringMatching(/^SETDESC PIN of 100 %25.*of the card$/u),
      "SETERROR wrong, 2 tries left",
      "GETPIN",
    ]);
  });

  test("gives a PIN with a percent sign as it was typed, also in two lines of data", async () => {
    const { dialogs } = pinentry(String.raw`D 12%%2534\nD %%0A6\nOK\n`);
    expect(text(await dialogs.askPin("PIN", undefined))).toBe("12%34\n6");
  });

  test.each([
    ["cancelled", String.raw`ERR 83886179 Operation cancelled\n`],
    ["left empty", String.raw`OK\n`],
  ])("gives no PIN when it is %s", async (_, answer) => {
    await expect(pinentry(answer).dialogs.askPin("PIN", undefined)).rejects.toThrow("no PIN was given");
  });

  test("refuses data that is malformed", async () => {
    await expect(pinentry(String.raw`D 12%%zz\nOK\n`).dialogs.askPin("PIN", undefined)).rejects.toThrow(
      "pinentry: a % without two hexadecimal digits",
    );
  });

  test("is an error when it does not begin, and when there is none", async () => {
    await expect(pinentry("", "ERR 1 no terminal").dialogs.askPin("PIN", undefined)).rejects.toThrow(
      "pinentry did not begin",
    );
    await expect(dialogsOf({ PATH: folder }).askPin("PIN", undefined)).rejects.toThrow("there is no program pinentry");
  });

  test.each([
    ["yes", String.raw`OK\n`, true],
    ["no", String.raw`ERR 83886194 Not confirmed\n`, false],
  ])("confirms: %s", async (_, answer, expected) => {
    const { dialogs, said } = pinentry(answer);
    expect(await dialogs.confirm("Use the key?")).toBe(expected);
    expect(said()).toContain("SETDESC Use the key?");
  });

  test("ends with its caller's signal", async () => {
    const controller = new AbortController();
    const { dialogs, said } = pinentry("");
    const asked = dialogs.askPin("PIN", undefined, controller.signal);
    const seen = async (): Promise<void> => {
      for (;;) {
        try {
          if (said().includes("GETPIN")) return;
        } catch {
          // It has not begun.
        }
        await new Promise(setImmediate);
      }
    };
    await seen();
    controller.abort(new Error("the client left"));
    await expect(asked).rejects.toThrow("the client left");
  });
});
