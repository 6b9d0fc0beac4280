import { expect, test } from "@jest/globals";
import { visible } from "../../src/cli/output.ts";

test("what a card says cannot steer the terminal", () => {
  expect(visible("PIV\u001b[2J\u001b]0;title\u0007\r\n\u009b1m")).not.toMatch(/\p{Cc}/u);
  expect(visible("Schlüssel für Ada ✔")).toBe("Schlüssel für Ada ✔");
});

test("colours pass", () => {
  expect(visible("\u001b[32mgood\u001b[39m")).toBe("\u001b[32mgood\u001b[39m");
});
