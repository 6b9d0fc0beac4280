import { expect, test } from "@jest/globals";
import { readFileSync, writeFileSync } from "node:fs";
import { renew } from "./functions-document.ts";

const file = new URL("../../docs/functions.md", import.meta.url);

/** To write it anew: UPDATE_DOCS=1 npm run test:unit -- --testPathPatterns test/cryptoki/functions-document */
test("docs/functions.md has every function as the table in the source has it", async () => {
  const document = readFileSync(file, "utf8");
  const renewed = await renew(document);
  if (process.env["UPDATE_DOCS"]) writeFileSync(file, renewed);
  else expect(document).toBe(renewed);
});
