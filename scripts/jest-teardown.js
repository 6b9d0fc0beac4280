import { rmSync } from "node:fs";

/** After all suites. */
export default function tearDown() {
  const folder = process.env["TEST_SHARED"];
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}
