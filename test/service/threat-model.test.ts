import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";

const ROOT = new URL("../../", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, ROOT), "utf8");

test("each claim of the threat model names a test that there is", () => {
  const rows = [...read("docs/security.md").matchAll(/^\|\s*(\d+) \|[^|]*\| `([^`]+)`: (`+)(.+?)\3\s*\|$/gmu)];
  const numbers = rows.map(([, number]) => Number(number));
  expect(numbers).toEqual(Array.from({ length: 22 }, (_, index) => index + 1));
  const missing = rows.filter(([, , file = "", , title = ""]) => title === "%s" || !read(file).includes(`"${title}"`));
  expect(missing.map(([, number, file, , title]) => ({ number, file, title }))).toEqual([]);
});
