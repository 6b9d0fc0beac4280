import { expect, test } from "@jest/globals";
import { Printer, visible } from "../../src/cli/output/printer.ts";

test("what a card says cannot steer the terminal", () => {
  expect(visible("PIV\u001b[2J\u001b]0;title\u0007\r\n\u009b1m")).not.toMatch(/\p{Cc}/u);
  expect(visible("Schlüssel für Ada ✔")).toBe("Schlüssel für Ada ✔");
});

test("what a card says cannot take the program's colours", () => {
  expect(visible("\u001b[32mgood\u001b[39m")).toBe("\ufffd[32mgood\ufffd[39m");
});

test("colours of the program's own stand in tables, those of a card do not", () => {
  const printed: string[] = [];
  const stream = { write: (text: string) => printed.push(text) > 0, isTTY: true } as unknown as NodeJS.WriteStream;
  const printer = new Printer(stream, {}, false);
  printer.table(["WORD"], [["\u001b[32mok\u001b[39m"], [{ styled: printer.colours.green("ok") }]]);
  printer.pairs([
    ["a", "\u001b[31mno"],
    ["b", { styled: printer.colours.red("no") }],
  ]);
  const lines = printed.join("").split("\n");
  expect(lines.slice(1)).toEqual([
    "\ufffd[32mok\ufffd[39m",
    "\u001b[32mok\u001b[39m",
    "\u001b[2ma\u001b[22m  \ufffd[31mno",
    "\u001b[2mb\u001b[22m  \u001b[31mno\u001b[39m",
    "",
  ]);
});
