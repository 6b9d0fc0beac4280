import { expect, test } from "@jest/globals";
import { readFileSync, writeFileSync } from "node:fs";
import { renew } from "./reference.ts";

const file = new URL("../../docs/commands.md", import.meta.url);

/** To write it anew: UPDATE_DOCS=1 npm run test:unit -- --testPathPatterns test/cli/reference */
test("docs/commands.md says what the program's own help says", async () => {
  const document = readFileSync(file, "utf8");
  const renewed = await renew(document);
  if (process.env["UPDATE_DOCS"]) writeFileSync(file, renewed);
  else expect(document).toBe(renewed);
});
