import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { format } from "prettier";
import { ALL_CHECKS } from "../../src/doctor/index.ts";
import { CardFolder } from "../cli/card.ts";
import { cryptoki } from "../cli/program.ts";

const file = new URL("../../docs/guides/doctor.md", import.meta.url);
const TABLE = /(?<=\n\n)\| name .*$/su;

const guide = (): string => readFileSync(file, "utf8");

/** To write it anew: UPDATE_DOCS=1 npm run test:unit -- --testPathPatterns test/doctor/guide */
test("the guide lists every check", async () => {
  const rows = ALL_CHECKS.map(({ name, level, section }) => `| \`${name}\` | ${level} | ${section} |`);
  const table = ["| name | level | section |", "| --- | --- | --- |", ...rows, ""].join("\n");
  const renewed = await format(
    guide().replace(TABLE, () => table),
    { parser: "markdown", printWidth: 120 },
  );
  if (process.env["UPDATE_DOCS"]) writeFileSync(file, renewed);
  else expect(guide()).toBe(renewed);
});

test("the guide's commands work as they stand", async () => {
  using folder = new CardFolder();
  const blocks = Array.from(guide().matchAll(/```sh\n(.*?)```/gsu), ([, block = ""]) => block);
  const lines = blocks.flatMap((block) => block.trim().split("\n"));
  expect(lines.length).toBeGreaterThan(3);
  for (const line of lines) {
    const [, pin, rest = ""] = /^(?:CRYPTOKI_PIN=(\d+) )?cryptoki (.*)$/u.exec(line) ?? [];
    const args = rest.split(" ").map((arg) => (arg === "card.json" ? folder.card : arg));
    const { code, stderr } = await cryptoki(args, { env: pin === undefined ? {} : { CRYPTOKI_PIN: pin } });
    expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: "" });
  }
});
